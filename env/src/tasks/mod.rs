//! The tasks: one file each, with its documentation table, world, reset, step, reward terms and scripted expert.

pub mod cart_pole;
pub mod catch_behind_screen;
pub mod push_cube;

pub use cart_pole::CartPole;
pub use catch_behind_screen::CatchBehindScreen;
pub use push_cube::PushCube;
