use std::ops::Range;

use bevy::math::Vec3;
use bevy::prelude::Resource;
use bytemuck::{Pod, Zeroable};
use worldstep_env::{Camera, Pose, Scene, Shape};

use super::bounding_sphere::Sight;
use super::camera_frame::CameraFrame;
use super::light::{LightData, LookData};
use super::motion::{MotionData, Motions};
use super::style::Style;
use super::triangles::{self, Corners, Facets, TriangleTable};
use super::{Channels, RenderError};

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

    /// Whether poses fit the scene; `index` is the view's, for the error.
    pub(super) fn check(&self, index: usize) -> Result<(), RenderError> {
        let instances = self.scene.instances.len();
        for moment in [Some(self.now), self.next, self.previous].into_iter().flatten() {
            let poses = moment.poses.len();
            if poses != instances {
                return Err(RenderError::PoseCount { view: index, poses, instances });
            }
        }
        Ok(())
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
    ids: u32,
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
    /// Rigid meshes and soft things that leave the tile, come near the camera, or have few triangles.
    Triangles,
    /// Those of many triangles that lie within the tile, if their outside alone is seen: neighbours share corners.
    Closed,
    /// Likewise, if both sides are seen.
    Sheet,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Sky,
        Self::Box,
        Self::Sphere,
        Self::Cylinder,
        Self::Capsule,
        Self::Triangles,
        Self::Closed,
        Self::Sheet,
    ];

    /// Whether it is made of triangles.
    pub fn has_facets(self) -> bool {
        matches!(self, Self::Triangles | Self::Closed | Self::Sheet)
    }
}

/// Where the world stands in itself.
const WORLD: Pose = Pose { position: [0.0; 3], quat_xyzw: [0.0, 0.0, 0.0, 1.0] };

/// Pairs of kind and style.
pub(super) const BUCKETS: usize = Kind::ALL.len() * Style::COUNT;

/// Where the instances of a kind and a style are kept. Those of one kind lie side by side, as only colours care for
/// styles.
pub(super) fn bucket(kind: Kind, style: Style) -> usize {
    kind as usize * Style::COUNT + style.index()
}

/// Instances that one pipeline draws.
pub(super) struct Draw {
    pub kind: Kind,
    pub style: Style,
    /// Positions in the instance buffer.
    pub instances: Range<u32>,
}

/// Instances that one call draws.
pub(super) struct Run {
    pub instances: Range<u32>,
    pub vertices: Vertices,
}

/// What is drawn once for each instance of a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Vertices {
    /// The box around a shape.
    Proxy,
    /// Triangles of which each has its own corners: the most corners of any instance.
    Corners(u32),
    /// Triangles that share corners, the same for all instances: where they are in [`Corners::shared`].
    Shared(Range<u32>),
}

/// What one pass draws, ready for the GPU.
#[derive(Resource, Clone, Debug)]
pub(super) struct TileBatch {
    pub tiles: Vec<TileData>,
    /// Instances by [`bucket`], in each in the order of the tiles and their scenes.
    pub instances: [Vec<InstanceData>; BUCKETS],
    /// How each of those moves; empty unless everything is drawn.
    pub motions: [Vec<MotionData>; BUCKETS],
    /// One a tile, zeros for a scene without light; empty if no scene has one.
    pub lights: Vec<LightData>,
    /// What the instances look like that are not plain.
    looks: [Vec<LookData>; BUCKETS],
    /// Triangles of the instances that are made of some.
    pub corners: Corners,
    /// What is drawn.
    pub channels: Channels,
}

impl Default for TileBatch {
    fn default() -> Self {
        Self {
            tiles: Vec::new(),
            instances: [const { Vec::new() }; BUCKETS],
            motions: [const { Vec::new() }; BUCKETS],
            lights: Vec::new(),
            looks: [const { Vec::new() }; BUCKETS],
            corners: Corners::default(),
            channels: Channels::Rgb,
        }
    }
}

