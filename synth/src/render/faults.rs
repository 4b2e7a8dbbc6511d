use std::sync::{Arc, Mutex, PoisonError};

use bevy::render::renderer::RenderDevice;

use super::RenderError;

/// The first thing that the device complained of. Bevy's own record is read once a frame, before anything is drawn, so
/// that a pipeline that the device refuses would give one black picture without an error.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Option<RenderError>>>);

impl Faults {
    /// Listens to `device` from now on, in place of whoever did.
    pub fn watch(&self, device: &RenderDevice) {
        let faults = self.clone();
        device.wgpu_device().on_uncaptured_error(Arc::new(move |error| {
            let mut first = faults.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(match error {
                wgpu::Error::Validation { description, .. } => RenderError::Refused { reason: description },
                other => RenderError::Device { reason: other.to_string() },
            });
        }));
    }

    /// # Errors
    /// What it complained of.
    pub fn check(&self) -> Result<(), RenderError> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }
}
