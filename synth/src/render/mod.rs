//! The batch renderer: scenes and poses → tiles and instances → **one pass for all tiles** → frames.
//!
//! Headless Bevy, driven by hand on a thread of its own. No camera entity and no mesh entity an environment: every
//! instance is one row of a storage buffer, tagged with its tile, and the vertex stage places it there. What one view
//! shows never depends on the other views of its batch, bit for bit.
//!
//! A pass, in order: `tile_batch` sorts instances by kind (what shape) and `style` (what colours) → `pass` uploads
//! them → shadows, in scenes with a light alone (`full_pass`, `shadow.wgsl`) → colours at 2 × 2 samples a pixel
//! (`color.wgsl` plain, `shade_full.wgsl` with a light; shapes by `geometry.wgsl`, meshes and soft things by
//! `triangles.wgsl`) → their mean (`resolve`) → ids, depth and the rest (`label_pass`) → `readback`.

mod atlas;
mod bounding_sphere;
mod camera_frame;
mod device;
mod error;
mod faults;
mod frames;
mod full_pass;
mod full_pipelines;
mod headless;
mod label_pass;
mod light;
mod motion;
mod pass;
mod pictures;
mod pipelines;
mod readback;
mod render_thread;
mod renderer;
mod resolve;
mod shadow_map;
mod shared_corners;
mod storage;
mod style;
mod targets;
mod tile_batch;
mod triangles;

pub use atlas::Atlas;
pub use error::RenderError;
pub use frames::Frames;
pub use renderer::{Channels, RenderConfig, Renderer, SUBMISSIONS_MAX};
pub use tile_batch::{Moment, View};
