use std::fmt;

use serde::{Deserialize, Serialize};

/// The first steps' rate as a share of the peak: not nothing, so that they are steps.
const FIRST: f64 = 0.02;

/// Learning rate over one stage: it rises, stays, and falls at the end
/// ([warm-up, stable, decay](https://arxiv.org/abs/2404.06395)). Each time is a share of the stage's budget, so the same
/// schedule serves a budget of minutes and one of steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Share of the stage in which the rate rises to its peak, 0 to 1. Default 0.03.
    pub warmup: f64,
    /// Share of the stage, at its end, in which the rate falls to `floor`, 0 to 1. Default 0.2.
    pub decay: f64,
    /// The rate at the end as a share of the peak, 0 to 1. Default 0.01.
    pub floor: f64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { warmup: 0.03, decay: 0.2, floor: 0.01 }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { warmup, decay, floor } = self;
        write!(f, "warmup {warmup}, decay {decay}, floor {floor}")
    }
}

impl Schedule {
    /// Whether its shares are such.
    ///
    /// # Errors
    /// A line that names the value and what would be right.
    pub fn check(&self) -> Result<(), String> {
        let shares = [("warmup", self.warmup), ("decay", self.decay), ("floor", self.floor)];
        if let Some((name, value)) = shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            return Err(format!("{name} is {value}, expected a share from 0 to 1"));
        }
        if self.warmup + self.decay > 1.0 {
            let (warmup, decay) = (self.warmup, self.decay);
            return Err(format!(
                "warmup {warmup} and decay {decay} make more than the whole stage; 1 at most"
            ));
        }
        Ok(())
    }

    /// The rate when `fraction` of the stage is done, 0 to 1. The fall is that of one minus a square root, which
    /// [Hägele et al.](https://arxiv.org/abs/2405.18392) found to be the best of several.
    pub fn rate(&self, peak: f64, fraction: f64) -> f64 {
        if fraction < self.warmup {
            return peak * (fraction / self.warmup).max(FIRST);
        }
        let left = 1.0 - fraction;
        if left >= self.decay {
            return peak;
        }
        let fallen = (1.0 - left / self.decay).clamp(0.0, 1.0).sqrt();
        peak * (self.floor + (1.0 - self.floor) * (1.0 - fallen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let schedule = Schedule::default();
        let rate = |fraction| schedule.rate(2.0, fraction);
        assert!(rate(0.0) > 0.0 && rate(0.0) < 0.1);
        assert!(rate(0.01) < rate(0.02));
        assert_eq!([rate(0.03), rate(0.5), rate(0.79)], [2.0; 3]);
        assert!(rate(0.81) > rate(0.9) && rate(0.9) > rate(0.99));
        assert!((rate(1.0) - 2.0 * schedule.floor).abs() < 1e-9);
    }

    #[test]
    fn no_part_is_needed() {
        let flat = Schedule { warmup: 0.0, decay: 0.0, floor: 0.0 };
        assert!([0.0, 0.5, 1.0].iter().all(|fraction| flat.rate(1.0, *fraction) == 1.0));
    }

    #[test]
    fn impossible_shares_are_named() {
        let check = |warmup, decay, floor| Schedule { warmup, decay, floor }.check();
        assert!(check(0.03, 0.2, 0.0).is_ok());
        assert!(check(-0.1, 0.2, 0.0).is_err_and(|message| message.contains("warmup is -0.1")));
        assert!(check(0.1, f64::NAN, 0.0).is_err_and(|message| message.contains("decay is NaN")));
        assert!(
            check(0.6, 0.6, 0.0).is_err_and(|message| message.contains("0.6") && message.contains("whole"))
        );
    }
}
