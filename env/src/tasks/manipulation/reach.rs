//! `ArmReach-v0`: bring the tool of an arm to a point in the air.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::arm::distance;
use super::cube::draw_place;

use super::{Arm, Chore, Manipulation, Tool};
use crate::physics::Look;
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome, Shape};

/// The registry's row.
pub const ENTRY: TaskEntry = ArmReach::entry(
    ["ArmReach-v0", "arm-reach", "Bring the tool of an arm to a point in the air."],
    &[
        term("reward/distance", "minus the distance of the tool from the point"),
        term("reward/success", "+1 for every step within 2 cm of it"),
    ],
);

const NEAR: f32 = 0.02;

/// The tool is brought to a point in the air.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | the point, x, y, z | ±1 | m |
/// | 9–11 | the point minus the tool | ±1 | m |
///
/// # Reward
/// `reward/distance` − distance (m), `reward/success` +1 for a step that ends within 2 cm.
///
/// # Start and end
/// The point lies 0.3–0.52 m ahead, within ±0.2 m across and 0.05–0.35 m up. The episode never terminates and is truncated
/// after 200 steps; success is being within 2 cm.
pub type ArmReach = Manipulation<Reach>;

/// The chore of [`ArmReach`].
#[derive(Serialize, Deserialize)]
pub struct Reach {
    point: [f32; 3],
}

impl Chore for Reach {
    const BOUNDS: &'static [f32] = &[1.0; 6];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let [x, y] = draw_place(draw);
        let point = [x, y, draw.within(0.05..0.35)];
        arm.world.add_ghost(
            Look::fixed("point", Shape::Sphere { radius: NEAR }, [0.7, 0.05, 0.05]),
            RigidBodyBuilder::fixed().translation(Vector::from(point)),
        );
        Self { point }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        let tool = arm.tool().position;
        out.extend(self.point);
        out.extend(self.point.iter().zip(tool).map(|(point, tool)| point - tool));
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let away = distance(arm.tool().position, self.point);
        let there = away < NEAR;
        Outcome { terms: [-away, f32::from(there), 0.0, 0.0], terminated: false, success: there }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        Tool { position: self.point, ..arm.wanted() }
    }
}
