use rapier3d::prelude::{Pose as Frame, *};

use super::World;
use crate::Pose;
use crate::record::{Joint, JointKind};

/// A joint of a [`World`].
pub type JointId = ImpulseJointHandle;

impl World {
    /// Joins two bodies.
    ///
    /// Give motors of hinges [`MotorModel::ForceBased`]: Rapier's default scales a motor by the inertia about the
    /// child's own centre, so that it hardly moves a child that hangs far from its hinge.
    pub fn join(
        &mut self,
        a: RigidBodyHandle,
        b: RigidBodyHandle,
        joint: impl Into<GenericJoint>,
    ) -> JointId {
        self.physics.insert_impulse_joint(a, b, joint)
    }

    /// The joint, to set its motor's target, wakes what it holds; `None` if it is not of this world.
    pub fn joint_mut(&mut self, joint: JointId) -> Option<&mut GenericJoint> {
        self.physics.impulse_joints.get_mut(joint, true).map(|joint| &mut joint.data)
    }

    /// Where a joint of one degree of freedom stands: radians for a hinge (±π), metres for a slider, the distance of
    /// the anchors for a rope. 0 for other kinds and joints of another world.
    pub fn joint_position(&self, joint: JointId) -> f32 {
        let Some(joint) = self.physics.impulse_joints.get(joint) else { return 0.0 };
        let frame = |body, local: Frame| *self.body(body).position() * local;
        let [a, b] =
            [frame(joint.body1(), joint.data.local_frame1), frame(joint.body2(), joint.data.local_frame2)];
        let between = a.inverse() * b;
        match kind(&joint.data) {
            JointKind::Hinge => {
                let turn = 2.0 * between.rotation.x.atan2(between.rotation.w);
                (turn + std::f32::consts::PI).rem_euclid(std::f32::consts::TAU) - std::f32::consts::PI
            }
            JointKind::Slider => between.translation.x,
            JointKind::Distance => between.translation.length(),
            JointKind::Fixed | JointKind::Ball => 0.0,
        }
    }

    /// Writes what holds bodies together, in the order that it was built.
    pub fn joints(&self, out: &mut Vec<Joint>) {
        out.clear();
        out.extend(self.physics.impulse_joints.iter().map(|(_, joint)| {
            let id = |body| self.physics.bodies.get(body).map_or(0, |body| body.user_data as u16);
            let kind = kind(&joint.data);
            let axis = match kind {
                JointKind::Hinge => JointAxis::AngX,
                _ => JointAxis::LinX,
            };
            Joint {
                a: id(joint.body1()),
                b: id(joint.body2()),
                kind,
                frame_a: pose(joint.data.local_frame1),
                frame_b: pose(joint.data.local_frame2),
                limits: joint.data.limits(axis).map(|limits| [limits.min, limits.max]),
                motor: !joint.data.motor_axes.is_empty(),
            }
        }));
    }
}

/// What a joint leaves free, told from the axes that it locks.
fn kind(joint: &GenericJoint) -> JointKind {
    let free = JointAxesMask::all() & !joint.locked_axes;
    match free {
        free if free.is_empty() => JointKind::Fixed,
        JointAxesMask::ANG_X => JointKind::Hinge,
        JointAxesMask::LIN_X => JointKind::Slider,
        JointAxesMask::ANG_AXES => JointKind::Ball,
        _ => JointKind::Distance,
    }
}

fn pose(frame: Frame) -> Pose {
    Pose { position: frame.translation.to_array(), quat_xyzw: frame.rotation.to_array() }
}
