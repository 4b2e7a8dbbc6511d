//! Where the time of a step goes, kernel by kernel.

#[cfg(feature = "cuda")]
use crate::model::Model;

/// What the launches of one kernel (of products, those of one size) take in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel's name; of a product also its rows, length and columns.
    pub kernel: String,
    /// Launches in a step.
    pub launches: usize,
    /// Seconds in a step, the median of some.
    pub seconds: f64,
    /// Additions and multiplications in a step.
    pub flops: f64,
    /// Bytes to and from memory in a step, if each number comes from there once.
    pub bytes: f64,
}

/// A step's time by kernel, and what the device can do at most.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Kernels in the order of their time, longest first.
    pub kernels: Vec<KernelTime>,
    /// Additions and multiplications a second of a large product, in the numbers and by the means of the step's products.
    pub flops_per_s: f64,
    /// Bytes a second of a large copy, read and written ones.
    pub bytes_per_s: f64,
    /// What makes products.
    pub products: String,
}

impl Profile {
    /// Share of the [arithmetic](Self::flops_per_s) that a kernel reaches.
    pub fn arithmetic_share(&self, kernel: &KernelTime) -> f64 {
        kernel.flops / kernel.seconds / self.flops_per_s
    }

    /// Share of the [bandwidth](Self::bytes_per_s) that it reaches.
    pub fn bandwidth_share(&self, kernel: &KernelTime) -> f64 {
        kernel.bytes / kernel.seconds / self.bytes_per_s
    }
}

/// Where the time of a step of `lanes` lanes goes on the GPU that `model` computes on.
///
/// # Errors
/// A line that says why the kernels cannot be run.
#[cfg(feature = "cuda")]
pub fn profile(model: &Model, lanes: usize, runs: usize) -> Result<Profile, String> {
    let device = super::device_of(model).ok_or("kernels run on GPUs: choose --device cuda:N")?;
    let engine = super::CudaEngine::<half::bf16>::with_products(model, lanes, (&device, model.products));
    Ok(engine.map_err(|error| error.to_string())?.profile(runs))
}
