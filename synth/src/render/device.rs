use std::sync::Arc;

use bevy::render::renderer::{
    RenderAdapter, RenderAdapterInfo, RenderDevice, RenderInstance, RenderQueue, WgpuWrapper,
};
use bevy::render::settings::RenderResources;
use bevy::tasks::block_on;

use super::RenderError;

/// Opens the machine's graphics device: a GPU where there is one, else a software driver.
///
/// # Errors
/// [`RenderError::NoDriver`] if no driver answers, [`RenderError::NoDevice`] if one does but fails.
pub fn open_device() -> Result<RenderResources, RenderError> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let request = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let adapter = block_on(instance.request_adapter(&request))
        .map_err(|error| RenderError::NoDriver { reason: error.to_string() })?;
    let info = adapter.get_info();
    let description = wgpu::DeviceDescriptor {
        label: Some("worldstep"),
        required_features: adapter.features() & wgpu::Features::CLIP_DISTANCES,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) = block_on(adapter.request_device(&description))
        .map_err(|error| RenderError::NoDevice { adapter: info.name.clone(), reason: error.to_string() })?;
    Ok(RenderResources(
        RenderDevice::from(device),
        RenderQueue(Arc::new(WgpuWrapper::new(queue))),
        RenderAdapterInfo(WgpuWrapper::new(info)),
        RenderAdapter(Arc::new(WgpuWrapper::new(adapter))),
        RenderInstance(Arc::new(WgpuWrapper::new(instance))),
    ))
}
