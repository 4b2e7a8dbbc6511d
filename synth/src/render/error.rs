use std::path::PathBuf;

use thiserror::Error;

/// What can go wrong between a scene and its pixels.
#[derive(Clone, Debug, Error)]
pub enum RenderError {
    /// No graphics driver that could draw.
    #[error(
        "no Vulkan driver found ({reason}); install the software one with \
         `apt-get install mesa-vulkan-drivers`, or a GPU's own"
    )]
    NoDriver {
        /// What the graphics library said.
        reason: String,
    },
    /// A driver was found but gave no device.
    #[error("the graphics driver {adapter:?} gave no device: {reason}")]
    NoDevice {
        /// Name of the adapter.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// The atlas does not fit the driver's largest texture.
    #[error(
        "{tiles} tiles of {width}×{height} pixels do not fit this driver's largest texture \
         ({limit}×{limit}); ask for at least one tile, of 1 to {limit} pixels"
    )]
    AtlasTooLarge {
        /// Tiles asked for.
        tiles: usize,
        /// Width of one in pixels.
        width: u32,
        /// Height of one in pixels.
        height: u32,
        /// Largest side of a texture in pixels.
        limit: u32,
    },
    /// A view whose poses do not fit its scene.
    #[error("view {view} has {poses} poses for a scene of {instances} instances; give one pose an instance")]
    PoseCount {
        /// Index of the view.
        view: usize,
        /// Poses given.
        poses: usize,
        /// Instances in the scene.
        instances: usize,
    },
    /// Triangles that don't fit their scene.
    #[error("the triangles of view {view} cannot be drawn: {reason}")]
    Triangles {
        /// Index of the view within its pass.
        view: usize,
        /// What is wrong with them.
        reason: String,
    },
    /// A folder of pictures, or one of them, that cannot be read.
    #[error("{path:?} gives no pictures: {reason}; give a folder of PNG files")]
    Pictures {
        /// The folder or the file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Something was submitted beyond the limit, or nothing where something should be.
    #[error(
        "{waiting} submissions wait to be collected, and at most {limit} may; submit and collect in turn"
    )]
    Submissions {
        /// Submissions that wait.
        waiting: usize,
        /// Most that may.
        limit: usize,
    },
    /// The driver takes a shader, a pipeline or a command for a wrong one.
    #[error(
        "the graphics driver refuses what it is to draw with: {reason}; this is a fault of Worldstep, please report it"
    )]
    Refused {
        /// What the driver said.
        reason: String,
    },
    /// The driver failed while drawing.
    #[error("the graphics driver failed while drawing: {reason}; start the program again")]
    Device {
        /// What the driver said.
        reason: String,
    },
}

impl RenderError {
    /// The same of a view that `first` others come before.
    pub(super) fn after(mut self, first: usize) -> Self {
        if let Self::PoseCount { view, .. } | Self::Triangles { view, .. } = &mut self {
            *view += first;
        }
        self
    }
}
