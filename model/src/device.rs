use burn::tensor::Device;
use thiserror::Error;

use crate::neural_env;

/// Beyond this the shares of a batch get too small.
const SHARES_MAX: usize = 8;

/// A device name that cannot be used.
#[derive(Debug, Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("unknown device {name:?}; use cpu or cuda:N")]
    Unknown {
        /// The name given.
        name: String,
    },
    /// A GPU was asked for, but this build has none.
    #[error("{name:?} needs a build with CUDA: run `make cuda` and use that binary, or choose cpu")]
    NoCuda {
        /// The name given.
        name: String,
    },
}

/// Where the model computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComputeDevice {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU, by index.
    Cuda(usize),
}

impl ComputeDevice {
    /// Reads `cpu`, `cuda` or `cuda:N`.
    ///
    /// # Errors
    /// [`DeviceError`] if the name is unknown or this build has no CUDA.
    pub fn from_name(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { name: name.to_owned() };
        let index = match name {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => 0,
            other => other.strip_prefix("cuda:").and_then(|index| index.parse().ok()).ok_or_else(unknown)?,
        };
        if cfg!(feature = "cuda") {
            Ok(Self::Cuda(index))
        } else {
            Err(DeviceError::NoCuda { name: name.to_owned() })
        }
    }

    /// The name that [`from_name`](Self::from_name) reads.
    pub fn name(self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Cuda(index) => format!("cuda:{index}"),
        }
    }

    /// burn's handle on it.
    pub fn burn(self) -> Device {
        match self {
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Device::cuda(index),
            _ => Device::flex(),
        }
    }

    /// Bytes of its memory that nobody has taken; `None` where it does not tell.
    pub fn free_bytes(self) -> Option<u64> {
        match self {
            Self::Cpu => neural_env::free_bytes(),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => crate::cuda::free_bytes_of(index),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda(_) => None,
        }
    }

    /// Threads that each take a share of a batch.
    pub fn shares(self) -> usize {
        shares(&self.burn())
    }
}

/// Threads that each take a share of a batch on `device`: the processor's cores, or one for a GPU.
pub fn shares(device: &Device) -> usize {
    if device.clone().inner() == Device::flex() {
        std::thread::available_parallelism().map_or(1, usize::from).min(SHARES_MAX)
    } else {
        1
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_or_explained() {
        assert_eq!(ComputeDevice::from_name("cpu").unwrap(), ComputeDevice::Cpu);
        let unknown = ComputeDevice::from_name("tpu").unwrap_err().to_string();
        assert!(unknown.contains("cpu or cuda:N"), "{unknown}");
        if !cfg!(feature = "cuda") {
            let error = ComputeDevice::from_name("cuda:0").unwrap_err().to_string();
            assert!(error.contains("make cuda"), "{error}");
        }
    }
}
