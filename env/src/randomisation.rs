use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::physics::World;
use crate::sensor::Noise;
use crate::{EnvError, Rng};

/// Longest delay of actions, control steps.
pub const LATENCY_MAX: u32 = 64;
/// Factors lie between one over this and this.
const FACTOR_MAX: f32 = 100.0;
/// Largest standard deviation of sensor noise.
const NOISE_MAX: f32 = 1e3;

/// Ranges that the physics of an episode is drawn from at its start; each value lies in `[low, high]`.
///
/// Factors multiply what the task is built with. Each body, collider and joint draws its own mass, inertia, friction,
/// restitution and damping; gravity, motor gain, latency and noise are one for the whole environment. What is left out
/// stays as the task has it, to the last bit. Positions, sizes and goals are drawn by the task itself, from its own ranges
/// ([`Draw`](crate::Draw)); kinematic bodies (trays, cups, paddles) and strokes (billiards)
/// have no motors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Randomisation {
    /// Factor on the mass of each body, its inertia with it.
    pub mass: [f32; 2],
    /// Factor on the inertia of each body, beside that.
    pub inertia: [f32; 2],
    /// Factor on the friction of each collider.
    pub friction: [f32; 2],
    /// Added to the restitution of each collider, which stays within 0 and 1.
    pub restitution: [f32; 2],
    /// Factor on gravity.
    pub gravity: [f32; 2],
    /// Factor on the forces of motors and on the stiffness and damping of servos.
    pub motor_gain: [f32; 2],
    /// Factor on the damping of each axis of the joints of robots from files; the other tasks' few joints keep theirs.
    pub joint_damping: [f32; 2],
    /// Control steps by which actions come late; until the first has come, the neutral action is carried out.
    pub latency: [u32; 2],
    /// Standard deviation of normal noise on each number of the state observation, in that number's own unit; what comes
    /// out stays within the observation space. Pictures are spared.
    pub sensor_noise: [f32; 2],
    /// How much of the ranges of its starts and goals a task uses, from 0 (the middle of each) to 1 (all of it). Things that
    /// must be apart (waypoints, a cube and its target) and choices (which cup) are drawn as ever.
    pub difficulty: f32,
}

impl Default for Randomisation {
    fn default() -> Self {
        Self {
            mass: [1.0; 2],
            inertia: [1.0; 2],
            friction: [1.0; 2],
            restitution: [0.0; 2],
            gravity: [1.0; 2],
            motor_gain: [1.0; 2],
            joint_damping: [1.0; 2],
            latency: [0; 2],
            sensor_noise: [0.0; 2],
            difficulty: 1.0,
        }
    }
}

impl Randomisation {
    /// A fifth more or less of everything that has a factor, of gravity a twentieth, restitution up to 0.1 more, up to one
    /// control step of latency and noise of up to 0.01.
    pub fn moderate() -> Self {
        let fifth = [0.8, 1.2];
        Self {
            mass: fifth,
            inertia: fifth,
            friction: fifth,
            restitution: [0.0, 0.1],
            gravity: [0.95, 1.05],
            motor_gain: fifth,
            joint_damping: fifth,
            latency: [0, 1],
            sensor_noise: [0.0, 0.01],
            difficulty: 1.0,
        }
    }

    /// Whether all ranges can be drawn from.
    ///
    /// # Errors
    /// [`EnvError::Argument`] names the first that cannot, and what would be right.
    pub fn check(&self) -> Result<(), EnvError> {
        let [least, most] = [FACTOR_MAX.recip(), FACTOR_MAX];
        let latency = self.latency.map(|steps| steps as f32);
        let ranges = [
            ("mass", self.mass, [least, most]),
            ("inertia", self.inertia, [least, most]),
            ("friction", self.friction, [0.0, most]),
            ("restitution", self.restitution, [-1.0, 1.0]),
            ("gravity", self.gravity, [-most, most]),
            ("motor_gain", self.motor_gain, [0.0, most]),
            ("joint_damping", self.joint_damping, [0.0, most]),
            ("latency", latency, [0.0, LATENCY_MAX as f32]),
            ("sensor_noise", self.sensor_noise, [0.0, NOISE_MAX]),
        ];
        for (name, [low, high], [least, most]) in ranges {
            if !(least <= low && low <= high && high <= most) {
                let message = format!(
                    "randomisation of {name} is [{low}, {high}], expected [low, high] within [{least}, {most}]"
                );
                return Err(EnvError::Argument { message });
            }
        }
        check_difficulty(self.difficulty)
    }

    /// Draws one episode's physics and puts it into `world`.
    pub(crate) fn apply(&self, world: &mut World, rng: &mut Rng) -> Disturbance {
        world.randomise(self, rng);
        Disturbance {
            latency: rng.random_range(self.latency[0]..=self.latency[1]),
            noise: Noise { std: between(self.sensor_noise, rng) },
            noise_seed: rng.random(),
        }
    }
}

pub(crate) fn check_difficulty(difficulty: f32) -> Result<(), EnvError> {
    if (0.0..=1.0).contains(&difficulty) {
        return Ok(());
    }
    Err(EnvError::Argument { message: format!("difficulty is {difficulty}, expected 0 to 1") })
}

/// What lies between a task and its policy for one episode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disturbance {
    /// Control steps.
    pub latency: u32,
    /// On the state observation.
    pub noise: Noise,
    /// With the step, what the noise is drawn from: an observation can be had again.
    pub noise_seed: u64,
}

/// A draw from `[low, high]`.
pub(crate) fn between([low, high]: [f32; 2], rng: &mut Rng) -> f32 {
    rng.random_range(low..=high)
}
