//! The dream on a GPU: one step as a row of kernels on the device's own memory, **append a frame → predict → draw the next →
//! decode it**, with nothing but codes, actions and numbers going to and fro.
//!
//! The kernels are CubeCL's, so that the very code that runs on a GPU is tested on the processor; `worldstep-model`'s
//! feature `cuda` links the GPU's runtime.

#[cfg_attr(not(feature = "kernels"), allow(dead_code, reason = "only how much it is counts then"))]
mod exchange;
mod memory;
#[cfg(feature = "kernels")]
mod meter;
mod profile;

#[cfg(any(feature = "cuda", test))]
mod column_major;
#[cfg(feature = "kernels")]
mod context;
#[cfg(feature = "cuda")]
mod context_order;
#[cfg(feature = "cuda")]
mod cublas;
#[cfg(feature = "kernels")]
mod engine;
#[cfg(feature = "kernels")]
mod fp8;
#[cfg(feature = "kernels")]
mod frame_codec;
#[cfg(feature = "kernels")]
mod kernels;
#[cfg(feature = "kernels")]
mod layout;
#[cfg(feature = "kernels")]
mod recording;
#[cfg(feature = "kernels")]
mod rings;
#[cfg(feature = "kernels")]
mod stack;
#[cfg(feature = "kernels")]
mod step_buffers;
#[cfg(feature = "kernels")]
mod weights;

#[cfg(feature = "kernels")]
pub use context::Stored;
#[cfg(feature = "cuda")]
pub(crate) use context::beside_recordings;
#[cfg(feature = "cuda")]
pub(crate) use context_order::ContextOrder;
#[cfg(feature = "kernels")]
pub use engine::{CudaEngine, EngineError};
pub(crate) use memory::check;
pub use memory::{DeviceMemory, LIBRARY_LANES, ProductNumbers};
#[cfg(feature = "cuda")]
pub use profile::profile;
pub use profile::{KernelTime, Profile};

/// The GPU that `model` computes on, as CubeCL knows it; none on a processor.
#[cfg(feature = "cuda")]
pub fn device_of(model: &crate::model::Model) -> Option<cubecl::Device> {
    cubecl::Device::cuda(index_of(model)?).ok()
}

/// The number of the GPU that `model` computes on; none on a processor.
#[cfg(feature = "cuda")]
pub fn index_of(model: &crate::model::Model) -> Option<usize> {
    let device = model.device.clone().inner();
    (0..DEVICES_MAX).find(|index| burn::tensor::Device::cuda(*index) == device)
}

/// Bytes that nobody has taken of the memory of the GPU that `model` computes on and of the `devices` − 1 after it, as many
/// of each as of the fullest; `None` where a driver does not tell.
#[cfg(feature = "cuda")]
pub fn free_bytes(model: &crate::model::Model, devices: usize) -> Option<u64> {
    let first = index_of(model)?;
    let mut free = (first..first + devices).map(free_bytes_of);
    let least = free.try_fold(u64::MAX, |least, free| Some(least.min(free?)))?;
    least.checked_mul(devices as u64)
}

/// Bytes that nobody has taken of the memory of the GPU number `index`; `None` where its driver does not tell.
#[cfg(feature = "cuda")]
pub fn free_bytes_of(index: usize) -> Option<u64> {
    Some(cudarc::driver::CudaContext::new(index).ok()?.mem_get_info().ok()?.0 as u64)
}

/// Why large products are not made by cuBLASLt on GPU number `index`, if they are not.
#[cfg(feature = "cuda")]
pub fn without_cublas(index: usize) -> Option<String> {
    cublas::Cublas::new(index).err()
}

/// GPUs of one machine that are looked for.
#[cfg(feature = "cuda")]
const DEVICES_MAX: usize = 16;
