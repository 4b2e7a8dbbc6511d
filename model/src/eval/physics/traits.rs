use super::case::{Case, positions};
use super::track::{length, median};
use crate::data::Clips;

/// Share of an object's frames in free flight from which on it is something that falls.
const FLYING_SHARE: f64 = 0.2;
/// Percentile of the speeds that stands for how fast an object goes.
const FAST: f64 = 0.9;
/// A collision changes the velocity at once by this share of how fast the object goes …
const KICK_OF_SPEED: f64 = 0.3;
/// … and by at least so many times the jitter of what is seen.
const KICK_OF_JITTER: f64 = 6.0;
/// … and by at least so many metres a frame: below it, what changes is rounding.
const KICK_MIN_M: f64 = 1e-3;

/// What the truth says of one object over all clips.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traits {
    /// It flies freely much of the time.
    pub falls: bool,
    /// The action moves it directly.
    pub actuated: bool,
    /// How much a place that is seen jitters from frame to frame, metres.
    pub jitter_m: f64,
    /// Least sudden change of velocity that is a collision, metres a frame.
    pub kick: f64,
}

impl Traits {
    /// Traits of each object; `jitter_m` is how much the places that the probe sees in true frames jitter.
    pub fn learn(clips: &Clips, cases: &[Case<'_>], jitter_m: &[f64]) -> Vec<Self> {
        let actuated =
            clips.scenario.instances.iter().filter(|label| label.moving).map(|label| label.actuated);
        let of = |(object, actuated): (usize, bool)| {
            let frames =
                || cases.iter().flat_map(|case| (1..case.frames.saturating_sub(1)).map(move |t| (case, t)));
            let flying = frames().filter(|(case, t)| case.in_flight(*t, object)).count();
            let jitter_m = jitter_m.get(object).copied().unwrap_or(0.0);
            let mut speeds: Vec<f64> = clips
                .ranges
                .iter()
                .flat_map(|range| {
                    let track = &positions(clips, range, range.len)[object];
                    (0..range.len).filter_map(|t| track.velocity(t)).map(length).collect::<Vec<_>>()
                })
                .collect();
            speeds.sort_by(f64::total_cmp);
            let fast = speeds.get((speeds.len() as f64 * FAST) as usize).copied().unwrap_or(0.0);
            Self {
                falls: !actuated && flying as f64 >= FLYING_SHARE * frames().count().max(1) as f64,
                actuated,
                jitter_m,
                kick: (KICK_OF_SPEED * fast).max(KICK_OF_JITTER * jitter_m).max(KICK_MIN_M),
            }
        };
        actuated.enumerate().map(of).collect()
    }
}

/// Median size of what changes the velocity of a flying object beside gravity: how ballistic its flight is.
#[derive(Clone, Debug, Default)]
pub struct FlightTally(Vec<f64>);

impl FlightTally {
    /// Adds the dreamt frames in which the object ought to be in free flight.
    pub fn add(&mut self, case: &Case<'_>, object: usize, track: &super::track::Track) {
        let flying = (case.context + 1..case.frames).filter(|t| case.in_flight(*t, object));
        self.0.extend(flying.filter_map(|t| track.kink(t, case.fall)).map(length));
    }

    /// Metres a frame and frame, and how many frames it is the median of.
    pub fn report(&self) -> (Option<f64>, usize) {
        (median(&mut self.0.clone()), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::track::Track;
    use super::*;

    #[test]
    fn flight_is_ballistic_or_off_by_what_disturbs_it() {
        let case = Case::falling(12);
        let mut truth = FlightTally::default();
        truth.add(&case, 0, &case.truth[0]);
        let (residual, frames) = truth.report();
        assert!(residual.is_some_and(|residual| residual < 1e-9), "{residual:?}");
        assert_eq!(frames, 6, "frames 5 to 10 have neighbours");
        // Straight on instead of falling: g·dt² is missing in every frame.
        let mut straight = FlightTally::default();
        straight.add(&case, 0, &Track::told((0..12).map(|t| [f64::from(t), 0.0, 0.0])));
        assert!(straight.report().0.is_some_and(|residual| (residual - 9.81 * 0.0025).abs() < 1e-9));
    }
}
