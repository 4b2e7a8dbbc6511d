use std::path::Path;

use super::SynthError;

/// Kept free for `meta` files and everyone else.
const SLACK_BYTES: u64 = 16 << 20;

/// Room for clips: an estimate from those that were written, held against what is free.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskBudget {
    clips: u64,
    bytes: u64,
}

impl DiskBudget {
    /// Takes a clip that took `bytes` in.
    pub fn add(&mut self, bytes: u64) {
        self.clips += 1;
        self.bytes += bytes;
    }

    /// Whether it knows one clip only.
    pub fn is_first(&self) -> bool {
        self.clips == 1
    }

    /// Bytes that `clips` more will take, by the mean of those that were.
    pub fn needed(&self, clips: usize) -> u64 {
        (self.bytes / self.clips.max(1)).saturating_mul(clips as u64).saturating_add(SLACK_BYTES)
    }

    /// Whether there is room for `clips` more in `dir`.
    ///
    /// # Errors
    /// [`SynthError::DiskFull`] says how much is missing.
    pub fn check(&self, dir: &Path, clips: usize) -> Result<(), SynthError> {
        let (needed, Some(free)) = (self.needed(clips), free_bytes(dir)) else { return Ok(()) };
        if needed <= free {
            return Ok(());
        }
        Err(SynthError::DiskFull {
            path: dir.to_owned(),
            clips,
            needed_mb: needed >> 20,
            free_mb: free >> 20,
        })
    }
}

/// Bytes that we may still write to the disk behind `dir`; `None` where the system doesn't say.
#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    let stats = rustix::fs::statvfs(dir).ok()?;
    Some(stats.f_bavail.saturating_mul(stats.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut budget = DiskBudget::default();
        budget.add(1 << 20);
        budget.add(3 << 20);
        assert_eq!(budget.needed(10), (20 << 20) + SLACK_BYTES);
        assert!(budget.check(folder.path(), 1).is_ok());
        let error = budget.check(folder.path(), usize::MAX >> 32).unwrap_err().to_string();
        assert!(error.contains("8589934") && error.contains("MB are free"), "{error}");
    }
}
