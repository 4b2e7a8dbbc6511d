//! Robots that drive and fly.

pub mod navigate;
pub mod quadrotor;
pub mod quadrotor_hover;
pub mod quadrotor_waypoint;
