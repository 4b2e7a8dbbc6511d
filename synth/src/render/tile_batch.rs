use bevy::math::{Mat3, Quat, Vec3};
use bevy::prelude::Resource;
use bytemuck::{Pod, Zeroable};
use worldstep_env::{Camera, Instance, Pose, Scene, Shape};

use super::RenderError;
use super::style::Style;

/// One view to draw: a scene, the camera, and the world as it is; for flow, as it was and will be.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is drawn.
    pub scene: &'a Scene,
    /// The world at the time of the picture.
    pub now: Moment<'a>,
    /// The world one row later; without it, forward flow is 0.
    pub next: Option<Moment<'a>>,
    /// The world one row earlier; without it, backward flow is 0.
    pub previous: Option<Moment<'a>>,
}

/// Where everything is at one time.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The camera.
    pub camera: Camera,
    /// One pose an instance, in the scene's order.
    pub poses: &'a [Pose],
    /// Corners of all soft instances, in the scene's order, world frame.
    pub soft_vertices: &'a [[f32; 3]],
}

impl<'a> View<'a> {
    /// `scene` from its own camera with its instances at `poses`, without soft things and flow.
    pub fn new(scene: &'a Scene, poses: &'a [Pose]) -> Self {
        let now = Moment { camera: scene.camera, poses, soft_vertices: &[] };
        Self { scene, now, next: None, previous: None }
    }
}

/// `Tile` of `geometry.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct TileData {
    lens: [f32; 4],
    light: [f32; 4],
    up: [f32; 4],
}

/// `Instance` of `geometry.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct InstanceData {
    camera_from_object: [[f32; 4]; 3],
    half_extents: [f32; 3],
    tile: u32,
    color: [f32; 3],
    id: u32,
}

/// Kinds of instances, each drawn by a pipeline of its own; the value is `SHAPE` of `geometry.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The quad behind everything in a tile.
    Sky,
    Box,
    Sphere,
    Cylinder,
    Capsule,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Sky, Self::Box, Self::Sphere, Self::Cylinder, Self::Capsule];
}

/// Pairs of kind and style.
pub(super) const BUCKETS: usize = Kind::ALL.len() * Style::COUNT;

/// Where the instances of a kind and a style are kept. Those of one kind lie side by side, as only colours care for
/// styles.
pub(super) fn bucket(kind: Kind, style: Style) -> usize {
    kind as usize * Style::COUNT + style.index()
}

/// What one pass draws, ready for the GPU.
#[derive(Resource, Clone, Debug)]
pub(super) struct TileBatch {
    pub tiles: Vec<TileData>,
    /// Instances by [`bucket`], in each in the order of the tiles and their scenes.
    pub instances: [Vec<InstanceData>; BUCKETS],
    /// Whether ids and depth are drawn too.
    pub labels: bool,
}

impl Default for TileBatch {
    fn default() -> Self {
        Self { tiles: Vec::new(), instances: [const { Vec::new() }; BUCKETS], labels: false }
    }
}

impl TileBatch {
    /// Replaces the content by `views`, drawn in tiles of `size` (width, height) pixels.
    pub fn fill(&mut self, views: &[View<'_>], size: (u32, u32), labels: bool) -> Result<(), RenderError> {
        self.tiles.clear();
        self.instances.iter_mut().for_each(Vec::clear);
        self.labels = labels;
        for (tile, view) in views.iter().enumerate() {
            let (poses, instances) = (view.now.poses.len(), view.scene.instances.len());
            if poses != instances {
                return Err(RenderError::PoseCount { view: tile, poses, instances });
            }
            let camera = CameraFrame::new(&view.now.camera);
            self.tiles.push(tile_data(view.scene, &camera, size));
            self.instances[bucket(Kind::Sky, Style::Plain)].push(sky_data(view.scene, tile as u32));
            for (instance, pose) in view.scene.instances.iter().zip(view.now.poses) {
                if let Some((kind, data)) = instance_data(instance, pose, &camera, tile as u32) {
                    let style = Style::of(None, instance);
                    self.instances[bucket(kind, style)].push(data);
                }
            }
        }
        Ok(())
    }

    /// Instances of all kinds.
    pub fn instance_count(&self) -> usize {
        self.instances.iter().map(Vec::len).sum()
    }
}

/// Where a camera stands; the pose sync. World (z up) goes straight to the OpenCV camera frame, so that no y-up frame
/// comes in between; the vertex stage alone flips the image's y.
struct CameraFrame {
    camera_from_world: Mat3,
    position: Vec3,
}

impl CameraFrame {
    fn new(camera: &Camera) -> Self {
        let m = camera.world_from_camera();
        let columns =
            [Vec3::new(m[0], m[4], m[8]), Vec3::new(m[1], m[5], m[9]), Vec3::new(m[2], m[6], m[10])];
        let world_from_camera = Mat3::from_cols(columns[0], columns[1], columns[2]);
        Self { camera_from_world: world_from_camera.transpose(), position: Vec3::new(m[3], m[7], m[11]) }
    }
}

fn tile_data(scene: &Scene, camera: &CameraFrame, size: (u32, u32)) -> TileData {
    let k = scene.camera.intrinsics(size.0, size.1);
    let light = camera.camera_from_world * Vec3::from(scene.light_direction);
    let up = camera.camera_from_world * Vec3::Z;
    TileData {
        lens: [k[0], k[2], k[5], 0.0],
        light: light.extend(0.0).to_array(),
        up: up.extend(0.0).to_array(),
    }
}

fn sky_data(scene: &Scene, tile: u32) -> InstanceData {
    InstanceData { color: scene.sky_linear, tile, ..InstanceData::zeroed() }
}

fn instance_data(
    instance: &Instance,
    pose: &Pose,
    camera: &CameraFrame,
    tile: u32,
) -> Option<(Kind, InstanceData)> {
    let world_from_object = Mat3::from_quat(Quat::from_array(pose.quat_xyzw).normalize());
    let rotation = (camera.camera_from_world * world_from_object).transpose();
    let translation = camera.camera_from_world * (Vec3::from(pose.position) - camera.position);
    let (half_extents, kind) = match instance.shape {
        Shape::Cuboid { half_extents } => (half_extents, Kind::Box),
        Shape::Sphere { radius } => ([radius; 3], Kind::Sphere),
        Shape::Cylinder { radius, half_height } => ([radius, radius, half_height], Kind::Cylinder),
        Shape::Capsule { radius, half_height } => ([radius, radius, half_height + radius], Kind::Capsule),
        Shape::Mesh { .. } | Shape::Soft { .. } => return None,
    };
    let data = InstanceData {
        camera_from_object: [
            rotation.x_axis.extend(translation.x).to_array(),
            rotation.y_axis.extend(translation.y).to_array(),
            rotation.z_axis.extend(translation.z).to_array(),
        ],
        half_extents,
        tile,
        color: instance.color_linear,
        id: u32::from(instance.id),
    };
    Some((kind, data))
}
