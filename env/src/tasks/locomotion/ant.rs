//! `Ant-v0`: run forward on four legs.

use std::sync::LazyLock;

use super::{Body, Config, Gait, Runner};
use crate::registry::TaskEntry;
use crate::robot::RobotModel;
use crate::tasks::built_in;

/// The registry's row.
pub const ENTRY: TaskEntry = Ant::entry("Ant-v0", "ant", "Run forward on four legs.");

static ROBOT: LazyLock<RobotModel> = LazyLock::new(|| built_in(include_str!("../robots/ant.xml")));

/// A ball of 4 kg with four legs of two joints (8.4 kg in all) runs along x.
///
/// # Action space
/// `Box(8)`: torques, −1..1 for ±40 N·m: hip and knee of front left, front right, back left, back right. A positive hip
/// turns the leg to the left, a positive knee draws the foot under the body.
///
/// # State observation
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 0 | height of the torso | ±10 | m |
/// | 1–4 | orientation of the torso, quaternion xyzw | ±1 | |
/// | 5–12 | joints, in the order of the actions | ±10 | rad |
/// | 13–15 | velocity of the torso, world frame | ±60 | m/s |
/// | 16–18 | angular velocity of the torso, world frame | ±60 | rad/s |
/// | 19–26 | speeds of the joints | ±60 | rad/s |
///
/// # Reward
/// `reward/forward` speed along x (m/s), `reward/alive` +0.5 for a step that ends up, `reward/effort` −0.05 × Σ action².
///
/// # Start and end
/// Joints start within ±0.1 rad and ±0.1 rad/s of the file's pose. The episode terminates when the torso is lower than
/// 0.22 m or higher than 1 m, or leans more than 1.2 rad, and is truncated after 500 steps, which counts as success if it
/// has come 5 m.
pub type Ant = Runner<AntBody>;

/// The robot of [`Ant`].
pub struct AntBody;

impl Body for AntBody {
    const CONFIG: Config = Config {
        root_joints: 0,
        height: [0.22, 1.0],
        lean_max: 1.2,
        noise: 0.1,
        forward: 1.0,
        alive: 0.5,
        effort: 0.05,
        goal: 5.0,
        camera: [[0.0, -5.0, 2.2], [0.0, 0.0, 0.35]],
        gait: Gait {
            frequency: 2.607,
            stiffness: 2.072,
            damping: 0.2172,
            swings: &[
                [-0.256, 0.037, 0.644, 0.226, -0.213],
                [0.220, 0.640, 0.022, 0.349, -0.024],
                [0.538, 0.112, 0.056, -0.069, 0.085],
                [-0.673, 0.255, -0.147, -0.639, 0.109],
                [-0.113, 0.551, 0.334, -0.296, -0.054],
                [-0.112, 0.778, 0.244, 0.571, 0.114],
                [0.150, 0.538, 0.447, -0.239, -0.197],
                [-0.191, 0.462, 0.104, -0.075, -0.187],
            ],
        },
    };

    fn model() -> &'static RobotModel {
        &ROBOT
    }
}
