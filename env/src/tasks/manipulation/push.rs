//! `ArmPush-v0`: push a cube to a target with the closed gripper of an arm.

use std::f32::consts::PI;

use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use super::cube::CubeAndTarget;

use super::{Arm, Chore, Manipulation, Tool};
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome};

/// The registry's row.
pub const ENTRY: TaskEntry = ArmPush::entry(
    ["ArmPush-v0", "arm-push", "Push a cube to a target with the closed gripper of an arm."],
    &[
        term("reward/reach", "minus the distance of the tool from the cube, scaled"),
        term("reward/push", "minus the distance of the cube from the target"),
        term("reward/success", "+5 when the cube is on the target"),
    ],
);

const NEAR: f32 = 0.03;
/// The tool pushes from this far behind the cube's centre, metres.
const BEHIND: f32 = 0.06;

/// A cube is pushed to a disc on the table.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | cube position x, y, z | ±1 | m |
/// | 9–10 | sine and cosine of four times its yaw | ±1 | |
/// | 11–12 | target x, y | ±1 | m |
///
/// # Reward
/// `reward/reach` −0.1 × distance of tool and cube (m), `reward/push` − distance of cube and target (m), `reward/success` +5.
///
/// # Start and end
/// Cube and target lie 0.3–0.52 m ahead, within ±0.2 m across, at least 0.12 m apart. The episode terminates with success
/// when the cube's centre is within 3 cm of the target's; it is truncated after 200 steps.
pub type ArmPush = Manipulation<Push>;

/// The chore of [`ArmPush`].
#[derive(Serialize, Deserialize)]
pub struct Push(CubeAndTarget);

impl Chore for Push {
    const BOUNDS: &'static [f32] = &[1.0; 7];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        Self(CubeAndTarget::add(arm, draw, NEAR))
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        self.0.observe(arm, out);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let at = self.0.cube.place(arm);
        let away = level(at, self.0.target);
        let there = away < NEAR;
        let reach = distance(arm.tool().position, at);
        let terms = [-0.1 * reach, -away, if there { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: there, success: there }
    }

    /// Goes behind the cube, seen from the target, comes down and pushes.
    fn wanted(&self, arm: &Arm) -> Tool {
        let (at, tool) = (self.0.cube.place(arm), arm.tool().position);
        let away = level(at, self.0.target).max(1e-3);
        let [dx, dy] = [(self.0.target[0] - at[0]) / away, (self.0.target[1] - at[1]) / away];
        let behind = [at[0] - BEHIND * dx, at[1] - BEHIND * dy];
        // How far the tool is off the line through cube and target, and how far along it.
        let [ox, oy] = [tool[0] - at[0], tool[1] - at[1]];
        let (beside, along) = (ox * dy - oy * dx, ox * dx + oy * dy);
        // The fingers' broad side pushes.
        let yaw = (-dx).atan2(dy);
        // Either side of the closed fingers will do.
        let yaw = yaw - PI * (yaw / PI).round();
        let lined_up = beside.abs() < 0.015 && along < -0.03 && along > -0.09;
        let height = if lined_up { 0.015 } else { 0.11 };
        let low = tool[2] < 0.04;
        let position = if lined_up && low {
            [at[0] - 0.01 * dx, at[1] - 0.01 * dy, 0.015]
        } else {
            [behind[0], behind[1], height]
        };
        Tool { position, yaw, closed: 1.0 }
    }
}
