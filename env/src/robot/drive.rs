use rapier3d::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Control, JointSpec};

/// What a control does to its joint. Forces are N on sliders and N·m on hinges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Drive {
    /// Force `gear × control`.
    Force {
        /// Force for each unit of control.
        gear: f32,
    },
    /// A servo: force `stiffness × (control − position) − damping × velocity`, integrated implicitly.
    Position {
        /// N/m or N·m/rad.
        stiffness: f32,
        /// N·s/m or N·m·s/rad.
        damping: f32,
    },
    /// A speed servo: force `damping × (control − velocity)`, integrated implicitly.
    Velocity {
        /// N·s/m or N·m·s/rad.
        damping: f32,
    },
}

/// One control input of a robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Actuator {
    /// Name in the file, or that of its joint.
    pub name: String,
    /// Which joint it drives: position in [`RobotModel::joints`](super::RobotModel::joints).
    pub joint: usize,
    /// What the control does.
    pub drive: Drive,
    /// Controls are clamped to this range; infinite where the file names none.
    pub range: [f32; 2],
    /// Largest force, N or N·m; infinite where the file names none.
    pub force_max: f32,
}

impl Actuator {
    /// Force of a [`Drive::Force`] for this control; 0 for servos, which Rapier's motors integrate.
    ///
    /// A joint that already moves faster than `velocity_max` is not driven further.
    pub(super) fn force(&self, control: f32, velocity: f32, velocity_max: f32) -> f32 {
        let Drive::Force { gear } = self.drive else { return 0.0 };
        let force = (gear * control).clamp(-self.force_max, self.force_max);
        if velocity.abs() > velocity_max && force * velocity > 0.0 { 0.0 } else { force }
    }

    /// Points the joint's motor, `gain` times as strong as it is described, at `control`.
    pub(super) fn aim(
        &self,
        joint: &mut GenericJoint,
        axis: JointAxis,
        control: f32,
        velocity_max: f32,
        gain: f32,
    ) {
        match self.drive {
            Drive::Force { .. } => return,
            Drive::Position { stiffness, damping } => {
                joint.set_motor_position(axis, control, gain * stiffness, gain * damping);
            }
            Drive::Velocity { damping } => {
                joint.set_motor_velocity(axis, control.clamp(-velocity_max, velocity_max), gain * damping);
            }
        }
        joint.set_motor_model(axis, MotorModel::ForceBased).set_motor_max_force(axis, gain * self.force_max);
    }
}

/// An actuator for every joint that can have one.
pub(super) fn for_joints(joints: &[JointSpec], control: Control) -> Vec<Actuator> {
    let driven = joints.iter().enumerate().filter(|(_, joint)| joint.has_one_axis() && joint.mimic.is_none());
    driven
        .map(|(i, joint)| {
            let (drive, range) = match control {
                Control::File | Control::Force => {
                    (Drive::Force { gear: 1.0 }, [-joint.effort_max, joint.effort_max])
                }
                Control::Position { stiffness, damping } => {
                    let anywhere = [f32::NEG_INFINITY, f32::INFINITY];
                    (Drive::Position { stiffness, damping }, joint.limits.unwrap_or(anywhere))
                }
                Control::Velocity { damping } => {
                    (Drive::Velocity { damping }, [-joint.velocity_max, joint.velocity_max])
                }
            };
            Actuator { name: joint.name.clone(), joint: i, drive, range, force_max: joint.effort_max }
        })
        .collect()
}
