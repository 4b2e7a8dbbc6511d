use std::f32::consts::FRAC_PI_2;

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::arm::level;
use super::{Arm, Tool};
use crate::physics::Look;
use crate::{Draw, Shape};

/// Half of a cube's edge, metres.
pub(super) const HALF: f32 = 0.025;
/// How far above a thing the tool goes before it comes down on it, metres.
const ABOVE: f32 = 0.1;

/// A cube that the gripper can take.
#[derive(Serialize, Deserialize)]
pub(super) struct Cube {
    pub body: RigidBodyHandle,
}

impl Cube {
    /// A cube of 60 to 110 g flat on the table.
    pub fn add(
        arm: &mut Arm,
        draw: &mut Draw<'_>,
        name: &'static str,
        at: [f32; 2],
        color: [f32; 3],
    ) -> Self {
        let yaw = draw.within(-0.7..0.7);
        let density = draw.within(500.0..900.0);
        let look = Look::moving(name, Shape::Cuboid { half_extents: [HALF; 3] }, color);
        let (body, _) = arm.world.add(
            look,
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(at[0], at[1], HALF))
                .rotation(Vector::new(0.0, 0.0, yaw))
                .can_sleep(false),
            ColliderBuilder::cuboid(HALF, HALF, HALF).density(density).friction(0.8),
        );
        Self { body }
    }

    pub fn place(&self, arm: &Arm) -> [f32; 3] {
        arm.place(self.body)
    }

    pub fn speed(&self, arm: &Arm) -> f32 {
        arm.world.body(self.body).linvel().length()
    }

    /// Yaw of a pair of its faces, within ±45°.
    pub fn yaw(&self, arm: &Arm) -> f32 {
        let x = *arm.world.body(self.body).rotation() * Vector::X;
        let yaw = x.y.atan2(x.x);
        yaw - FRAC_PI_2 * (yaw / FRAC_PI_2).round()
    }

    /// Position and sine and cosine of four times the yaw, which is the same whichever face is in front.
    pub fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        let (sin, cos) = (4.0 * self.yaw(arm)).sin_cos();
        out.extend(self.place(arm));
        out.extend([sin, cos]);
    }

    /// Whether the fingers hold it.
    pub fn held(&self, arm: &Arm) -> bool {
        let (at, tool) = (self.place(arm), arm.tool().position);
        level(at, tool) < 0.02
            && (at[2] - tool[2]).abs() < 0.03
            && arm.wanted().closed > 0.5
            && arm.finger() < HALF + 0.01
    }

    /// Where the expert wants the tool to take the cube; the same as `then` once it is held.
    pub fn take(&self, arm: &Arm, then: Tool) -> Tool {
        if self.held(arm) {
            return then;
        }
        let (at, tool, turned_to) = (self.place(arm), arm.tool(), arm.wanted().yaw);
        // The pair of faces that takes the least turning.
        let yaw = self.yaw(arm);
        let yaw = yaw + FRAC_PI_2 * ((turned_to - yaw) / FRAC_PI_2).round();
        let aside = level(at, tool.position);
        let down = tool.position[2] - at[2];
        let turned = (tool.yaw - yaw).abs() < 0.1;
        let closing = arm.wanted().closed > 0.5;
        if aside < 0.012 && down < 0.012 && (turned || closing) {
            return Tool { position: at, yaw: if closing { turned_to } else { yaw }, closed: 1.0 };
        }
        let lined_up = aside < 0.012 && turned;
        let height = if lined_up { at[2] } else { at[2] + ABOVE };
        Tool { position: [at[0], at[1], height], yaw, closed: 0.0 }
    }
}

/// A cube, and the disc on the table that it belongs on.
#[derive(Serialize, Deserialize)]
pub(super) struct CubeAndTarget {
    pub cube: Cube,
    /// Where the cube's middle is when it lies on the disc's.
    pub target: [f32; 3],
}

impl CubeAndTarget {
    /// Both where the arm reaches well, at least 12 cm apart.
    pub fn add(arm: &mut Arm, draw: &mut Draw<'_>, radius: f32) -> Self {
        let at = draw_place(draw);
        let [x, y] = draw_place_apart(draw, at, 0.12);
        let cube = Cube::add(arm, draw, "cube", at, [0.7, 0.1, 0.05]);
        let disc = Shape::Cylinder { radius, half_height: 0.002 };
        arm.world.add_ghost(
            Look::fixed("target", disc, [0.05, 0.5, 0.1]),
            RigidBodyBuilder::fixed().translation(Vector::new(x, y, 0.002)),
        );
        Self { cube, target: [x, y, HALF] }
    }

    /// The cube as [`Cube::observe`], then x and y of the target.
    pub fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        self.cube.observe(arm, out);
        out.extend([self.target[0], self.target[1]]);
    }
}

/// A point of the table that the arm reaches well.
pub(super) fn draw_place(draw: &mut Draw<'_>) -> [f32; 2] {
    [draw.within(0.3..0.52), draw.within(-0.2..0.2)]
}

/// A point that is at least `apart` metres from `other`.
pub(super) fn draw_place_apart(draw: &mut Draw<'_>, other: [f32; 2], apart: f32) -> [f32; 2] {
    const TRIES_MAX: u32 = 200;
    let mut place = [0.42, if other[1] > 0.0 { -0.15 } else { 0.15 }];
    for _ in 0..TRIES_MAX {
        let drawn = draw_place(draw);
        if (drawn[0] - other[0]).hypot(drawn[1] - other[1]) >= apart {
            place = drawn;
            break;
        }
    }
    place
}
