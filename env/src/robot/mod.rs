//! Robots from URDF and MJCF: read once into a [`RobotModel`], put into any number of worlds as a [`Robot`].
//!
//! Joints are Rapier multibodies (reduced coordinates, so that nothing drifts apart). What Rapier's own loaders leave
//! out is done here: MuJoCo's contact rule, torque motors, effort and velocity limits, joint damping, friction and mimic
//! joints of URDF, initial keyframes; what a file asks for that is not done is named in [`RobotModel::warnings`].

mod articulation;
mod drive;
mod look;
mod mjcf;
mod model;
mod unhonoured;
mod urdf;

pub use articulation::Robot;
pub use drive::{Actuator, Drive};
pub use model::{Control, JointKind, JointSpec, RobotModel};
