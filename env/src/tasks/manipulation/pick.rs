//! `ArmPick-v0`: take a cube with an arm and lift it.

use serde::{Deserialize, Serialize};

use super::arm::distance;
use super::cube::{Cube, HALF, draw_place};

use super::{Arm, Chore, Manipulation, Tool};
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome};

/// The registry's row.
pub const ENTRY: TaskEntry = ArmPick::entry(
    ["ArmPick-v0", "arm-pick", "Take a cube with an arm and lift it."],
    &[
        term("reward/reach", "minus the distance of the tool from the cube"),
        term("reward/lift", "height of the cube above the table while it is held, up to 0.2 m, times 5"),
        term("reward/success", "+5 when it is 0.2 m up"),
    ],
);

const HIGH: f32 = 0.2;

/// A cube is taken from the table and lifted.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | cube position x, y, z | ±1 | m |
/// | 9–10 | sine and cosine of four times its yaw | ±1 | |
///
/// # Reward
/// `reward/reach` − distance of tool and cube (m), `reward/lift` 5 × height above the table (m) while the fingers hold it,
/// `reward/success` +5.
///
/// # Start and end
/// The cube (5 cm, 60–110 g) lies 0.3–0.52 m ahead, within ±0.2 m across, at any yaw. The episode terminates with success
/// when the fingers hold it 0.2 m above the table; it is truncated after 200 steps.
pub type ArmPick = Manipulation<Pick>;

/// The chore of [`ArmPick`].
#[derive(Serialize, Deserialize)]
pub struct Pick {
    cube: Cube,
}

impl Chore for Pick {
    const BOUNDS: &'static [f32] = &[1.0; 5];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let at = draw_place(draw);
        Self { cube: Cube::add(arm, draw, "cube", at, [0.7, 0.1, 0.05]) }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        self.cube.observe(arm, out);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let at = self.cube.place(arm);
        let up = (at[2] - HALF).clamp(0.0, HIGH);
        let held = self.cube.held(arm);
        let done = held && up >= HIGH - 1e-3;
        let lift = if held { 5.0 * up } else { 0.0 };
        let terms = [-distance(arm.tool().position, at), lift, if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done, success: done }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        let [x, y, _] = arm.wanted().position;
        let up = Tool { position: [x, y, HIGH + 0.08], yaw: arm.wanted().yaw, closed: 1.0 };
        self.cube.take(arm, up)
    }
}
