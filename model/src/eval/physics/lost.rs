//! How long objects stay where they ought to be.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::probe::WHOLE;
use super::track::{Track, distance, median};

/// Steps until an object in plain sight is off by more than its own radius, or is not seen at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lost {
    /// Median over objects and clips; one that is never off counts with the steps of its clip, so that this is a lower
    /// bound where `never_share` is a half or more.
    pub median_steps: usize,
    /// Share that is never off.
    pub never_share: f64,
    /// Objects and clips.
    pub objects: usize,
}

/// Steps of every object.
#[derive(Clone, Debug, Default)]
pub struct LostTally {
    steps: Vec<f64>,
    never: usize,
}

impl LostTally {
    /// Adds the dreamt part of one object, as far as the track goes; nothing if it is never in plain sight there. What is
    /// whole in truth ought to be so in a dream: the place of what is found there counts even if it is seen in part only.
    pub fn add(&mut self, case: &Case<'_>, object: usize, track: &Track) {
        let Some(solid) = &case.solids[object] else { return };
        let end = case.frames.min(track.positions.len());
        let in_sight = |t: &usize| case.visible(*t, object) >= WHOLE;
        if !(case.context..end).any(|t| in_sight(&t)) {
            return;
        }
        let off = |t: &usize| {
            let found = track.found.get(*t).copied().unwrap_or(true);
            let pair = track.roughly(*t).zip(case.truth[object].at(*t));
            in_sight(t) && (!found || pair.is_some_and(|(a, b)| distance(a, b) > solid.radius()))
        };
        let first = (case.context..end).find(off);
        self.never += usize::from(first.is_none());
        self.steps.push((first.unwrap_or(end) - case.context) as f64);
    }

    /// `None` without objects.
    pub fn report(&self) -> Option<Lost> {
        let objects = self.steps.len();
        let median_steps = median(&mut self.steps.clone())? as usize;
        Some(Lost { median_steps, never_share: self.never as f64 / objects as f64, objects })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_step_counts_at_which_it_is_off_by_a_radius() {
        let case = Case::falling(30);
        let drifting = |per_frame: f64| {
            let x = |t: usize| per_frame * (t as f64 - 3.0);
            Track::told((0..30).map(|t| case.truth[0].at(t).map(|p| [x(t), p[1], p[2]]).unwrap()))
        };
        let lost = |track: &Track| {
            let mut tally = LostTally::default();
            tally.add(&case, 0, track);
            tally.report().unwrap()
        };
        // Off by 0.1, 0.2, 0.3 m in frames 4, 5, 6: two steps are within the radius of 0.25 m.
        assert_eq!(lost(&drifting(0.1)), Lost { median_steps: 2, never_share: 0.0, objects: 1 });
        assert_eq!(lost(&drifting(0.0)), Lost { median_steps: 26, never_share: 1.0, objects: 1 });
        // A track that ends early says nothing of what would have followed.
        let mut short = drifting(0.0);
        short.positions.truncate(10);
        assert_eq!(lost(&short), Lost { median_steps: 6, never_share: 1.0, objects: 1 });
    }

    #[test]
    fn what_has_faded_is_where_it_is_found() {
        let case = Case::falling(10);
        let seen = |x: f64| Track {
            positions: vec![None; 10],
            found: vec![true; 10],
            rough: (0..10).map(|t| case.truth[0].at(t).map(|p| [x, p[1], p[2]])).collect(),
            ..Track::default()
        };
        let never = |track: &Track| {
            let mut tally = LostTally::default();
            tally.add(&case, 0, track);
            tally.report().unwrap().never_share
        };
        assert_eq!((never(&seen(0.1)), never(&seen(0.4))), (1.0, 0.0));
    }

    #[test]
    fn what_is_never_in_plain_sight_does_not_count() {
        let case = Case { visible: &[0.0; 30], ..Case::falling(30) };
        let mut tally = LostTally::default();
        tally.add(&case, 0, &case.truth[0]);
        assert_eq!(tally.report(), None);
    }
}
