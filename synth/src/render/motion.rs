use bytemuck::{Pod, Zeroable};
use worldstep_env::Pose;

use super::camera_frame::CameraFrame;
use super::tile_batch::{Moment, View};

/// `Motion` of `label.wgsl`: how an instance's points move in the camera's frame from this row to its neighbours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct MotionData {
    next: [[f32; 4]; 3],
    previous: [[f32; 4]; 3],
    /// Focal length at the next and the previous row, pixels.
    focal: [f32; 2],
    padding: [f32; 2],
}

/// The rows before and after a view.
pub(super) struct Motions<'a> {
    next: Option<(CameraFrame, &'a [Pose])>,
    previous: Option<(CameraFrame, &'a [Pose])>,
    focal: [f32; 2],
}

impl<'a> Motions<'a> {
    /// Those of `view`, drawn in `size` (width, height) pixels. Without a row, nothing moves towards it.
    pub fn new(view: &View<'a>, size: (u32, u32)) -> Self {
        let row = |moment: Moment<'a>| (CameraFrame::new(&moment.camera), moment.poses);
        let focal =
            |moment: Option<Moment<'_>>| moment.unwrap_or(view.now).camera.intrinsics(size.0, size.1)[0];
        Self {
            next: view.next.map(row),
            previous: view.previous.map(row),
            focal: [focal(view.next), focal(view.previous)],
        }
    }

    /// How instance `index`, whose rows are now at `camera_from_object`, moves; without moving, if it has a `frame` of
    /// its own.
    pub fn of(&self, index: usize, camera_from_object: &[[f32; 4]; 3], frame: Option<&Pose>) -> MotionData {
        let to = |row: &Option<(CameraFrame, &[Pose])>| {
            let Some((camera, poses)) = row else { return [[0.0; 4]; 3] };
            let then = camera.rows_of(&frame.copied().unwrap_or(poses[index]));
            std::array::from_fn(|r| std::array::from_fn(|c| then[r][c] - camera_from_object[r][c]))
        };
        MotionData {
            next: to(&self.next),
            previous: to(&self.previous),
            focal: self.focal,
            padding: [0.0; 2],
        }
    }
}
