//! When things collide, and how they leave.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::probe::WHOLE;
use super::track::{Track, length};

/// Frames on either side of a collision in which another track's one is looked for.
const REACH: usize = 6;
/// Frames about a collision in which the object must be in sight.
const SIGHT: usize = 2;
/// Cosine of 45 degrees: an outcome agrees if the object leaves within so much of the true direction …
const SAME_WAY: f64 = std::f64::consts::FRAC_1_SQRT_2;
/// … and at least at this share of the true speed, and at most at its inverse.
const SAME_SPEED: f64 = 0.5;

/// Collisions of the truth in plain sight in the dreamt part, and what the track makes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Collisions {
    /// Collisions of the truth.
    pub truth: usize,
    /// Share of them that the track has within six frames, each with one of its own.
    pub found: f64,
    /// Share of the track's collisions in plain sight that are one of the truth's: 1 where none is made up.
    pub precision: Option<f64>,
    /// Mean time error of those, frames.
    pub time_error_frames: Option<f64>,
    /// Mean of how much later they are, frames; negative is early.
    pub late_frames: Option<f64>,
    /// Share of those after which the object leaves within 45 degrees of the true direction, at half to twice the speed.
    pub outcome_agreement: Option<f64>,
}

/// Counts over objects and clips.
#[derive(Clone, Debug, Default)]
pub struct CollisionTally {
    truth: usize,
    made_up: usize,
    late: Vec<f64>,
    outcomes: usize,
    agree: usize,
}

/// Frames in which the velocity changes at once by more than `kick` metres a frame: each is the largest change around.
fn kicks(track: &Track, frames: usize, fall: [f64; 3], kick: f64) -> Vec<usize> {
    let size = |t: usize| track.kink(t, fall).map_or(0.0, length);
    let largest = |t: usize| {
        (t.saturating_sub(SIGHT)..=t + SIGHT).all(|other| other >= t || size(other) < size(t))
            && (t + 1..=t + SIGHT).all(|other| size(other) <= size(t))
    };
    (1..frames).filter(|t| size(*t) > kick && largest(*t)).collect()
}

impl CollisionTally {
    /// Adds one object of one clip. It falls where nothing holds it if `falls`; changes of its velocity by more than
    /// `kick` metres a frame are collisions.
    pub fn add(&mut self, case: &Case<'_>, object: usize, track: &Track, (falls, kick): (bool, f64)) {
        let fall = if falls { case.fall } else { [0.0; 3] };
        let counts = |t: usize| {
            let mut about = t.saturating_sub(SIGHT)..=t + SIGHT;
            t > case.context && about.all(|t| t < case.frames && case.visible(t, object) >= WHOLE)
        };
        let truth = kicks(&case.truth[object], case.frames, fall, kick);
        let mine = kicks(track, case.frames, fall, kick);
        let found = matched(&truth, &mine);
        self.made_up += (0..mine.len())
            .filter(|own| counts(mine[*own]) && !found.iter().any(|(_, found)| found == own))
            .count();
        self.truth += truth.iter().filter(|t| counts(**t)).count();
        for (truth, found) in found.iter().map(|(i, own)| (truth[*i], mine[*own])).filter(|(t, _)| counts(*t))
        {
            self.late.push(found as f64 - truth as f64);
            let left = |track: &Track, t: usize| track.velocity(t + SIGHT);
            if let Some((mine, truth)) = left(track, found).zip(left(&case.truth[object], truth)) {
                self.outcomes += 1;
                self.agree += usize::from(agrees(mine, truth));
            }
        }
    }

    /// `None` where nothing collides in sight.
    pub fn report(&self) -> Option<Collisions> {
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let found = self.late.len() as f64;
            (found > 0.0).then(|| values.sum::<f64>() / found)
        };
        (self.truth > 0).then(|| Collisions {
            truth: self.truth,
            found: self.late.len() as f64 / self.truth as f64,
            precision: (self.late.len() + self.made_up > 0)
                .then(|| self.late.len() as f64 / (self.late.len() + self.made_up) as f64),
            time_error_frames: mean(&mut self.late.iter().map(|late| late.abs())),
            late_frames: mean(&mut self.late.iter().copied()),
            outcome_agreement: (self.outcomes > 0).then(|| self.agree as f64 / self.outcomes as f64),
        })
    }
}

