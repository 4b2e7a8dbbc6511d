//! What the engines and shared memory of all sessions may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::{ErrorCode, Refusal};

const MB: u64 = 1_000_000;

/// What an engine takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineBytes {
    /// Bytes whatever the number of environments: weights, the graphics driver.
    pub base: u64,
    /// Bytes of one environment.
    pub env: u64,
}

impl EngineBytes {
    /// Bytes with `envs` environments.
    pub fn total(&self, envs: usize) -> u64 {
        self.env.saturating_mul(envs as u64).saturating_add(self.base)
    }
}

/// The memory of one server. What is claimed is what engines are known to need, not what the system says of the process:
/// an allocator keeps what was freed, and a session that has gone must make room.
#[derive(Clone, Debug)]
pub struct Memory {
    bytes_max: u64,
    held: Arc<AtomicU64>,
}

/// A part of it, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    bytes: u64,
    held: Arc<AtomicU64>,
}

impl Memory {
    /// Nothing is held of `bytes_max`; without it, there is no bound.
    pub fn new(bytes_max: Option<u64>) -> Self {
        Self { bytes_max: bytes_max.unwrap_or(u64::MAX), held: Arc::default() }
    }

    /// Bytes that are held.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, if they are there.
    pub fn claim(&self, bytes: u64) -> Option<Claim> {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Claim { bytes, held: Arc::clone(&self.held) })
    }

    /// Takes what an engine with `envs` environments needs.
    ///
    /// # Errors
    /// [`ErrorCode::Limit`], with what is held and how many environments would fit.
    pub fn claim_engine(&self, engine: EngineBytes, envs: usize) -> Result<Claim, Refusal> {
        let bytes = engine.total(envs);
        self.claim(bytes).ok_or_else(|| {
            let (held, most) = (self.held(), self.bytes_max);
            let free = most.saturating_sub(held).saturating_sub(engine.base);
            let fit = free.checked_div(engine.env).unwrap_or(0);
            let message = format!(
                "memory_bytes_max: an engine with {envs} environments takes {} MB, sessions hold {} MB of the {} MB \
                 that the server may take, an engine of {fit} would fit: ask for fewer, close a session first, or \
                 allow more (worldstep serve --max-memory-mb)",
                bytes.div_ceil(MB),
                held.div_ceil(MB),
                most / MB,
            );
            Refusal::new(ErrorCode::Limit, message)
        })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ENGINE: EngineBytes = EngineBytes { base: 10 * MB, env: MB };

    #[test]
    fn what_is_dropped_can_be_claimed_again() {
        let memory = Memory::new(Some(50 * MB));
        let first = memory.claim_engine(ENGINE, 20).unwrap();
        let refusal = memory.claim_engine(ENGINE, 11).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::Limit);
        assert!(refusal.message.contains("takes 21 MB, sessions hold 30 MB of the 50 MB"), "{refusal}");
        assert!(refusal.message.contains("an engine of 10 would fit"), "{refusal}");
        let second = memory.claim_engine(ENGINE, 10).unwrap();
        assert_eq!(memory.held(), 50 * MB);
        assert!(memory.claim(1).is_none());
        drop(first);
        assert_eq!(memory.held(), 20 * MB);
        drop(second);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn sizes_beyond_all_measure_are_refused_and_not_wrapped_round() {
        let memory = Memory::new(None);
        let _held = memory.claim(1).unwrap();
        assert!(memory.claim(u64::MAX).is_none());
        let huge = EngineBytes { base: 1, env: u64::MAX };
        assert_eq!(huge.total(2), u64::MAX);
    }
}
