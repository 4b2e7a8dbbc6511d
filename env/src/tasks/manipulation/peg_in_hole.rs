//! `PegInHole-v0`: take a standing peg with an arm and put it into a hole.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use super::cube::{draw_place, draw_place_apart};
use crate::Mesh;

use super::{Arm, Chore, Manipulation, Tool};
use crate::physics::Look;
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome, Shape};

/// The registry's row.
pub const ENTRY: TaskEntry = PegInHole::entry(
    ["PegInHole-v0", "peg-in-hole", "Take a standing peg with an arm and put it into a hole."],
    &[
        term("reward/reach", "minus the distance of the tool from the peg, scaled"),
        term("reward/carry", "minus the distance of the peg from its place in the hole"),
        term("reward/success", "+5 when it is in the hole"),
    ],
);

const HALF: [f32; 3] = [0.015, 0.015, 0.06];
/// Half of the hole's side, and the block's half height, metres.
const HOLE: f32 = 0.022;
/// How far the expert closes the fingers: gently, or they push the peg askew.
const CLOSED: f32 = 0.75;
const BLOCK: [f32; 2] = [0.03, 0.02];

/// A square peg (3 cm by 3 cm by 12 cm) is put into a hole with 7 mm of play on each side.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | peg position x, y, z | ±1 | m |
/// | 9 | vertical component of its axis | ±1 | |
/// | 10–11 | hole x, y | ±1 | m |
///
/// # Reward
/// `reward/reach` −0.1 × distance of the tool from 1 cm above the peg's middle (m), `reward/carry` − distance of the peg from its
/// place in the hole (m), `reward/success` +5.
///
/// # Start and end
/// Peg and hole stand 0.3–0.52 m ahead, within ±0.2 m across, at least 0.14 m apart. The episode terminates with success
/// when the peg's lower end is less than 2 cm above the table in the hole, without when the peg has fallen over; it is
/// truncated after 200 steps.
pub type PegInHole = Manipulation<Peg>;

/// The chore of [`PegInHole`].
#[derive(Serialize, Deserialize)]
pub struct Peg {
    peg: RigidBodyHandle,
    hole: [f32; 2],
}

impl Peg {
    fn upright(&self, arm: &Arm) -> f32 {
        (*arm.world.body(self.peg).rotation() * Vector::Z).z
    }

    /// The middle of its lower end.
    fn end(&self, arm: &Arm) -> [f32; 3] {
        (*arm.world.body(self.peg).position() * Vector::new(0.0, 0.0, -HALF[2])).to_array()
    }

    /// Where the fingers take it: a little above its middle.
    fn grip(&self, arm: &Arm) -> [f32; 3] {
        let [x, y, z] = arm.place(self.peg);
        [x, y, z + 0.01]
    }

    fn target(&self) -> [f32; 3] {
        [self.hole[0], self.hole[1], HALF[2]]
    }

    fn held(&self, arm: &Arm) -> bool {
        distance(self.grip(arm), arm.tool().position) < 0.025
            && arm.wanted().closed > 0.5
            && arm.finger() < HALF[0] + 0.006
    }
}

/// Four walls about a square hole.
fn add_hole(arm: &mut Arm, [x, y]: [f32; 2]) {
    let half = 0.5 * (BLOCK[0] + HOLE + 0.01);
    let (wide, thick) = (HOLE + 2.0 * half, half);
    let plates = [
        ([HOLE + half, 0.0, 0.0], [thick, wide, BLOCK[1]]),
        ([-HOLE - half, 0.0, 0.0], [thick, wide, BLOCK[1]]),
        ([0.0, HOLE + half, 0.0], [HOLE, thick, BLOCK[1]]),
        ([0.0, -HOLE - half, 0.0], [HOLE, thick, BLOCK[1]]),
    ];
    let mut mesh = Mesh::default();
    plates.iter().for_each(|(center, half)| mesh.add_cuboid(*center, *half));
    let shape = arm.world.add_mesh(mesh);
    let parts = plates.map(|(center, half)| {
        (Pose::from_translation(Vector::from(center)), SharedShape::cuboid(half[0], half[1], half[2]))
    });
    arm.world.add(
        Look::fixed("hole", shape, [0.1, 0.25, 0.7]).of_class("container"),
        RigidBodyBuilder::fixed().translation(Vector::new(x, y, BLOCK[1])),
        ColliderBuilder::compound(parts.to_vec()).friction(0.2),
    );
}

impl Chore for Peg {
    const BOUNDS: &'static [f32] = &[1.0; 6];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let at = draw_place(draw);
        let hole = draw_place_apart(draw, at, 0.14);
        add_hole(arm, hole);
        let look = Look::moving("peg", Shape::Cuboid { half_extents: HALF }, [0.7, 0.1, 0.05]);
        let (peg, _) = arm.world.add(
            look,
            RigidBodyBuilder::dynamic().translation(Vector::new(at[0], at[1], HALF[2])).can_sleep(false),
            ColliderBuilder::cuboid(HALF[0], HALF[1], HALF[2]).density(700.0).friction(0.6),
        );
        Self { peg, hole }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        out.extend(arm.place(self.peg));
        out.push(self.upright(arm));
        out.extend(self.hole);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let (at, target) = (arm.place(self.peg), self.target());
        let up = self.upright(arm);
        let done = level(at, target) < HOLE && at[2] - HALF[2] < 0.02 && up > 0.98;
        let fallen = up < 0.7;
        let reach = distance(arm.tool().position, self.grip(arm));
        let terms = [-0.1 * reach, -distance(at, target), if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done || fallen, success: done }
    }

    fn wanted(&self, arm: &Arm) -> Tool {
        let (grip, tool, end) = (self.grip(arm), arm.tool().position, self.end(arm));
        let aside = level(grip, tool);
        if !self.held(arm) {
            let down = (grip[2] - tool[2]).abs() < 0.012;
            let closed = if aside < 0.004 && down { CLOSED } else { 0.0 };
            let height = if aside < 0.004 { grip[2] } else { grip[2] + 0.11 };
            return Tool { position: [grip[0], grip[1], height], yaw: 0.0, closed };
        }
        // What the fingers hold may sit a little off their middle: it is the peg's end that has to be over the hole.
        let wanted = arm.wanted().position;
        let miss = [self.hole[0] - end[0], self.hole[1] - end[1]];
        let off = miss[0].hypot(miss[1]);
        let low = end[2];
        let spin = arm.world.body(self.peg).angvel().length();
        let settled = distance(tool, wanted) < 0.004 && spin < 0.4;
        let clear = 2.0 * BLOCK[1] + 0.015;
        let [x, y] = [wanted[0] + 0.5 * miss[0], wanted[1] + 0.5 * miss[1]];
        let inside = low < 2.0 * BLOCK[1] && off < 0.012;
        let position = if inside || (settled && off < 0.004) {
            [x, y, wanted[2] - 0.01]
        } else if low > clear || (low > clear - 0.02 && off < 0.02) {
            // Gently, or the peg swings between the fingers.
            let gentle = |miss: f32| if settled || off > 0.03 { miss.clamp(-0.015, 0.015) } else { 0.0 };
            [wanted[0] + gentle(miss[0]), wanted[1] + gentle(miss[1]), wanted[2]]
        } else {
            [wanted[0], wanted[1], wanted[2] + 0.01]
        };
        Tool { position, yaw: 0.0, closed: CLOSED }
    }
}
