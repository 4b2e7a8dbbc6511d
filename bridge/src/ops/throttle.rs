use std::time::{Duration, Instant};

/// Lets so many things through in each stretch of time and counts the rest.
#[derive(Debug)]
pub(super) struct Throttle {
    most: u64,
    stretch: Duration,
    began: Option<Instant>,
    passed: u64,
    held_back: u64,
}

impl Throttle {
    /// `most` in each `stretch`.
    pub const fn new(most: u64, stretch: Duration) -> Self {
        Self { most, stretch, began: None, passed: 0, held_back: 0 }
    }

    /// Whether one more passes at `now`; if so, how many have been held back since the last that did.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= self.stretch) {
            (self.began, self.passed) = (Some(now), 0);
        }
        if self.passed == self.most {
            self.held_back += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_back_is_counted() {
        let start = Instant::now();
        let mut throttle = Throttle::new(2, Duration::from_secs(10));
        let passes = [0, 1, 2, 9, 10, 11, 12, 30].map(|s| throttle.pass(start + Duration::from_secs(s)));
        assert_eq!(passes, [Some(0), Some(0), None, None, Some(2), Some(0), None, Some(1)]);
    }
}
