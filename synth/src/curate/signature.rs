use worldstep_env::{Instance, Pose, Scene, Shape};

use crate::annotate::{Bodies, turn, vector};
use crate::clips::Trajectory;

/// Moments at which paths are compared.
const MOMENTS: usize = 16;
/// Metres that a difference of 1 in looks (a channel of colour) counts.
const LOOKS_WEIGHT: f64 = 0.25;

/// What is compared to find clips that show the same: paths of the things that can move, and looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    scenario: String,
    /// Name and kind of shape of each thing.
    things: Vec<(String, u8)>,
    /// Of each thing that can move, points at [`MOMENTS`] moments, metres.
    paths: Vec<Vec<[f32; 3]>>,
    /// Sizes, times and places in metres and seconds.
    sizes: Vec<f32>,
    /// Colours.
    looks: Vec<f32>,
}

impl Signature {
    /// Of a clip.
    pub fn of(trajectory: &Trajectory) -> Self {
        let scene = &trajectory.scene;
        let bodies = Bodies::new(trajectory);
        let moving = scene.instances.iter().enumerate().filter(|(_, instance)| instance.moving);
        let paths = moving.map(|(index, instance)| path(trajectory, index, instance, bodies.reach[index]));
        let mut sizes = vec![trajectory.len as f32 / trajectory.fps as f32];
        sizes.extend(scene.camera.position);
        sizes.extend(bodies.reach.iter().map(|reach| *reach as f32));
        sizes.extend(fixed_places(scene, trajectory.poses_at(0)));
        Self {
            scenario: trajectory.scenario.clone(),
            things: scene.instances.iter().map(|thing| (thing.name.clone(), kind(&thing.shape))).collect(),
            paths: paths.collect(),
            sizes,
            looks: scene.instances.iter().flat_map(|instance| instance.color_linear).collect(),
        }
    }

    /// How different two clips are, metres: the greatest of their paths' root mean square differences, their sizes' and
    /// cameras', and a quarter of their colours'. Infinite for clips of different scenarios or things.
    pub fn distance(&self, other: &Self) -> f64 {
        let alike = self.scenario == other.scenario
            && self.things == other.things
            && self.sizes.len() == other.sizes.len()
            && self.paths.len() == other.paths.len();
        if !alike {
            return f64::INFINITY;
        }
        let paths = self.paths.iter().zip(&other.paths).map(|(a, b)| path_distance(a, b));
        let greatest =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
        let still = greatest(&self.sizes, &other.sizes);
        let looks = LOOKS_WEIGHT * greatest(&self.looks, &other.looks);
        paths.fold(still.max(looks), f64::max)
    }
}

fn path_distance(a: &[[f32; 3]], b: &[[f32; 3]]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| vector(*a).distance_squared(vector(*b)));
    let count = a.len().min(b.len()).max(1);
    (squares.sum::<f64>() / count as f64).sqrt()
}

/// Places of a thing's middle and of two points that tell how it is turned.
fn path(trajectory: &Trajectory, index: usize, instance: &Instance, reach: f64) -> Vec<[f32; 3]> {
    let mut points = Vec::with_capacity(3 * MOMENTS);
    for moment in 0..MOMENTS {
        let row = (moment * trajectory.len + (MOMENTS - 1) / 2) / (MOMENTS - 1);
        let pose = &trajectory.poses_at(row.min(trajectory.len))[index];
        points.push(pose.position);
        if !matches!(instance.shape, Shape::Sphere { .. } | Shape::Soft { .. }) {
            for axis in [bevy::math::DVec3::X, bevy::math::DVec3::Z] {
                let tip = vector(pose.position) + turn(pose.quat_xyzw) * (axis * reach);
                points.push(tip.to_array().map(|value| value as f32));
            }
        }
    }
    points
}

/// Where the things that cannot move are.
fn fixed_places(scene: &Scene, poses: &[Pose]) -> Vec<f32> {
    let fixed = scene.instances.iter().zip(poses).filter(|(instance, _)| !instance.moving);
    fixed.flat_map(|(_, pose)| pose.position.into_iter().chain(pose.quat_xyzw)).collect()
}

fn kind(shape: &Shape) -> u8 {
    match shape {
        Shape::Cuboid { .. } => 0,
        Shape::Sphere { .. } => 1,
        Shape::Cylinder { .. } => 2,
        Shape::Capsule { .. } => 3,
        Shape::Mesh { .. } => 4,
        Shape::Soft { .. } => 5,
    }
}
