//! `Walker-v0`: walk or run forward on two legs, in a plane.

use std::sync::LazyLock;

use super::{Body, Config, Gait, Runner};
use crate::registry::TaskEntry;
use crate::robot::RobotModel;
use crate::tasks::built_in;

/// The registry's row.
pub const ENTRY: TaskEntry =
    Walker::entry("Walker-v0", "walker", "Walk or run forward on two legs, in a plane.");

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/walker.xml")));

/// A torso of 5 kg on two legs of three joints (13.8 kg in all) walks along x; it moves in the plane of x and z alone.
///
/// # Action space
/// `Box(6)`: torques, −1..1 for ± the number of N·m.
///
/// | Index | Joint | N·m |
/// |---|---|---|
/// | 0–2 | left hip, knee, ankle | 100, 80, 50 |
/// | 3–5 | right hip, knee, ankle | 100, 80, 50 |
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
/// `reward/forward` speed along x (m/s), `reward/alive` +1 for a step that ends up, `reward/effort` −0.05 × Σ action².
///
/// # Start and end
/// Joints start within ±0.02 rad and ±0.02 rad/s of straight legs. The episode terminates when the torso is lower than
/// 0.8 m or leans more than 1 rad, and is truncated after 500 steps, which counts as success if it has come 5 m.
pub type Walker = Runner<WalkerBody>;

/// The robot of [`Walker`].
pub struct WalkerBody;

impl Body for WalkerBody {
    const CONFIG: Config = Config {
        root_joints: 3,
        height: [0.8, f32::INFINITY],
        lean_max: 1.0,
        noise: 0.02,
        forward: 1.0,
        alive: 1.0,
        effort: 0.05,
        goal: 5.0,
        camera: [[0.2, -6.0, 1.2], [0.2, 0.0, 0.8]],
        gait: Gait {
            frequency: 2.025,
            stiffness: 0.814,
            damping: 0.0205,
            swings: &[
                [-0.187, 0.741, -0.155, 0.423, 0.314],
                [0.255, 0.427, 0.127, 0.947, -0.655],
                [0.819, 0.332, -0.005, -0.057, -0.232],
                [0.884, -0.100, 1.130, -0.882, -0.118],
                [-0.426, 0.411, 0.640, -0.107, -0.077],
                [-0.142, 0.595, 0.052, 0.327, 0.418],
            ],
        },
    };

    fn model() -> &'static RobotModel {
        &ROBOT
    }
}
