//! When do the steps that have come become one call to the engine? A state machine that is told the time.

use std::time::Duration;

use worldstep_env::Buffer;

use crate::Limits;
use crate::session::Token;

/// One session's step, checked and waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingStep {
    /// Whose it is.
    pub session: Token,
    /// Actions of all its environments.
    pub actions: Buffer,
    /// Which of them to step.
    pub mask: Vec<bool>,
    /// When it came.
    pub at: Duration,
}

/// Collects steps of the sessions that share an engine. It dispatches when every one of them has answered, when
/// `batch_max` environments wait, or when the oldest step is `wait_max` old, whichever comes first.
#[derive(Debug)]
pub struct Batcher {
    pending: Vec<PendingStep>,
    batch_max: usize,
    wait_max: Duration,
}

impl Batcher {
    /// Nothing is waiting.
    pub fn new(limits: &Limits) -> Self {
        Self { pending: Vec::new(), batch_max: limits.batch_max, wait_max: limits.wait_max }
    }

    /// Adds a step; a session has at most one waiting.
    pub fn push(&mut self, step: PendingStep) {
        debug_assert!(self.pending.iter().all(|other| other.session != step.session));
        self.pending.push(step);
    }

    /// Forgets the step of a session that has gone.
    pub fn remove(&mut self, session: Token) {
        self.pending.retain(|step| step.session != session);
    }

    /// Whether to dispatch now, given how many sessions share the engine.
    pub fn due(&self, sessions: usize, now: Duration) -> bool {
        let envs: usize = self.pending.iter().map(|step| step.mask.len()).sum();
        let waited = self.deadline().is_some_and(|deadline| deadline <= now);
        !self.pending.is_empty() && (self.pending.len() >= sessions || envs >= self.batch_max || waited)
    }

    /// When the oldest step has waited long enough.
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.iter().map(|step| step.at + self.wait_max).min()
    }

    /// Takes all that waits, oldest first.
    pub fn take(&mut self) -> Vec<PendingStep> {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn step(session: Token, envs: usize, at: Duration) -> PendingStep {
        PendingStep { session, actions: Buffer::F32(vec![0.0; envs]), mask: vec![true; envs], at }
    }

    fn batcher() -> Batcher {
        Batcher::new(&Limits { batch_max: 8, wait_max: 5 * MS, ..Limits::default() })
    }

    #[test]
    fn waits_until_every_session_has_answered() {
        let mut batcher = batcher();
        assert!(!batcher.due(2, MS), "nothing to dispatch");
        batcher.push(step(1, 2, MS));
        assert!(!batcher.due(2, 2 * MS));
        batcher.push(step(2, 2, 2 * MS));
        assert!(batcher.due(2, 2 * MS));
        assert_eq!(batcher.take().len(), 2);
        assert!(!batcher.due(2, 99 * MS));
    }

    #[test]
    fn waits_no_longer_than_wait_max_for_the_oldest() {
        let mut batcher = batcher();
        batcher.push(step(1, 2, 10 * MS));
        batcher.push(step(2, 2, 14 * MS));
        assert_eq!(batcher.deadline(), Some(15 * MS));
        assert!(!batcher.due(3, 14 * MS));
        assert!(batcher.due(3, 15 * MS));
    }

    #[test]
    fn a_full_batch_waits_for_nobody() {
        let mut batcher = batcher();
        batcher.push(step(1, 8, MS));
        assert!(batcher.due(3, MS));
    }

    #[test]
    fn a_session_that_has_gone_takes_its_step_along() {
        let mut batcher = batcher();
        batcher.push(step(1, 2, MS));
        batcher.remove(1);
        assert_eq!(batcher.deadline(), None);
        assert!(!batcher.due(0, 99 * MS));
    }
}
