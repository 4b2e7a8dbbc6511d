//! Ground truth is exact: every annotation is predicted from others, and from rays that are cast without a renderer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use bevy::math::{DQuat, DVec2, DVec3, Quat, Vec3};
use worldstep_env::{Camera, CameraMotion, Instance, Pose, Scene, Shape, Surface, semantic_class};
use worldstep_synth::annotate::{Eye, Hit, RayCaster};
use worldstep_synth::{Channels, Frames, Moment, RenderConfig, Renderer, View};

const WIDTH: u32 = 96;
const HEIGHT: u32 = 72;
const PIXELS: usize = (WIDTH * HEIGHT) as usize;
const ROWS: usize = 4;

/// Every shape, over a floor.
fn scene() -> Scene {
    let shapes = [
        ("ground", Shape::Cuboid { half_extents: [3.0, 3.0, 0.1] }),
        ("block", Shape::Cuboid { half_extents: [0.3, 0.2, 0.25] }),
        ("ball", Shape::Sphere { radius: 0.3 }),
        ("cylinder", Shape::Cylinder { radius: 0.2, half_height: 0.35 }),
        ("capsule", Shape::Capsule { radius: 0.15, half_height: 0.25 }),
    ];
    let instance = |(i, (name, shape)): (usize, (&str, Shape))| Instance {
        id: 10 * i as u16 + 1,
        semantic: semantic_class(name).unwrap(),
        name: name.to_owned(),
        shape,
        color_linear: [0.7, 0.4, 0.2],
        surface: Surface::default(),
        moving: i > 0,
        actuated: false,
    };
    Scene {
        instances: shapes.into_iter().enumerate().map(instance).collect(),
        meshes: Vec::new(),
        camera: cameras(0)[0],
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.2, 0.4, 0.8],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

/// Where everything is at a row: all but the floor slide, fall and turn.
fn poses(row: usize) -> Vec<Pose> {
    let t = row as f32;
    let pose = |i: usize, position: [f32; 3]| {
        let axis = Vec3::new(1.0, 0.4 * i as f32, -0.3).normalize();
        let turn = Quat::from_axis_angle(axis, 0.5 * i as f32 + 0.11 * t);
        Pose { position, quat_xyzw: turn.to_array() }
    };
    vec![
        Pose { position: [0.0, 0.0, -0.1], quat_xyzw: [0.0, 0.0, 0.0, 1.0] },
        pose(1, [0.5 - 0.04 * t, -0.6 + 0.05 * t, 0.4]),
        pose(2, [0.0, 0.1 + 0.03 * t, 0.5 - 0.02 * t]),
        pose(3, [-0.7 + 0.06 * t, 0.5, 0.45]),
        pose(4, [0.2, 0.8 - 0.05 * t, 0.3 + 0.03 * t]),
    ]
}

/// A camera that stands, one that goes round, and one that comes near, rolls and zooms.
fn cameras(row: usize) -> [Camera; 3] {
    let t = row as f32;
    let (sin, cos) = (0.9 + 0.05 * t).sin_cos();
    [
        Camera::new([2.4, -1.6, 1.5], [0.0, 0.1, 0.3], 0.9),
        Camera::new([2.6 * cos, 2.6 * sin, 1.2], [0.0, 0.0, 0.4], 0.8),
        Camera {
            position: [-1.8 + 0.07 * t, -1.2, 0.9],
            target: [0.1, 0.1 + 0.02 * t, 0.3],
            up: [0.04 * t, 0.0, 1.0],
            fov_y: 0.9 - 0.03 * t,
        },
    ]
}

/// All rows as one camera sees them, and all that is needed to judge them.
struct Clip {
    scene: Scene,
    cameras: Vec<Camera>,
    poses: Vec<Vec<Pose>>,
    frames: Vec<Frames>,
}

fn clip(renderer: &mut Renderer, camera: usize) -> Clip {
    let scene = scene();
    let cameras: Vec<_> = (0..ROWS).map(|row| cameras(row)[camera]).collect();
    let poses: Vec<_> = (0..ROWS).map(poses).collect();
    let moment = |row: usize| Moment { camera: cameras[row], poses: &poses[row], soft_vertices: &[] };
    let frames = (0..ROWS)
        .map(|row| {
            let next = (row + 1 < ROWS).then(|| moment(row + 1));
            let previous = (row > 0).then(|| moment(row - 1));
            let view = View { scene: &scene, now: moment(row), next, previous };
            let mut frames = Frames::default();
            renderer.render(&[view], Channels::All, &mut frames).unwrap();
            frames
        })
        .collect();
    Clip { scene, cameras, poses, frames }
}

fn clips() -> Vec<Clip> {
    let mut renderer = renderer(1);
    (0..3).map(|camera| clip(&mut renderer, camera)).collect()
}

fn renderer(tiles: usize) -> Renderer {
    Renderer::new(RenderConfig { tiles, width: WIDTH, height: HEIGHT }).unwrap()
}

fn vector(values: &[f32]) -> DVec3 {
    DVec3::new(values[0].into(), values[1].into(), values[2].into())
}

impl Clip {
    fn caster(&self, row: usize) -> RayCaster {
        RayCaster::new(&self.scene, &self.poses[row], &[])
    }

    /// What a place in the image, in pixels, shows at a row.
    fn cast(&self, caster: &RayCaster, row: usize, place: DVec2) -> Option<Hit> {
        let k = self.cameras[row].intrinsics(WIDTH, HEIGHT).map(f64::from);
        let slope = (place - DVec2::new(k[2], k[5])) / k[0];
        caster.cast(&Eye::new(&self.cameras[row]).ray(slope))
    }

    /// The instance that a pixel shows.
    fn index(&self, row: usize, pixel: usize) -> Option<usize> {
        let id = self.frames[row].instance[pixel];
        self.scene.instances.iter().position(|instance| instance.id == id)
    }

    /// Metric depth at `row` of a point of an instance, given in its own frame.
    fn depth_of(&self, row: usize, index: usize, point: DVec3) -> f64 {
        let pose = &self.poses[row][index];
        let turn = DQuat::from_array(pose.quat_xyzw.map(f64::from)).normalize();
        Eye::new(&self.cameras[row]).camera_from_world(vector(&pose.position) + turn * point).z
    }
}

fn center(pixel: usize) -> DVec2 {
    let (x, y) = (pixel % WIDTH as usize, pixel / WIDTH as usize);
    DVec2::new(x as f64 + 0.5, y as f64 + 0.5)
}

#[test]
fn everything_agrees_with_a_ray_cast() {
    for clip in clips() {
        for row in 0..ROWS {
            let (caster, frames) = (clip.caster(row), &clip.frames[row]);
            let eye = Eye::new(&clip.cameras[row]);
            let mut seen = vec![0; clip.scene.instances.len()];
            let mut differ = 0;
            for pixel in 0..PIXELS {
                let hit = clip.cast(&caster, row, center(pixel));
                if hit.map(|hit| hit.instance) != clip.index(row, pixel) {
                    // The very edge of a thing may fall to either side.
                    differ += 1;
                    continue;
                }
                let Some(hit) = hit else {
                    assert_eq!((frames.depth[pixel], frames.semantic[pixel]), (0.0, 0));
                    continue;
                };
                seen[hit.instance] += 1;
                assert_eq!(frames.semantic[pixel], clip.scene.instances[hit.instance].semantic);
                let depth = f64::from(frames.depth[pixel]);
                let normal = vector(&frames.normal[3 * pixel..]);
                let coordinates = vector(&frames.coordinates[3 * pixel..]);
                assert!((normal.length() - 1.0).abs() < 1e-5, "a normal of length {}", normal.length());
                // Where a thing is seen edge-on, a hair of angle is a long way along it.
                let expected = eye.turn_from_world(hit.normal);
                let slant = 1e-5 / expected.z.abs().max(1e-2);
                assert!((depth - hit.depth).abs() < slant, "{depth} m, not {}", hit.depth);
                assert!((coordinates - hit.object_point).length() < 2.0 * slant, "{coordinates} {hit:?}");
                assert!((normal - expected).length() < 10.0 * slant, "{normal}, not {expected}");
            }
            assert!(differ < PIXELS / 500, "{differ} pixels show something else");
            assert!(seen.iter().all(|count| *count > 10), "too little is seen: {seen:?}");
        }
    }
}

#[test]
fn depth_intrinsics_and_poses_give_object_coordinates() {
    let mut checked = 0;
    for clip in clips() {
        for row in 0..ROWS {
            let frames = &clip.frames[row];
            let k = clip.cameras[row].intrinsics(WIDTH, HEIGHT).map(f64::from);
            let m = clip.cameras[row].world_from_camera().map(f64::from);
            for pixel in 0..PIXELS {
                let Some(index) = clip.index(row, pixel) else { continue };
                let slope = (center(pixel) - DVec2::new(k[2], k[5])) / k[0];
                let in_camera = f64::from(frames.depth[pixel]) * slope.extend(1.0);
                let world = DVec3::from_array(std::array::from_fn(|i| {
                    (0..3).map(|c| m[4 * i + c] * in_camera[c]).sum::<f64>() + m[4 * i + 3]
                }));
                let pose = &clip.poses[row][index];
                let turn = DQuat::from_array(pose.quat_xyzw.map(f64::from)).normalize();
                let expected = turn.inverse() * (world - vector(&pose.position));
                let coordinates = vector(&frames.coordinates[3 * pixel..]);
                assert!((coordinates - expected).length() < 1e-4, "{coordinates}, not {expected}");
                checked += 1;
            }
        }
    }
    assert!(checked > 50_000, "only {checked} pixels");
}

/// Follows the flow of `from` to `to`, with rays and in the picture that was drawn there.
fn follow(clip: &Clip, (from, to): (usize, usize), flow: &[f32]) {
    let caster = clip.caster(to);
    let (mut followed, mut hidden, mut in_picture, mut far) = (0, 0, 0, 0.0_f32);
    for pixel in 0..PIXELS {
        let Some(index) = clip.index(from, pixel) else { continue };
        let moved = DVec2::new(flow[2 * pixel].into(), flow[2 * pixel + 1].into());
        let place = center(pixel) + moved;
        let point = vector(&clip.frames[from].coordinates[3 * pixel..]);
        let depth = clip.depth_of(to, index, point);
        let Some(hit) = clip.cast(&caster, to, place) else {
            hidden += 1; // The very edge.
            continue;
        };
        if hit.depth < depth - 1e-3 {
            hidden += 1;
            continue;
        }
        far = far.max(moved.length() as f32);
        followed += 1;
        assert_eq!(hit.instance, index, "pixel {pixel} of row {from} is another thing at row {to}");
        let facing = hit.normal.dot(Eye::new(&clip.cameras[to]).ray(DVec2::ZERO).direction).abs();
        let off = (hit.object_point - point).length();
        assert!(off < 1e-4 / facing.max(1e-2), "{off} m off, pixel {pixel}, {from} to {to}");
        // And in the picture: the pixel there shows the same place on the same thing, as near as a pixel is.
        let (x, y) = (place.x.floor(), place.y.floor());
        if x < 1.0 || y < 1.0 || x >= f64::from(WIDTH - 1) || y >= f64::from(HEIGHT - 1) {
            continue;
        }
        let there = (y * f64::from(WIDTH) + x) as usize;
        let around = [there - 1, there, there + 1, there - WIDTH as usize, there + WIDTH as usize];
        if around.iter().all(|pixel| clip.index(to, *pixel) == Some(index)) {
            let shown = |pixel: usize| vector(&clip.frames[to].coordinates[3 * pixel..]);
            let pixel_size = around.iter().map(|other| (shown(*other) - shown(there)).length());
            let pixel_size = pixel_size.fold(0.0, f64::max);
            let off = (shown(there) - point).length();
            assert!(off < 1.01 * pixel_size, "{off} m off where a pixel is {pixel_size} m");
            in_picture += 1;
        }
    }
    assert!(followed > 2_000 && in_picture > 2_000, "{followed} by rays, {in_picture} in the picture");
    assert!(hidden < followed / 10, "{hidden} of {followed} hidden");
    assert!(far > 1.0, "nothing moves further than {far} pixels");
}

#[test]
fn forward_flow_leads_to_the_same_place_on_the_same_thing() {
    for clip in clips() {
        (0..ROWS - 1).for_each(|row| follow(&clip, (row, row + 1), &clip.frames[row].flow_forward));
        assert!(clip.frames[ROWS - 1].flow_forward.iter().all(|flow| *flow == 0.0), "there is no next row");
    }
}

#[test]
fn backward_flow_leads_to_the_same_place_on_the_same_thing() {
    for clip in clips() {
        (1..ROWS).for_each(|row| follow(&clip, (row, row - 1), &clip.frames[row].flow_backward));
        assert!(clip.frames[0].flow_backward.iter().all(|flow| *flow == 0.0), "there is no row before");
    }
}

#[test]
fn what_stands_still_has_a_flow_of_exactly_zero() {
    let clip = &clips()[0];
    let (mut still, mut moving) = (0, 0);
    for pixel in 0..PIXELS {
        let is_zero = clip.frames[1].flow_forward[2 * pixel..2 * pixel + 2] == [0.0, 0.0];
        match clip.index(1, pixel) {
            Some(0) => still += usize::from(is_zero),
            Some(_) => moving += usize::from(!is_zero),
            None => assert!(is_zero, "the sky moves"),
        }
    }
    let floor = (0..PIXELS).filter(|pixel| clip.index(1, *pixel) == Some(0)).count();
    assert_eq!(still, floor, "the floor moves");
    assert!(moving > 500, "only {moving} pixels move");
}

#[test]
fn a_tile_of_all_channels_is_bitwise_the_same_wherever_it_lies() {
    let (scene, poses) = (scene(), [poses(0), poses(1), poses(2)]);
    let views: Vec<_> = (0..7)
        .map(|i| {
            let moment =
                |row: usize| Moment { camera: cameras(row)[i % 3], poses: &poses[row], soft_vertices: &[] };
            View { scene: &scene, now: moment(1), next: Some(moment(2)), previous: Some(moment(0)) }
        })
        .collect();
    let mut together = Frames::default();
    renderer(7).render(&views, Channels::All, &mut together).unwrap();
    let mut parts = renderer(3);
    let (mut apart, mut labels) = (Frames::default(), Frames::default());
    parts.render(&views, Channels::All, &mut apart).unwrap();
    assert!(apart == together, "passes of 3 tiles differ from one of 7");
    for i in 3..7 {
        let tile = |values: &[f32], n: usize| values[i * PIXELS * n..(i + 1) * PIXELS * n].to_vec();
        let same =
            |values: &[f32], n: usize| tile(values, n) == values[(i - 3) * PIXELS * n..(i - 2) * PIXELS * n];
        assert!(same(&together.normal, 3) && same(&together.coordinates, 3) && same(&together.depth, 1));
        assert!(same(&together.flow_forward, 2) && same(&together.flow_backward, 2));
    }
    // Fewer channels are the same ones, and the others stay empty.
    parts.render(&views, Channels::Labels, &mut labels).unwrap();
    assert!(labels.rgb == together.rgb && labels.depth == together.depth);
    assert!(labels.instance == together.instance && labels.semantic == together.semantic);
    assert!(labels.normal.is_empty() && labels.flow_forward.is_empty() && labels.flow_backward.is_empty());
    assert!(labels.coordinates.is_empty());
}