/// Pairs of positions in `truth` and `mine` that are within [`REACH`] frames of each other, nearest first, each in one
/// pair only.
fn matched(truth: &[usize], mine: &[usize]) -> Vec<(usize, usize)> {
    let all = (0..truth.len()).flat_map(|i| (0..mine.len()).map(move |own| (i, own)));
    let apart = |&(i, own): &(usize, usize)| truth[i].abs_diff(mine[own]);
    let mut near: Vec<_> = all.filter(|pair| apart(pair) <= REACH).collect();
    near.sort_by_key(apart);
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for (i, own) in near {
        if !pairs.iter().any(|(other, another)| *other == i || *another == own) {
            pairs.push((i, own));
        }
    }
    pairs
}

fn agrees(mine: [f64; 3], truth: [f64; 3]) -> bool {
    let (speed, true_speed) = (length(mine), length(truth));
    let dot: f64 = mine.iter().zip(truth).map(|(a, b)| a * b).sum();
    let ratio = speed / true_speed.max(1e-9);
    dot >= SAME_WAY * speed * true_speed && (SAME_SPEED..=1.0 / SAME_SPEED).contains(&ratio)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Along x at 0.1 m a frame, back from frame `at` on, slower.
    fn bounced(at: usize) -> Track {
        let x = |t: usize| if t <= at { 0.1 * t as f64 } else { 0.1 * at as f64 - 0.08 * (t - at) as f64 };
        Track::told((0..30).map(|t| [x(t), 0.0, 0.0]))
    }

    fn report(track: &Track) -> Collisions {
        let case = Case { truth: vec![bounced(12)], fall: [0.0; 3], ..Case::falling(30) };
        let mut tally = CollisionTally::default();
        tally.add(&case, 0, track, (false, 0.05));
        tally.report().unwrap()
    }

    #[test]
    fn a_bounce_is_one_collision() {
        assert_eq!(kicks(&bounced(12), 30, [0.0; 3], 0.05), [12]);
        let still = report(&bounced(12));
        assert_eq!((still.truth, still.found, still.late_frames), (1, 1.0, Some(0.0)));
        assert_eq!(still.outcome_agreement, Some(1.0));
    }

    #[test]
    fn a_late_bounce_is_late_and_a_missing_one_missing() {
        let late = report(&bounced(15));
        assert_eq!((late.time_error_frames, late.late_frames), (Some(3.0), Some(3.0)));
        let early = report(&bounced(10));
        assert_eq!((early.time_error_frames, early.late_frames), (Some(2.0), Some(-2.0)));
        let straight = Track::told((0..30).map(|t| [0.1 * f64::from(t), 0.0, 0.0]));
        let missing = report(&straight);
        assert_eq!((missing.found, missing.time_error_frames), (0.0, None));
    }

    #[test]
    fn a_collision_is_found_once_and_others_are_made_up() {
        assert_eq!(matched(&[10, 14], &[12, 13, 30]), [(1, 1), (0, 0)]);
        assert_eq!(matched(&[10, 14], &[13]), [(1, 0)], "one cannot be both");
        // To and fro all the time: one of the turns is the true bounce.
        let jittery = Track::told((0..30).map(|t| [0.2 * f64::from(t / 5 % 2), 0.0, 0.0]));
        let report = report(&jittery);
        assert_eq!((report.truth, report.found), (1, 1.0));
        assert!(report.precision.unwrap() < 0.5, "{report:?}");
        assert_eq!(super::tests::report(&bounced(12)).precision, Some(1.0));
    }

    #[test]
    fn an_outcome_agrees_in_direction_and_speed() {
        assert!(agrees([1.0, 0.2, 0.0], [1.0, 0.0, 0.0]));
        assert!(!agrees([0.2, 1.0, 0.0], [1.0, 0.0, 0.0]), "79 degrees off");
        assert!(!agrees([0.4, 0.0, 0.0], [1.0, 0.0, 0.0]), "less than half as fast");
    }
}
