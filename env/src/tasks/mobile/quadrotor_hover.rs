//! `QuadrotorHover-v0`: fly a quadrotor to a point and stay there.

use serde::{Deserialize, Serialize};

use super::quadrotor::{BOUNDS, FPS, Quadrotor};
use crate::registry::{TaskEntry, term};
use crate::tasks::stored_in_world;
use crate::{Action, Buffer, Camera, Draw, Outcome, Space, Task};

/// Steps after which an episode is cut off.
pub const MAX_EPISODE_STEPS: u32 = 250;

/// The registry's row.
pub const ENTRY: TaskEntry = TaskEntry {
    id: "QuadrotorHover-v0",
    scenario: "quadrotor-hover",
    summary: "Catch a quadrotor that was thrown, fly it to a point and hold it there.",
    fps: FPS,
    max_episode_steps: MAX_EPISODE_STEPS,
    action_space: &QuadrotorHover::action_space,
    state_space: &QuadrotorHover::state_space,
    reward_terms: &[
        term("reward/alive", "+1 for every step that it flies"),
        term("reward/distance", "minus the distance from the point"),
        term("reward/effort", "minus the squared actions, scaled"),
    ],
    make: &|| Box::new(QuadrotorHover::new()),
};

const TARGET: [f32; 3] = [0.0, 0.0, 1.5];
const AWAY_MAX: f32 = 3.0;

/// A quadrotor of 0.6 kg with rotors 24 cm apart is thrown somewhere, and has to come to 1.5 m above the middle.
///
/// # Action space
/// `Box(4)`: thrust of the rotors front left, back left, back right, front right, −1..1 for 0 to 2.94 N (twice what
/// hovering takes). They follow with a lag of 40 ms; neighbours turn opposite ways.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0–2 | target minus position | ±10 | m |
/// | 3–11 | rotation matrix, world from body, column by column | ±1 | |
/// | 12–14 | velocity, world frame | ±20 | m/s |
/// | 15–17 | angular velocity, world frame | ±40 | rad/s |
///
/// # Reward
/// `reward/alive` +1 for a step that ends in flight, `reward/distance` − distance (m), `reward/effort` −0.02 × Σ action².
///
/// # Start and end
/// It starts within ±1 m along x and y and 1–2 m up, leaning up to 0.4 rad about x and y, at up to ±1 m/s and ±1 rad/s along
/// each axis. The episode terminates when it hits the ground, turns over or is 3 m away, and is truncated after 250
/// steps, which counts as success within 10 cm of the point.
#[derive(Serialize, Deserialize)]
pub struct QuadrotorHover {
    quadrotor: Quadrotor,
    steps: u32,
}

impl QuadrotorHover {
    /// Space of the action.
    pub fn action_space() -> Space {
        Space::bounded(&[-1.0; 4], &[1.0; 4])
    }

    /// Space of the state observation.
    pub fn state_space() -> Space {
        Space::bounded(&BOUNDS.map(|bound| -bound), &BOUNDS)
    }

    /// The task before its first episode.
    pub fn new() -> Self {
        Self { quadrotor: Quadrotor::new(camera(), TARGET, [0.0; 2], [0.0; 3], [0.0; 3]), steps: 0 }
    }

    fn distance(&self) -> f32 {
        let position = self.quadrotor.position();
        position.iter().zip(TARGET).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    }
}

fn camera() -> Camera {
    Camera::new([0.0, -6.5, 2.6], [0.0, 0.0, 1.3], 0.6)
}

impl Default for QuadrotorHover {
    fn default() -> Self {
        Self::new()
    }
}

impl Task for QuadrotorHover {
    fn reset(&mut self, draw: &mut Draw<'_>) {
        let mut within = |range: f32| draw.within(-range..range);
        let position = [within(1.0), within(1.0), 1.5 + within(0.5)];
        let lean = [within(0.4), within(0.4)];
        let linear = [within(1.0), within(1.0), within(1.0)];
        let angular = [within(1.0), within(1.0), within(1.0)];
        *self = Self { quadrotor: Quadrotor::new(camera(), position, lean, linear, angular), steps: 0 };
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        let effort: f32 = if let Action::Box(values) = action {
            values.iter().map(|value| value * value).sum()
        } else {
            0.0
        };
        self.quadrotor.step(action);
        self.steps += 1;
        let distance = self.distance();
        let lost = self.quadrotor.crashed() || distance > AWAY_MAX;
        Outcome {
            terms: [f32::from(!lost), -distance, -0.02 * effort, 0.0],
            terminated: lost,
            success: !lost && self.steps >= MAX_EPISODE_STEPS && distance < 0.1,
        }
    }

    fn state(&self, out: &mut Vec<f32>) {
        self.quadrotor.state(TARGET, out);
    }

    fn expert(&self, out: &mut Buffer) {
        if let Buffer::F32(out) = out {
            self.quadrotor.fly_to(TARGET, out);
        }
    }

    stored_in_world!(quadrotor.world);
}
