use super::error::TrainError;
use crate::device::ComputeDevice;

/// Share of the device's free memory that the coded corpus, or all frames while the tokenizer learns, take at most: the rest is for weights, moments and what a step
/// keeps for its backward pass.
pub const CORPUS_SHARE: f64 = 0.5;

/// Where batches are put together. All ways give the same batches, to the bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feed {
    /// On the processor as [`Host`](Self::Host); on a GPU as [`Device`](Self::Device) where the corpus fits there, else as
    /// [`Ahead`](Self::Ahead).
    #[default]
    Auto,
    /// By the threads that compute, each its own share, as a step begins.
    Host,
    /// By a thread that is one batch ahead, while the step before is computed.
    Ahead,
    /// On the device. The codes of all frames, and all else that the dynamics' batches read, are put there once; a step
    /// gathers its batch by the numbers of rows, and the host, one batch ahead, only draws. The tokenizer's frames the same
    /// way; where these, 48 times as large as their codes and more, do not fit, they come as with [`Ahead`](Self::Ahead).
    Device,
}

impl Feed {
    /// Reads `auto`, `host`, `ahead` or `device`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Host, Self::Ahead, Self::Device].into_iter().find(|feed| feed.name() == name)
    }

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Host => "host",
            Self::Ahead => "ahead",
            Self::Device => "device",
        }
    }

    /// Whether a thread is one batch ahead on `device`.
    pub fn is_ahead(self, device: ComputeDevice) -> bool {
        match self {
            Self::Auto => device != ComputeDevice::Cpu,
            Self::Host => false,
            Self::Ahead | Self::Device => true,
        }
    }

    /// Whether a corpus of `bytes` is to be put on `device`, which has `free` bytes if that is known.
    ///
    /// # Errors
    /// [`TrainError::Option`] if it was asked for and does not fit.
    pub fn puts_on(self, device: ComputeDevice, bytes: u64, free: Option<u64>) -> Result<bool, TrainError> {
        let allowed = free.map(|free| (free as f64 * CORPUS_SHARE) as u64);
        match self {
            Self::Host | Self::Ahead => Ok(false),
            Self::Auto => Ok(device != ComputeDevice::Cpu && allowed.is_some_and(|allowed| bytes <= allowed)),
            Self::Device => match allowed {
                Some(allowed) if bytes > allowed => {
                    let mega = |bytes: u64| bytes as f64 / 1e6;
                    let message = format!(
                        "the coded corpus takes {:.1} MB, {} lets it have {:.1} MB: leave the feed at auto, which puts \
                         batches together ahead",
                        mega(bytes),
                        device.name(),
                        mega(allowed)
                    );
                    Err(TrainError::Option { message })
                }
                _ => Ok(true),
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GPU: ComputeDevice = ComputeDevice::Cuda(0);

    #[test]
    fn a_corpus_goes_to_a_gpu_if_it_fits_and_else_a_thread_serves() {
        let auto = |device, bytes, free| Feed::Auto.puts_on(device, bytes, free).unwrap();
        assert!(auto(GPU, 500, Some(1000)));
        assert!(!auto(GPU, 501, Some(1000)));
        assert!(!auto(GPU, 1, None), "nobody knows whether it fits");
        assert!(!auto(ComputeDevice::Cpu, 1, Some(1000)), "host memory is the device's");
        assert!(Feed::Auto.is_ahead(GPU) && !Feed::Auto.is_ahead(ComputeDevice::Cpu));
        assert!(!Feed::Ahead.puts_on(GPU, 1, Some(1000)).unwrap());
    }

    #[test]
    fn what_was_asked_for_and_does_not_fit_is_refused_with_both_sizes() {
        assert!(Feed::Device.puts_on(GPU, 500_000_000, Some(1_000_000_000)).unwrap());
        let error = Feed::Device.puts_on(GPU, 600_000_000, Some(1_000_000_000)).unwrap_err().to_string();
        assert!(
            error.contains("600.0 MB") && error.contains("500.0 MB") && error.contains("cuda:0"),
            "{error}"
        );
    }

    #[test]
    fn names_are_read_back() {
        for feed in [Feed::Auto, Feed::Host, Feed::Ahead, Feed::Device] {
            assert_eq!(Feed::from_name(feed.name()), Some(feed));
        }
        assert_eq!(Feed::from_name("gpu"), None);
    }
}
