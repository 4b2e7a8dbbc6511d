//! `HalfCheetah-v0`: run as fast as possible on two legs, in a plane.

use std::sync::LazyLock;

use super::{Body, Config, Gait, Runner};
use crate::registry::TaskEntry;
use crate::robot::RobotModel;
use crate::tasks::built_in;

/// The registry's row.
pub const ENTRY: TaskEntry =
    HalfCheetah::entry("HalfCheetah-v0", "half-cheetah", "Run as fast as possible on two legs, in a plane.");

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/half_cheetah.xml")));

/// A body of 12.7 kg with two legs of three joints runs along x; it moves in the plane of x and z alone.
///
/// # Action space
/// `Box(6)`: torques, −1..1 for ± the number of N·m.
///
/// | Index | Joint | N·m |
/// |---|---|---|
/// | 0–2 | back hip, knee, ankle | 80, 60, 40 |
/// | 3–5 | front hip, knee, ankle | 80, 60, 40 |
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | height of the torso | ±10 | m |
/// | 1 | forward lean of the torso | ±10 | rad |
/// | 2–7 | joints, in the order of the actions | ±10 | rad |
/// | 8–9 | velocity of the torso along x and z | ±60 | m/s |
/// | 10 | speed of the lean | ±60 | rad/s |
/// | 11–16 | speeds of the joints | ±60 | rad/s |
///
/// # Reward
/// `reward/forward` speed along x (m/s), `reward/effort` −0.1 × Σ action²; `reward/alive` is 0.
///
/// # Start and end
/// Joints start within ±0.1 rad and ±0.1 rad/s of straight legs. The episode never terminates and is truncated after 500
/// steps, which counts as success if the torso has come 10 m.
pub type HalfCheetah = Runner<HalfCheetahBody>;

/// The robot of [`HalfCheetah`].
pub struct HalfCheetahBody;

impl Body for HalfCheetahBody {
    const CONFIG: Config = Config {
        root_joints: 3,
        height: [f32::NEG_INFINITY, f32::INFINITY],
        lean_max: f32::INFINITY,
        noise: 0.1,
        forward: 1.0,
        alive: 0.0,
        effort: 0.1,
        goal: 10.0,
        camera: [[0.4, -6.0, 1.2], [0.4, 0.0, 0.45]],
        gait: Gait {
            frequency: 2.882,
            stiffness: 2.067,
            damping: 0.0106,
            swings: &[
                [-1.061, 0.365, 0.440, 0.310, 0.378],
                [-0.183, -2.278, -0.254, 0.855, 0.249],
                [-0.402, 0.569, 0.197, -0.494, 0.255],
                [-0.366, 0.411, 0.830, 0.797, -0.141],
                [-0.047, 1.563, 0.722, 0.259, -0.155],
                [-0.465, 0.813, 0.739, -0.589, 0.056],
            ],
        },
    };

    fn model() -> &'static RobotModel {
        &ROBOT
    }
}
