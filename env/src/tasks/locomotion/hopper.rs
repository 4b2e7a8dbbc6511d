//! `Hopper-v0`: hop forward on one leg, in a plane.

use std::sync::LazyLock;

use super::{Body, Config, Gait, Runner};
use crate::registry::TaskEntry;
use crate::robot::RobotModel;
use crate::tasks::built_in;

/// The registry's row.
pub const ENTRY: TaskEntry = Hopper::entry("Hopper-v0", "hopper", "Hop forward on one leg, in a plane.");

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/hopper.xml")));

/// A torso of 4 kg on one leg of three joints (8.6 kg in all) hops along x; it moves in the plane of x and z alone.
///
/// # Action space
/// `Box(3)`: torques on hip, knee and ankle, −1..1 for ±120, ±120 and ±60 N·m.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | height of the torso | ±10 | m |
/// | 1 | forward lean of the torso | ±10 | rad |
/// | 2–4 | hip, knee, ankle | ±10 | rad |
/// | 5–6 | velocity of the torso along x and z | ±60 | m/s |
/// | 7 | speed of the lean | ±60 | rad/s |
/// | 8–10 | speeds of the joints | ±60 | rad/s |
///
/// # Reward
/// `reward/forward` 2 × speed along x (m/s), `reward/alive` +0.5 for a step that ends up, `reward/effort` −0.05 × Σ action².
///
/// # Start and end
/// Joints start within ±0.02 rad and ±0.02 rad/s of a straight leg. The episode terminates when the torso is lower than
/// 0.7 m or leans more than 0.8 rad, and is truncated after 500 steps, which counts as success if it has come 3 m.
pub type Hopper = Runner<HopperBody>;

/// The robot of [`Hopper`].
pub struct HopperBody;

impl Body for HopperBody {
    const CONFIG: Config = Config {
        root_joints: 3,
        height: [0.7, f32::INFINITY],
        lean_max: 0.8,
        noise: 0.02,
        forward: 2.0,
        alive: 0.5,
        effort: 0.05,
        goal: 3.0,
        camera: [[0.2, -6.0, 1.2], [0.2, 0.0, 0.8]],
        gait: Gait {
            frequency: 2.996,
            stiffness: 0.816,
            damping: 0.1051,
            swings: &[
                [0.999, 0.572, 0.551, -0.065, -0.117],
                [-1.806, -1.287, -0.027, 0.619, 0.099],
                [0.382, 0.382, -0.589, 0.999, 0.092],
            ],
        },
    };

    fn model() -> &'static RobotModel {
        &ROBOT
    }
}
