//! `ArmStack-v0`: take a cube with an arm and set it on another one.

use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use super::cube::{Cube, HALF, draw_place, draw_place_apart};
use super::place::carry;

use super::{Arm, Chore, Manipulation, Tool};
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome};

/// The registry's row.
pub const ENTRY: TaskEntry = ArmStack::entry(
    ["ArmStack-v0", "arm-stack", "Take a cube with an arm and set it on another one."],
    &[
        term("reward/reach", "minus the distance of the tool from the red cube, scaled"),
        term("reward/carry", "minus the distance of the red cube from its place on the other"),
        term("reward/success", "+5 when it stands there and is let go"),
    ],
);

/// A red cube is set on a blue one.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | red cube position x, y, z | ±1 | m |
/// | 9–10 | sine and cosine of four times its yaw | ±1 | |
/// | 11–15 | the same of the blue cube | ±1 | |
///
/// # Reward
/// `reward/reach` −0.1 × distance of tool and red cube (m), `reward/carry` − distance of the red cube from 5 cm above the
/// blue one (m), `reward/success` +5.
///
/// # Start and end
/// The cubes lie 0.3–0.52 m ahead, within ±0.2 m across, at least 0.12 m apart. The episode terminates with success when
/// the red cube stands still on the blue one, within 2 cm of its middle, and the fingers are open; it is truncated after
/// 150 steps.
pub type ArmStack = Manipulation<Stack>;

/// The chore of [`ArmStack`].
#[derive(Serialize, Deserialize)]
pub struct Stack {
    cube: Cube,
    below: Cube,
}

impl Stack {
    /// Where the red cube belongs.
    fn target(&self, arm: &Arm) -> [f32; 3] {
        let [x, y, z] = self.below.place(arm);
        [x, y, z + 2.0 * HALF]
    }
}

impl Chore for Stack {
    const BOUNDS: &'static [f32] = &[1.0; 10];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let at = draw_place(draw);
        let other = draw_place_apart(draw, at, 0.12);
        let cube = Cube::add(arm, draw, "red cube", at, [0.7, 0.1, 0.05]);
        Self { cube, below: Cube::add(arm, draw, "blue cube", other, [0.1, 0.25, 0.7]) }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        self.cube.observe(arm, out);
        self.below.observe(arm, out);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let (at, target) = (self.cube.place(arm), self.target(arm));
        let away = distance(at, target);
        let open = arm.finger() > HALF + 0.01;
        let done = level(at, target) < 0.02
            && (at[2] - target[2]).abs() < 0.01
            && open
            && self.cube.speed(arm) < 0.02;
        let terms = [-0.1 * distance(arm.tool().position, at), -away, if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done, success: done }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        carry(&self.cube, arm, self.target(arm))
    }
}
