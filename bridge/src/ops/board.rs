use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Snapshot;

/// How old figures may be before the server makes new ones.
const FRESH: Duration = Duration::from_millis(250);

/// Where a server hangs out its figures for other threads to read; the server never waits for a reader.
#[derive(Debug, Default)]
pub struct Board(Mutex<Option<Published>>);

#[derive(Clone, Debug)]
struct Published {
    snapshot: Arc<Snapshot>,
    at: Instant,
}

impl Board {
    /// Hangs out figures if those that hang there are old. To be called at every turn of the server's loop, however
    /// little has happened: whoever reads the board takes old figures for a server that is stuck.
    pub fn publish_if_due(&self, make: impl FnOnce() -> Snapshot) {
        if self.age().is_none_or(|age| age >= FRESH) {
            let published = Published { snapshot: Arc::new(make()), at: Instant::now() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(published);
        }
    }

    /// The latest figures.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.published().map(|published| published.snapshot)
    }

    /// How old the latest figures are; `None` if there have not been any.
    pub fn age(&self) -> Option<Duration> {
        self.published().map(|published| published.at.elapsed())
    }

    fn published(&self) -> Option<Published> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_made_only_when_old() {
        let board = Board::default();
        assert!(board.latest().is_none() && board.age().is_none());
        let mut made = 0;
        for _ in 0..100 {
            board.publish_if_due(|| {
                made += 1;
                Snapshot::default()
            });
        }
        assert!(made < 50, "made {made} times");
        std::thread::sleep(FRESH);
        assert!(board.age().unwrap() >= FRESH);
        board.publish_if_due(Snapshot::default);
        assert!(board.age().unwrap() < FRESH);
    }
}