impl TileBatch {
    /// Replaces the content by `views`, which were checked, drawn in tiles of `size` (width, height) pixels.
    pub fn fill(
        &mut self,
        views: &[View<'_>],
        size: (u32, u32),
        channels: Channels,
    ) -> Result<(), RenderError> {
        self.tiles.clear();
        self.instances.iter_mut().for_each(Vec::clear);
        self.lights.clear();
        self.looks.iter_mut().for_each(Vec::clear);
        self.motions.iter_mut().for_each(Vec::clear);
        self.channels = channels;
        let mut corners = std::mem::take(&mut self.corners);
        let mut triangles = TriangleTable::new(&mut corners, channels == Channels::All);
        for (tile, view) in views.iter().enumerate() {
            self.push(tile, view, size, &mut triangles)?;
        }
        self.corners = corners;
        Ok(())
    }

    fn push<'a>(
        &mut self,
        tile: usize,
        view: &View<'a>,
        size: (u32, u32),
        triangles: &mut TriangleTable<'a>,
    ) -> Result<(), RenderError> {
        let camera = CameraFrame::new(&view.now.camera);
        let data = tile_data(view, &camera, size);
        let sight = Sight { lens: data.lens, size };
        self.tiles.push(data);
        let light = view.scene.light.as_ref();
        if let Some(light) = light {
            self.lights.resize_with(tile, LightData::zeroed);
            self.lights.push(LightData::new(view.scene, light, &camera));
        }
        let sky = bucket(Kind::Sky, Style::of_sky(light));
        self.looks[sky].extend(light.map(|_| LookData::zeroed()));
        self.instances[sky].push(sky_data(view.scene, tile as u32));
        let mut motions = (self.channels == Channels::All).then(|| Motions::new(view, size));
        if motions.is_some() {
            self.motions[sky].push(MotionData::zeroed());
        }
        let mut soft_corners = 0;
        for (i, (instance, pose)) in view.scene.instances.iter().zip(view.now.poses).enumerate() {
            // The corners of soft things are in the world's frame.
            let frame = matches!(instance.shape, Shape::Soft { .. }).then_some(&WORLD);
            let camera_from_object = camera.rows_of(frame.unwrap_or(pose));
            let drawn = |facets: Facets| (facets.kind(&camera_from_object, &sight), facets.corners);
            let (kind, half_extents) = match instance.shape {
                Shape::Mesh { mesh } => drawn(triangles.rigid(tile, view, mesh)?),
                Shape::Soft { mesh } => drawn(triangles.soft(tile, view, (mesh, soft_corners))?),
                shape => solid(shape),
            };
            soft_corners += triangles::soft_corners(instance.shape, &view.scene.meshes);
            let bucket = bucket(kind, Style::of(light, instance));
            self.looks[bucket].extend(light.map(|light| LookData::new(instance, light)));
            if let Some(motions) = &mut motions {
                self.motions[bucket].push(motions.of(i, &camera_from_object, frame));
            }
            self.instances[bucket].push(InstanceData {
                camera_from_object,
                half_extents,
                tile: tile as u32,
                color: instance.color_linear,
                ids: u32::from(instance.id) | u32::from(instance.semantic) << 16,
            });
        }
        Ok(())
    }

    /// What is to be drawn, in the order of the instance buffer.
    pub fn draws(&self) -> impl Iterator<Item = Draw> {
        let pairs = Kind::ALL.into_iter().flat_map(|kind| Style::all().map(move |style| (kind, style)));
        let mut start = 0;
        let draws = pairs.map(move |(kind, style)| {
            let end = start + self.instances[bucket(kind, style)].len() as u32;
            let instances = start..end;
            start = end;
            Draw { kind, style, instances }
        });
        draws.filter(|draw| !draw.instances.is_empty())
    }

    /// The calls that draw `draw`: one for all shapes, or one for neighbours whose triangles are the same, or about as
    /// many.
    pub fn runs(&self, draw: &Draw) -> Vec<Run> {
        if !draw.kind.has_facets() {
            return vec![Run { instances: draw.instances.clone(), vertices: Vertices::Proxy }];
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut wanted = 0;
        for (i, instance) in self.instances[bucket(draw.kind, draw.style)].iter().enumerate() {
            let at = draw.instances.start + i as u32;
            let [first, corners, _] = instance.half_extents.map(|part| part as u32);
            let shares = draw.kind != Kind::Triangles;
            let alone =
                if shares { Vertices::Shared(first..first + corners) } else { Vertices::Corners(corners) };
            if let Some(run) = runs.last_mut() {
                let joint = match run.vertices {
                    Vertices::Corners(most) => {
                        let most = most.max(corners);
                        // Corners that an instance does not have are looked at for nothing.
                        let fits = most * (run.instances.len() as u32 + 1) <= 2 * (wanted + corners);
                        fits.then_some(Vertices::Corners(most))
                    }
                    _ => (run.vertices == alone).then(|| alone.clone()),
                };
                if let Some(vertices) = joint {
                    wanted += corners;
                    *run = Run { instances: run.instances.start..at + 1, vertices };
                    continue;
                }
            }
            wanted = corners;
            runs.push(Run { instances: at..at + 1, vertices: alone });
        }
        runs
    }

    /// Looks of the instances of a kind and a style that is not plain, in the order of the instance buffer.
    pub fn looks(&self, kind: Kind, style: Style) -> &[LookData] {
        &self.looks[bucket(kind, style)]
    }

    /// Instances of all kinds.
    pub fn instance_count(&self) -> usize {
        self.instances.iter().map(Vec::len).sum()
    }
}

fn tile_data(view: &View<'_>, camera: &CameraFrame, size: (u32, u32)) -> TileData {
    let k = view.now.camera.intrinsics(size.0, size.1);
    let light = camera.camera_from_world * Vec3::from(view.scene.light_direction);
    let up = camera.camera_from_world * Vec3::Z;
    TileData {
        lens: [k[0], k[2], k[5], 0.0],
        light: light.extend(0.0).to_array(),
        up: up.extend(0.0).to_array(),
    }
}

/// The sky's frame is the camera's.
fn sky_data(scene: &Scene, tile: u32) -> InstanceData {
    let camera_from_object = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]];
    InstanceData { camera_from_object, color: scene.sky_linear, tile, ..InstanceData::zeroed() }
}

/// Kind and half extents of a shape that is not made of triangles.
fn solid(shape: Shape) -> (Kind, [f32; 3]) {
    match shape {
        Shape::Cuboid { half_extents } => (Kind::Box, half_extents),
        Shape::Sphere { radius } => (Kind::Sphere, [radius; 3]),
        Shape::Cylinder { radius, half_height } => (Kind::Cylinder, [radius, radius, half_height]),
        Shape::Capsule { radius, half_height } => (Kind::Capsule, [radius, radius, half_height + radius]),
        Shape::Mesh { .. } | Shape::Soft { .. } => (Kind::Triangles, [0.0; 3]),
    }
}
