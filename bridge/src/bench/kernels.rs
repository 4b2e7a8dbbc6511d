use serde_json::json;
use worldstep_env::EnvError;
use worldstep_model::config::{FrameSize, Preset};
use worldstep_model::cuda::{ProductNumbers, Profile};
use worldstep_model::device::ComputeDevice;
use worldstep_model::model::Model;

use super::numerics::random_model;
use super::{Row, engine_error};

/// Steps of which each kernel's median is told.
#[cfg(feature = "cuda")]
const RUNS: usize = 15;
/// Environments, if no other numbers are named.
const ENVS: [usize; 1] = [4096];

/// Which steps are taken apart.
#[derive(Clone, Debug)]
pub struct KernelsBench {
    /// A GPU.
    pub device: ComputeDevice,
    /// What blocks multiply.
    pub products: ProductNumbers,
    /// Size of the model, which has learned nothing: a step costs the same whatever it says.
    pub preset: Preset,
    /// Numbers of environments, each in turn; 4096 if there are none.
    pub envs: Vec<usize>,
}

/// Where the time of a step goes on a GPU: of each kernel the time of all its launches in a step, and the shares that it
/// reaches of the arithmetic and of the bandwidth that a large product and a large copy reach in the same run. Each launch is
/// waited for.
///
/// # Errors
/// [`EnvError::Engine`] if the device is no GPU, or cannot run the kernels.
pub fn kernels(asked: &KernelsBench, show: &mut dyn FnMut(&Row)) -> Result<Vec<Row>, EnvError> {
    let model = random_model(asked.preset, FrameSize::default())
        .on(&asked.device.burn())
        .with_products(asked.products);
    let envs = if asked.envs.is_empty() { &ENVS[..] } else { &asked.envs };
    let mut rows = Vec::new();
    for envs in envs {
        let profile = profile(&model, *envs).map_err(engine_error)?;
        for row in rows_of(&profile, asked, *envs) {
            show(&row);
            rows.push(row);
        }
    }
    Ok(rows)
}

#[cfg(feature = "cuda")]
fn profile(model: &Model, envs: usize) -> Result<Profile, String> {
    worldstep_model::cuda::profile(model, envs, RUNS)
}

#[cfg(not(feature = "cuda"))]
fn profile(_: &Model, _: usize) -> Result<Profile, String> {
    Err("kernels are timed on a GPU: run `make cuda`, and its command with --device cuda:0".to_owned())
}

fn rows_of(profile: &Profile, asked: &KernelsBench, envs: usize) -> Vec<Row> {
    let row = |kernel: &str, launches: usize, metric, value, unit| {
        let case = json!({
            "engine": "dream", "device": asked.device.name(), "preset": asked.preset, "envs": envs, "obs": "rgb",
            "kernel": kernel, "launches": launches, "products": asked.products.name(),
            "products_by": profile.products,
        });
        Row { case, metric, value, unit, peer: None }
    };
    let total = profile.kernels.iter().map(|kernel| kernel.seconds).sum::<f64>();
    let mut rows = vec![
        row("all", profile.kernels.iter().map(|kernel| kernel.launches).sum(), "time", 1e3 * total, "ms"),
        row("largest product", 1, "arithmetic", profile.flops_per_s / 1e12, "TFLOP/s"),
        row("largest copy", 1, "bandwidth", profile.bytes_per_s / 1e9, "GB/s"),
    ];
    for kernel in &profile.kernels {
        let row = |metric, value, unit| row(&kernel.kernel, kernel.launches, metric, value, unit);
        rows.extend([
            row("time", 1e3 * kernel.seconds, "ms"),
            row("time_share", kernel.seconds / total, "share"),
            row("arithmetic_share", profile.arithmetic_share(kernel), "share"),
            row("bandwidth_share", profile.bandwidth_share(kernel), "share"),
        ]);
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use worldstep_model::cuda::KernelTime;

    use super::*;

    fn asked() -> KernelsBench {
        KernelsBench {
            device: ComputeDevice::Cpu,
            products: ProductNumbers::Wide,
            preset: Preset::Nano,
            envs: vec![2],
        }
    }

    #[test]
    fn every_kernel_has_its_time_and_its_shares() {
        let kernel = |kernel: &str, seconds, flops, bytes| KernelTime {
            kernel: kernel.to_owned(),
            launches: 2,
            seconds,
            flops,
            bytes,
        };
        let profile = Profile {
            kernels: vec![kernel("product 2x3x4", 0.003, 6e9, 3e6), kernel("norm", 0.001, 1e6, 5e8)],
            flops_per_s: 4e12,
            bytes_per_s: 1e12,
            products: "cubek".to_owned(),
        };
        let rows = rows_of(&profile, &asked(), 2);
        let value = |kernel: &str, metric: &str| {
            rows.iter().find(|row| row.case["kernel"] == kernel && row.metric == metric).unwrap().value
        };
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}, {expected}");
        close(value("all", "time"), 4.0);
        close(value("norm", "time_share"), 0.25);
        close(value("product 2x3x4", "arithmetic_share"), 0.5);
        close(value("norm", "bandwidth_share"), 0.5);
    }

    #[test]
    fn a_processor_has_no_such_kernels() {
        let error = kernels(&asked(), &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("GPU"), "{error}");
    }
}
