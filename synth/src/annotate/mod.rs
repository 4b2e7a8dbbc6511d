//! What a recorded clip means, worked out from its poses and contacts alone: who sees what, what happened, in words.

pub mod ray_cast;
mod solids;
mod triangles;

pub use ray_cast::{Eye, Hit, NEAR, Ray, RayCaster};
