//! `ArmPlace-v0`: take a cube with an arm and set it down on a target.

use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use super::cube::{Cube, CubeAndTarget, HALF};

use super::{Arm, Chore, Manipulation, Tool};
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome};

/// The registry's row.
pub const ENTRY: TaskEntry = ArmPlace::entry(
    ["ArmPlace-v0", "arm-place", "Take a cube with an arm and set it down on a target."],
    &[
        term("reward/reach", "minus the distance of the tool from the cube, scaled"),
        term("reward/carry", "minus the distance of the cube from the target"),
        term("reward/success", "+5 when it lies on the target and is let go"),
    ],
);

const NEAR: f32 = 0.025;

/// A cube is taken and set down on a disc elsewhere on the table.
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
/// `reward/reach` −0.1 × distance of tool and cube (m), `reward/carry` − distance of cube and its place on the target (m),
/// `reward/success` +5.
///
/// # Start and end
/// Cube and target lie 0.3–0.52 m ahead, within ±0.2 m across, at least 0.12 m apart. The episode terminates with success
/// when the cube lies still within 2.5 cm of the target's centre and the fingers are open; it is truncated after 200
/// steps.
pub type ArmPlace = Manipulation<Place>;

/// The chore of [`ArmPlace`].
#[derive(Serialize, Deserialize)]
pub struct Place(CubeAndTarget);

impl Chore for Place {
    const BOUNDS: &'static [f32] = &[1.0; 7];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        Self(CubeAndTarget::add(arm, draw, 0.035))
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        self.0.observe(arm, out);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let at = self.0.cube.place(arm);
        let away = distance(at, self.0.target);
        let open = arm.finger() > HALF + 0.01;
        let done = away < NEAR && open && self.0.cube.speed(arm) < 0.02;
        let terms = [-0.1 * distance(arm.tool().position, at), -away, if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done, success: done }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        carry(&self.0.cube, arm, self.0.target)
    }
}

/// Where the expert wants the tool to take the cube and set it down at `target`.
pub(super) fn carry(cube: &Cube, arm: &Arm, target: [f32; 3]) -> Tool {
    let at = cube.place(arm);
    let yaw = arm.wanted().yaw;
    let aside = level(at, target);
    let [x, y, z] = target;
    if aside < 0.015 && at[2] < z + 0.012 {
        // Open, and go up when the fingers are clear.
        let clear = arm.finger() > HALF + 0.008;
        return Tool {
            position: [x, y, if clear { z + 0.12 } else { arm.wanted().position[2] }],
            yaw,
            closed: 0.0,
        };
    }
    let high = at[2] > z + 0.05;
    let position = if aside < 0.012 {
        [x, y, z + 0.004]
    } else if high || aside < 0.03 {
        [x, y, z + 0.09]
    } else {
        let [x, y, _] = arm.wanted().position;
        [x, y, z + 0.1]
    };
    cube.take(arm, Tool { position, yaw, closed: 1.0 })
}
