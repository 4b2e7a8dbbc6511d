//! Robots from URDF and MJCF: read once into a [`RobotModel`], put into any number of worlds as a [`Robot`].
//!
//! Joints are Rapier multibodies (reduced coordinates, so that nothing drifts apart). What Rapier's own loaders leave
//! out is done here: MuJoCo's contact rule, torque motors, effort and velocity limits, joint damping, friction and mimic
//! joints of URDF, initial keyframes; what a file asks for that is not done is named in [`RobotModel::warnings`].
//!
//! ```
//! use std::path::Path;
//! use worldstep_env::Camera;
//! use worldstep_env::physics::World;
//! use worldstep_env::robot::{Control, RobotModel};
//!
//! # let text = r#"<mujoco><worldbody><body><joint name="hinge" axis="0 1 0"/>
//! #   <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.05" mass="1"/></body></worldbody></mujoco>"#;
//! # let file = std::env::temp_dir().join("worldstep-robot-example.xml");
//! # std::fs::write(&file, text)?;
//! # let targets = [0.5];
//! let model = RobotModel::from_file(Path::new(&file))?
//!     .with_control(Control::Position { stiffness: 400.0, damping: 40.0 });
//! for warning in model.warnings() {
//!     eprintln!("{warning}");
//! }
//! let mut world = World::new(50, 4, Camera::new([0.0, -3.0, 1.0], [0.0; 3], 0.6));
//! let mut robot = world.add_robot(&model)?;
//! robot.command(&mut world, &targets);
//! (0..100).for_each(|_| robot.control_step(&mut world));
//! let [position, _speed] = robot.joint_state(&world, 0);
//! assert!((position - 0.5).abs() < 0.02);
//! # std::fs::remove_file(&file)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod articulation;
mod drive;
mod look;
mod mjcf;
mod model;
mod sensing;
mod task;
mod unhonoured;
mod urdf;

pub use articulation::Robot;
pub use drive::{Actuator, Drive};
pub use model::{Control, JointKind, JointSpec, RobotModel};
pub use sensing::{RobotSensor, SensorKind};
pub use task::{RobotControl, RobotTask};
