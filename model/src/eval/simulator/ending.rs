//! When episodes end.

use serde::{Deserialize, Serialize};

/// Ends needed to choose a threshold by.
const ENDS_MIN: usize = 8;
/// A threshold that foretells worse than this, by F1, is none: a model that knows nothing of ends does best to call every
/// step one.
const F1_MIN: f64 = 0.5;
/// Frames that a dreamt end may be early or late and still count as foretold.
const TOLERANCE_FRAMES: usize = 5;

/// How well a rare event is foretold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Share of foretold events that happened; null where none was foretold.
    pub precision: Option<f64>,
    /// Share of events that were foretold; null where none happened.
    pub recall: Option<f64>,
    /// Harmonic mean of both; null where there was neither.
    pub f1: Option<f64>,
    /// Events that happened.
    pub events: u64,
}

/// The ends of dreams beside those of the clips; the dream goes on for some frames beyond the clip's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DreamtEndings {
    /// A dreamt end counts if it is within so many frames of the true one.
    pub tolerance_frames: usize,
    /// By that rule.
    pub accuracy: Accuracy,
    /// Mean time error where both end, however far apart, frames.
    pub time_error_frames: Option<f64>,
    /// Mean of how much later the dream ends, frames; negative is early.
    pub late_frames: Option<f64>,
    /// Clips that end in truth whose dream does not.
    pub missed: usize,
}

/// The threshold at which probabilities of termination foretell best which steps end an episode, by F1: the middle of the
/// range that does. `None` if fewer than eight steps do, if the best F1 is below 0.5, or if 0.5 foretells as well.
pub fn best_threshold(mut foretold: Vec<(f32, bool)>) -> Option<f32> {
    foretold.retain(|(probability, _)| probability.is_finite());
    let mut plain = Endings::new(0.5);
    foretold.iter().for_each(|(probability, ends)| plain.add(*probability, *ends));
    foretold.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let events = foretold.iter().filter(|(_, ends)| *ends).count();
    let (mut hits, mut best) = (0, (0.0, None));
    for (place, (probability, ends)) in foretold.iter().enumerate() {
        hits += usize::from(*ends);
        let next = foretold.get(place + 1).map_or(0.0, |(next, _)| *next);
        let f1 = 2.0 * hits as f64 / (place + 1 + events) as f64;
        if next < *probability && f1 > best.0 {
            best = (f1, Some(0.5 * (probability + next)));
        }
    }
    let gains = best.0 >= F1_MIN && plain.one_step().f1.is_none_or(|f1| best.0 > f1);
    best.1.filter(|_| gains && events >= ENDS_MIN)
}

/// Counts of ends.
#[derive(Clone, Debug)]
pub struct Endings {
    /// Probability above which an end is foretold.
    threshold: f32,
    foretold: u64,
    happened: u64,
    both: u64,
    dreamt: u64,
    ended: u64,
    matched: u64,
    late: Vec<f64>,
}

impl Endings {
    /// Nothing counted yet; an end is foretold above `threshold`.
    pub fn new(threshold: f32) -> Self {
        Self {
            threshold,
            foretold: 0,
            happened: 0,
            both: 0,
            dreamt: 0,
            ended: 0,
            matched: 0,
            late: Vec::new(),
        }
    }

    /// Adds one row foretold from true frames.
    pub fn add(&mut self, probability: f32, happened: bool) {
        let foretold = probability > self.threshold;
        self.foretold += u64::from(foretold);
        self.happened += u64::from(happened);
        self.both += u64::from(foretold && happened);
    }

    /// Adds one dream: probabilities by frame, of which the first `told` are of frames that the clip has, and the frame that
    /// truly was the last, if the clip ends by itself. Of a clip that is cut off nobody knows whether it would have ended
    /// in the frames beyond.
    pub fn add_dream(&mut self, probabilities: &[f32], told: usize, end: Option<usize>) {
        let known =
            if end.is_some() { probabilities } else { &probabilities[..told.min(probabilities.len())] };
        let dreamt = known.iter().position(|probability| *probability > self.threshold);
        self.dreamt += u64::from(dreamt.is_some());
        self.ended += u64::from(end.is_some());
        if let Some((dreamt, end)) = dreamt.zip(end) {
            self.late.push(dreamt as f64 - end as f64);
            self.matched += u64::from(dreamt.abs_diff(end) <= TOLERANCE_FRAMES);
        }
    }

