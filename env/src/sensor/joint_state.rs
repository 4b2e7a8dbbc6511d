use serde::{Deserialize, Serialize};

use super::Sensor;
use crate::Space;
use crate::physics::World;
use crate::robot::Robot;

/// Positions and speeds further out are told as this.
const BOUND: f32 = 1e3;

/// Encoders of a robot's joints: the positions of all (rad, m), then their speeds (rad/s, m/s).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JointState {
    robot: Robot,
    joints: Vec<usize>,
}

impl JointState {
    /// Of these joints of a robot, each of one axis.
    pub fn new(robot: &Robot, joints: Vec<usize>) -> Self {
        Self { robot: robot.clone(), joints }
    }
}

impl Sensor for JointState {
    fn space(&self) -> Space {
        let high = vec![BOUND; 2 * self.joints.len()];
        let low: Vec<_> = high.iter().map(|bound| -bound).collect();
        Space::bounded(&low, &high)
    }

    fn read(&mut self, world: &World, out: &mut Vec<f32>) {
        for part in 0..2 {
            let state = |joint: &usize| self.robot.joint_state(world, *joint)[part];
            out.extend(self.joints.iter().map(|joint| state(joint).clamp(-BOUND, BOUND)));
        }
    }
}
