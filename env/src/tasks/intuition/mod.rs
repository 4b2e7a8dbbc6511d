//! Tasks that ask for an understanding of how things move.

pub mod billiards;
pub mod carry_tower;
pub mod pour;
pub mod shell_game;