    /// One step ahead of true frames.
    pub fn one_step(&self) -> Accuracy {
        accuracy(self.both, self.foretold, self.happened)
    }

    /// Of whole dreams.
    pub fn dreamt(&self) -> DreamtEndings {
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            (!self.late.is_empty()).then(|| values.sum::<f64>() / self.late.len() as f64)
        };
        DreamtEndings {
            tolerance_frames: TOLERANCE_FRAMES,
            accuracy: accuracy(self.matched, self.dreamt, self.ended),
            time_error_frames: mean(&mut self.late.iter().map(|late| late.abs())),
            late_frames: mean(&mut self.late.iter().copied()),
            missed: (self.ended as usize).saturating_sub(self.late.len()),
        }
    }
}

fn accuracy(both: u64, foretold: u64, happened: u64) -> Accuracy {
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    Accuracy {
        precision: share(both, foretold),
        recall: share(both, happened),
        f1: share(2 * both, foretold + happened),
        events: happened,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_lies_in_the_middle_of_the_best_range() {
        // Ends from 0.7 on, but for a step at 0.75 that is none and an end at 0.1 that nobody foresees.
        let steps = (0..64).map(|i| (0.01 * i as f32, false)).chain([(0.75, false), (0.1, true)]);
        let ends = (0..10).map(|i| (0.7 + 0.02 * i as f32, true));
        let threshold = best_threshold(steps.chain(ends).collect()).unwrap();
        assert!((threshold - 0.5 * (0.63 + 0.7)).abs() < 1e-6, "{threshold}");
    }

    #[test]
    fn no_threshold_is_chosen_where_none_helps() {
        let apart = |ends: usize, at: f32| {
            let ends = (0..ends).map(|_| (at + 0.1, true));
            best_threshold((0..40).map(|i| (at - 0.01 * i as f32, false)).chain(ends).collect())
        };
        assert!(apart(8, 0.8).is_some());
        assert_eq!(apart(7, 0.8), None, "seven ends are too few");
        assert_eq!(apart(8, 0.45), None, "0.5 tells them apart already");
        let even = |i: usize| (0.6, i.is_multiple_of(4));
        assert_eq!(best_threshold((0..80).map(even).collect()), None, "nothing is known of ends");
    }

    #[test]
    fn single_steps_are_counted_row_by_row() {
        let mut endings = Endings::new(0.5);
        for (probability, happened) in [(0.9, true), (0.2, true), (0.8, false), (0.1, false)] {
            endings.add(probability, happened);
        }
        assert_eq!(
            endings.one_step(),
            Accuracy { precision: Some(0.5), recall: Some(0.5), f1: Some(0.5), events: 2 }
        );
    }

    #[test]
    fn dreams_end_early_late_or_not_at_all() {
        let ends_at = |t: usize| (0..40).map(|i| f32::from(i == t)).collect::<Vec<_>>();
        let mut endings = Endings::new(0.5);
        endings.add_dream(&ends_at(18), 28, Some(20));
        endings.add_dream(&ends_at(30), 28, Some(20));
        endings.add_dream(&[0.0; 40], 28, Some(20));
        endings.add_dream(&ends_at(5), 28, None);
        // Of what would have followed the cut, nobody knows.
        endings.add_dream(&ends_at(30), 28, None);
        let dreamt = endings.dreamt();
        // One of three foretold ends is within five frames of one of three true ones.
        assert_eq!(dreamt.accuracy.f1, Some(1.0 / 3.0), "{dreamt:?}");
        assert_eq!((dreamt.late_frames, dreamt.time_error_frames), (Some(4.0), Some(6.0)));
        assert_eq!((dreamt.missed, dreamt.accuracy.events), (1, 3));
        assert_eq!(Endings::new(0.5).dreamt().accuracy, Accuracy::default(), "of nothing there is no share");
    }
}
