//! The tasks: one file each, with its documentation table, world, reset, step, reward terms and scripted expert.

mod storage;

pub mod acrobot;
pub mod cart_pole;
pub mod cart_pole_swing_up;
pub mod catch_behind_screen;
pub mod double_pendulum;
pub mod intuition;
pub mod locomotion;
pub mod manipulation;
pub mod mobile;
pub mod pendulum;
pub mod push_cube;
pub mod reacher;

use storage::{built_in, keep_within, observe_within, stored_in_world, wrap_angle};

pub use acrobot::Acrobot;
pub use cart_pole::CartPole;
pub use cart_pole_swing_up::CartPoleSwingUp;
pub use catch_behind_screen::CatchBehindScreen;
pub use double_pendulum::DoublePendulum;
pub use intuition::billiards::Billiards;
pub use intuition::carry_tower::CarryTower;
pub use intuition::pour::Pour;
pub use intuition::shell_game::ShellGame;
pub use locomotion::ant::Ant;
pub use locomotion::half_cheetah::HalfCheetah;
pub use locomotion::hopper::Hopper;
pub use locomotion::humanoid::{HumanoidStand, HumanoidWalk};
pub use locomotion::quadruped::{QuadrupedFlat, QuadrupedRough};
pub use locomotion::walker::Walker;
pub use manipulation::open_drawer::OpenDrawer;
pub use manipulation::peg_in_hole::PegInHole;
pub use manipulation::pick::ArmPick;
pub use manipulation::place::ArmPlace;
pub use manipulation::push::ArmPush;
pub use manipulation::reach::ArmReach;
pub use manipulation::stack::ArmStack;
pub use manipulation::turn_knob::TurnKnob;
pub use mobile::navigate::Navigate;
pub use mobile::quadrotor_hover::QuadrotorHover;
pub use mobile::quadrotor_waypoint::QuadrotorWaypoint;
pub use pendulum::Pendulum;
pub use push_cube::PushCube;
pub use reacher::Reacher;
