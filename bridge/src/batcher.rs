//! When do the steps that have come become one call to the engine? A state machine that is told the time.

use std::collections::VecDeque;
use std::time::Duration;

use worldstep_env::Buffer;

use crate::Limits;
use crate::session::Token;
use crate::worker::Asked;

/// One session's step, checked and waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingStep {
    /// The request.
    pub asked: Asked,
    /// Actions of all its environments; none if they are on the card.
    pub actions: Buffer,
    /// Which of them to step.
    pub mask: Vec<bool>,
    /// When it came.
    pub at: Duration,
}

impl PendingStep {
    /// Environments that are stepped.
    pub fn envs(&self) -> usize {
        self.mask.iter().filter(|masked| **masked).count()
    }
}

/// Collects steps of the sessions that share an engine. It dispatches when every session that is at work has answered,
/// when `batch_max` environments wait, or when the oldest step is `wait_max` old, whichever comes first.
///
/// Where waiting buys nothing, since a call over few environments costs little, `wait_max` is zero: a batch is then
/// whatever came while the engine was busy.
#[derive(Debug)]
pub struct Batcher {
    pending: VecDeque<PendingStep>,
    batch_max: usize,
    wait_max: Duration,
}

impl Batcher {
    /// Nothing is waiting; steps wait for others if the engine gains by it.
    pub fn new(limits: &Limits, gains_by_waiting: bool) -> Self {
        let wait_max = if gains_by_waiting { limits.wait_max } else { Duration::ZERO };
        Self { pending: VecDeque::new(), batch_max: limits.batch_max, wait_max }
    }

    /// Adds a step; a session has at most one waiting.
    pub fn push(&mut self, step: PendingStep) {
        debug_assert!(self.pending.iter().all(|other| other.asked.session != step.asked.session));
        // A step that waited for the one before it in its session is older than some that are here already.
        let place = self.pending.partition_point(|other| other.at <= step.at);
        self.pending.insert(place, step);
    }

    /// Forgets the step of a session that has gone.
    pub fn remove(&mut self, session: Token) {
        self.pending.retain(|step| step.asked.session != session);
    }

    /// Steps that wait.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether to dispatch now, given how many sessions are at work on the engine.
    pub fn due(&self, sessions: usize, now: Duration) -> bool {
        let waited = self.deadline().is_some_and(|deadline| deadline <= now);
        let envs = || self.pending.iter().map(PendingStep::envs).sum::<usize>();
        waited || !self.is_empty() && (self.len() >= sessions || envs() >= self.batch_max)
    }

    /// When the oldest step has waited long enough.
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.front().map(|step| step.at + self.wait_max)
    }

    /// Takes what waits, oldest first, until `batch_max` environments are together; at least one step, if there is one.
    pub fn take(&mut self) -> Vec<PendingStep> {
        let mut envs = 0;
        let fits = self.pending.iter().take_while(|step| {
            let first = envs == 0;
            envs += step.envs();
            first || envs <= self.batch_max
        });
        let count = fits.count();
        self.pending.drain(..count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Header, Op};

    const MS: Duration = Duration::from_millis(1);

    fn step(session: Token, envs: usize, at: Duration) -> PendingStep {
        let asked = Header { session, ..Header::request(Op::Step) };
        PendingStep { asked, actions: Buffer::F32(vec![0.0; envs]), mask: vec![true; envs], at }
    }

    fn batcher() -> Batcher {
        Batcher::new(&Limits { batch_max: 8, wait_max: 5 * MS, ..Limits::default() }, true)
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
    fn a_step_that_is_late_on_the_desk_has_its_turn_all_the_same() {
        let mut batcher = batcher();
        batcher.push(step(1, 2, 10 * MS));
        batcher.push(step(2, 2, 8 * MS));
        assert_eq!(batcher.deadline(), Some(13 * MS));
        assert_eq!(batcher.take()[0].asked.session, 2);
    }

    #[test]
    fn waits_for_nobody_where_that_buys_nothing() {
        let mut batcher = Batcher::new(&Limits::default(), false);
        batcher.push(step(1, 2, 10 * MS));
        assert!(batcher.due(3, 10 * MS));
    }

    #[test]
    fn a_full_batch_waits_for_nobody_and_leaves_the_rest_in_its_order() {
        let mut batcher = batcher();
        for (session, envs) in [(1, 5), (2, 3), (3, 1), (4, 9)] {
            batcher.push(step(session, envs, MS));
        }
        assert!(batcher.due(5, MS));
        let mut taken = || batcher.take().iter().map(|step| step.asked.session).collect::<Vec<_>>();
        assert_eq!(taken(), [1, 2]);
        assert_eq!(taken(), [3]);
        assert_eq!(taken(), [4], "more than a batch, alone");
        assert!(batcher.is_empty());
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
