use std::panic::resume_unwind;
use std::thread::scope;

use super::gradients::Turn;

/// Draws the batch of the next step in a thread of its own while this step is computed: **draw the first → compute it and
/// draw the next → compute that**. It never is more than one batch ahead, and what is drawn is what the step itself would
/// have drawn.
pub struct Ahead<D> {
    /// The seed of the batch that is ready, and the batch.
    ready: Option<(u64, D)>,
}

impl<D: Send> Ahead<D> {
    pub fn new() -> Self {
        Self { ready: None }
    }

    /// Computes `step` with what `draw` makes of `now`, while that of `next`, if there is to be a next step, is drawn.
    ///
    /// # Panics
    /// If `draw` does, in whichever thread.
    pub fn during<T>(
        &mut self,
        (now, next): (Turn, Option<Turn>),
        draw: impl Fn(Turn) -> D + Sync,
        step: impl FnOnce(D) -> T,
    ) -> T {
        let ready = self.ready.take().filter(|(seed, _)| *seed == now.seed);
        let drawn = ready.map_or_else(|| draw(now), |(_, drawn)| drawn);
        scope(|scope| {
            let draw = &draw;
            let next = next.map(|next| (next.seed, scope.spawn(move || draw(next))));
            let done = step(drawn);
            self.ready =
                next.map(|(seed, thread)| (seed, thread.join().unwrap_or_else(|panic| resume_unwind(panic))));
            done
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn turn(seed: u64) -> Turn {
        Turn { seed, progress: 0.0 }
    }

    #[test]
    fn every_batch_is_drawn_once_and_one_ahead() {
        let drawn = Mutex::new(Vec::new());
        let draw = |turn: Turn| {
            drawn.lock().unwrap().push(turn.seed);
            turn.seed * 10
        };
        let mut ahead = Ahead::new();
        for step in 0..4 {
            let next = (step < 3).then(|| turn(step + 1));
            assert_eq!(ahead.during((turn(step), next), draw, |batch| batch), step * 10);
            assert_eq!(*drawn.lock().unwrap(), (0..=(step + 1).min(3)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_next_batch_is_drawn_while_the_step_is_computed() {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let draw = |turn: Turn| sender.lock().unwrap().send(turn.seed).unwrap();
        Ahead::new().during((turn(1), Some(turn(2))), draw, |()| {
            let wait = Duration::from_secs(20);
            assert_eq!([(); 2].map(|()| receiver.recv_timeout(wait).unwrap()), [1, 2]);
        });
    }

    #[test]
    fn a_batch_of_another_step_is_not_taken_for_this_one() {
        let mut ahead = Ahead::new();
        let draw = |turn: Turn| turn.seed;
        ahead.during((turn(1), Some(turn(2))), draw, |_| ());
        assert_eq!(ahead.during((turn(7), None), draw, |batch| batch), 7);
    }

    #[test]
    fn what_goes_wrong_in_the_thread_comes_through() {
        let draw = |turn: Turn| assert!(turn.seed < 2, "no batch {}", turn.seed);
        let mut ahead = Ahead::new();
        let result = catch_unwind(AssertUnwindSafe(|| ahead.during((turn(1), Some(turn(2))), draw, |()| ())));
        assert!(result.unwrap_err().downcast_ref::<String>().unwrap().contains("no batch 2"));
    }
}
