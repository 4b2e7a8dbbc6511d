//! `TurnKnob-v0`: take a knob with an arm and turn it to a mark.

use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::arm::{distance, level};
use crate::Mesh;
use crate::tasks::wrap_angle;

use super::{Arm, Chore, Manipulation, Tool};
use crate::physics::Look;
use crate::registry::{TaskEntry, term};
use crate::{Draw, Outcome, Shape};

/// The registry's row.
pub const ENTRY: TaskEntry = TurnKnob::entry(
    ["TurnKnob-v0", "turn-knob", "Take a knob with an arm and turn it to a mark."],
    &[
        term("reward/reach", "minus the distance of the tool from the knob, scaled"),
        term("reward/turn", "minus the angle that is left"),
        term("reward/success", "+5 at the mark"),
    ],
);

const BAR: [f32; 3] = [0.05, 0.012, 0.02];
const HEIGHT: f32 = 0.06;
const NEAR: f32 = 0.08;

/// A bar on an upright axle is turned to an angle.
///
/// Action space and the first six values of the observation are those of [`Manipulation`].
///
/// | Index | Meaning | Range | Unit |
/// |---|---|---|---|
/// | 6–8 | knob position x, y, z | ±1 | m |
/// | 9–10 | sine and cosine of its angle | ±1 | |
/// | 11 | its angular velocity | ±20 | rad/s |
/// | 12 | angle that is left to turn | ±3.2 | rad |
///
/// # Reward
/// `reward/reach` −0.1 × distance of the tool from the knob (m), `reward/turn` −0.2 × angle left (rad), `reward/success` +5.
///
/// # Start and end
/// The knob stands 0.35–0.5 m ahead, within ±0.15 m across, its bar within ±0.5 rad of x; the mark is 0.8 to 1.4 rad away
/// on either side. It turns against 0.02–0.08 N·m·s/rad. The episode terminates with success within 0.08 rad of the mark;
/// it is truncated after 200 steps.
pub type TurnKnob = Manipulation<Knob>;

/// The chore of [`TurnKnob`].
#[derive(Serialize, Deserialize)]
pub struct Knob {
    knob: RigidBodyHandle,
    mark: f32,
}

impl Knob {
    fn angle(&self, arm: &Arm) -> f32 {
        let x = *arm.world.body(self.knob).rotation() * Vector::X;
        x.y.atan2(x.x)
    }

    fn left(&self, arm: &Arm) -> f32 {
        wrap_angle(self.mark - self.angle(arm))
    }
}

impl Chore for Knob {
    const BOUNDS: &'static [f32] = &[1.0, 1.0, 1.0, 1.0, 1.0, 20.0, 3.2];

    fn set(arm: &mut Arm, draw: &mut Draw<'_>) -> Self {
        let (x, y) = (draw.within(0.35..0.5), draw.within(-0.15..0.15));
        let start: f32 = draw.within(-0.5..0.5);
        let turn = draw.within(0.8..1.4);
        let mark = start + if draw.coin() { turn } else { -turn };
        let post = Shape::Cylinder { radius: 0.03, half_height: 0.5 * (HEIGHT - BAR[2]) };
        let axle = arm.world.add_ghost(
            Look::fixed("axle", post, [0.3, 0.3, 0.32]).of_class("support"),
            RigidBodyBuilder::fixed().translation(Vector::new(x, y, 0.5 * (HEIGHT - BAR[2]))),
        );
        let (sin, cos) = mark.sin_cos();
        arm.world.add_ghost(
            Look::fixed("mark", Shape::Sphere { radius: 0.014 }, [0.05, 0.5, 0.1]),
            RigidBodyBuilder::fixed().translation(Vector::new(x + 0.085 * cos, y + 0.085 * sin, 0.01)),
        );
        let mut mesh = Mesh::default();
        mesh.add_cuboid([0.0; 3], BAR);
        // A nose shows which end points to the mark.
        mesh.add_cuboid([BAR[0] + 0.012, 0.0, 0.0], [0.012, 0.005, 0.01]);
        let shape = arm.world.add_mesh(mesh);
        let (knob, _) = arm.world.add(
            Look::moving("knob", shape, [0.7, 0.1, 0.05]).of_class("joint_link"),
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(x, y, HEIGHT))
                .rotation(Vector::new(0.0, 0.0, start))
                .can_sleep(false),
            ColliderBuilder::cuboid(BAR[0], BAR[1], BAR[2]).density(1_000.0).friction(0.8),
        );
        let hinge = RevoluteJointBuilder::new(Vector::Z)
            .local_anchor1(Vector::new(0.0, 0.0, HEIGHT - 0.5 * (HEIGHT - BAR[2])))
            .motor_model(MotorModel::ForceBased)
            .motor_velocity(0.0, draw.within(0.02..0.08))
            .contacts_enabled(false);
        arm.world.join(axle, knob, hinge.build());
        Self { knob, mark }
    }

    fn observe(&self, arm: &Arm, out: &mut Vec<f32>) {
        let (sin, cos) = self.angle(arm).sin_cos();
        out.extend(arm.place(self.knob));
        out.extend([sin, cos, arm.world.body(self.knob).angvel().z, self.left(arm)]);
    }

    fn judge(&mut self, arm: &Arm) -> Outcome {
        let left = self.left(arm).abs();
        let done = left < NEAR;
        let reach = distance(arm.tool().position, arm.place(self.knob));
        let terms = [-0.1 * reach, -0.2 * left, if done { 5.0 } else { 0.0 }, 0.0];
        Outcome { terms, terminated: done, success: done }
    }

    /// Closes the fingers about the bar and turns the hand.
    fn wanted(&self, arm: &Arm) -> Tool {
        let (knob, tool, angle) = (arm.place(self.knob), arm.tool(), self.angle(arm));
        let [x, y, z] = knob;
        let aside = level(knob, tool.position);
        let gripped = arm.wanted().closed > 0.5 && arm.finger() < BAR[1] + 0.016;
        let down = tool.position[2] < z + 0.015;
        if aside < 0.02 && down {
            // The hand leads the bar a little, never so far that its fingers slip round it.
            let lead = if gripped { self.left(arm).clamp(-0.3, 0.3) } else { 0.0 };
            let yaw = angle + lead;
            return Tool { position: [x, y, z], yaw, closed: 1.0 };
        }
        let turned = wrap_angle(tool.yaw - angle).abs() < 0.1;
        let height = if aside < 0.012 && turned { z } else { z + 0.1 };
        Tool { position: [x, y, height], yaw: angle, closed: 0.0 }
    }
}
