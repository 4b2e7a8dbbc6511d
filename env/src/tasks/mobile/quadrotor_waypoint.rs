//! `QuadrotorWaypoint-v0`: fly a quadrotor through points in order.

use rapier3d::prelude::{RigidBodyBuilder, RigidBodyHandle, Vector};
use serde::{Deserialize, Serialize};

use super::quadrotor::{BOUNDS, FPS, Quadrotor};
use crate::physics::Look;
use crate::registry::{TaskEntry, term};
use crate::tasks::stored_in_world;
use crate::{Action, Buffer, Camera, Draw, Outcome, Shape, Space, Task};

/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 500;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "QuadrotorWaypoint-v0",
    scenario: "quadrotor-waypoint",
    summary: "Fly a quadrotor through four points, one after the other.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &QuadrotorWaypoint::action_space,
    state_space: &QuadrotorWaypoint::state_space,
    reward_terms: &[
        term("reward/progress", "metres that it came nearer to the next point"),
        term("reward/waypoint", "+2 for every point reached"),
        term("reward/effort", "minus the squared actions, scaled"),
        term("reward/crash", "-5 when it is lost"),
    ],
    make: &|| Box::new(QuadrotorWaypoint::new()),
};

const POINTS: usize = 4;
const REACHED: f32 = 0.25;
const AWAY_MAX: f32 = 6.0;

/// The quadrotor of [`QuadrotorHover`](super::quadrotor_hover::QuadrotorHover) flies through four points.
///
/// # Action space
/// `Box(4)`: as there.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | next point minus position | ±10 | m |
/// | 3–11 | rotation matrix, world from body, column by column | ±1 | |
/// | 12–14 | velocity, world frame | ±20 | m/s |
/// | 15–17 | angular velocity, world frame | ±40 | rad/s |
/// | 18–20 | the point after that minus position (the last stands for itself) | ±10 | m |
/// | 21 | points still to come / 4 | ±1 | |
///
/// # Reward
/// `reward/progress` metres nearer to the next point, `reward/waypoint` +2 within 25 cm of it, `reward/effort` −0.005 ×
/// Σ action², `reward/crash` −5 when it is lost.
///
/// # Start and end
/// It hovers at rest 1.5 m above the middle; the points lie within ±1.8 m along x and y and 0.7–2.3 m up, each at least
/// 1 m from the one before. The episode terminates with success at the last point, and when it hits the ground, turns
/// over or is 6 m away; it is truncated after 500 steps.
#[derive(Serialize, Deserialize)]
pub struct QuadrotorWaypoint {
    quadrotor: Quadrotor,
    points: [[f32; 3]; POINTS],
    beacon: RigidBodyHandle,
    next: usize,
}

impl QuadrotorWaypoint {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 4], &[1.0; 4])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        let bounds = bounds();
        Space::bounded(&bounds.map(|bound| -bound), &bounds)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self::build([[1.0, 0.0, 1.5], [0.0, 1.0, 1.5], [-1.0, 0.0, 1.5], [0.0, -1.0, 1.5]])
    }

    fn build(points: [[f32; 3]; POINTS]) -> Self {
        let camera = Camera::new([0.0, -8.0, 3.0], [0.0, 0.0, 1.3], 0.62);
        let mut quadrotor = Quadrotor::new(camera, [0.0, 0.0, 1.5], [0.0; 2], [0.0; 3], [0.0; 3]);
        let look = Look::moving("beacon", Shape::Sphere { radius: 0.13 }, [0.7, 0.1, 0.05]).of_class("ball");
        let beacon = quadrotor.world.add_ghost(
            look,
            RigidBodyBuilder::kinematic_position_based().translation(Vector::from(points[0])),
        );
        Self { quadrotor, points, beacon, next: 0 }
    }

    /// The point to fly to, and the one after it.
    fn targets(&self) -> [[f32; 3]; 2] {
        [self.next, self.next + 1].map(|i| self.points[i.min(POINTS - 1)])
    }

    fn distance(&self) -> f32 {
        let [target, _] = self.targets();
        let away = self.quadrotor.position().iter().zip(target).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        away.sqrt()
    }
}

fn bounds() -> [f32; 22] {
    let mut bounds = [10.0; 22];
    bounds[..18].copy_from_slice(&BOUNDS);
    bounds[21] = 1.0;
    bounds
}

impl Default for QuadrotorWaypoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for QuadrotorWaypoint {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let mut last = [0.0, 0.0, 1.5_f32];
        let points = [(); POINTS].map(|()| {
            for _ in 0..100 {
                let level = |draw: &mut Draw<'_>| draw.anywhere(-1.8..1.8);
                let point = [level(draw), level(draw), draw.anywhere(0.7..2.3)];
                let apart: f32 = point.iter().zip(last).map(|(a, b)| (a - b) * (a - b)).sum();
                if apart > 1.0 {
                    last = point;
                    break;
                }
            }
            last
        });
        *self = Self::build(points);
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let effort: f32 = if let Action::Box(values) = action {
            values.iter().map(|value| value * value).sum()
        } else {
            0.0
        };
        let before = self.distance();
        self.quadrotor.step(action);
        let distance = self.distance();
        let lost = self.quadrotor.crashed() || distance > AWAY_MAX;
        let reached = !lost && distance < REACHED;
        if reached {
            self.next += 1;
            let [target, _] = self.targets();
            let beacon = self.quadrotor.world.body_mut(self.beacon);
            beacon.set_translation(Vector::from(target), true);
        }
        let done = self.next == POINTS;
        Outcome {
            terms: [
                before - distance,
                if reached { 2.0 } else { 0.0 },
                -0.005 * effort,
                if lost { -5.0 } else { 0.0 },
            ],
            terminated: lost || done,
            success: done,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        let [target, after] = self.targets();
        self.quadrotor.state(target, out);
        let position = self.quadrotor.position();
        let left = (POINTS - self.next) as f32 / POINTS as f32;
        let values = [after[0] - position[0], after[1] - position[1], after[2] - position[2], left];
        crate::tasks::observe_within(out, &values, &[10.0, 10.0, 10.0, 1.0]);
    }

    fn expert(&self, out: &mut Buffer) {
        let [target, _] = self.targets();
        if let Buffer::F32(out) = out {
            self.quadrotor.fly_to(target, out);
        }
    }

    stored_in_world!(quadrotor.world);
}
