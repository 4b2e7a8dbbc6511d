//! Whether what was hidden comes back, and where.

use serde::{Deserialize, Serialize};

use super::case::{Case, HIDDEN};
use super::probe::WHOLE;
use super::track::{Track, distance};

/// Bounds of the lengths of occlusion that are told apart, in frames.
const LENGTHS: [[usize; 2]; 5] = [[1, 5], [6, 10], [11, 20], [21, 40], [41, 256]];
/// Frames after a reappearance in which the object is looked for.
const FRAMES_AFTER: usize = 5;

/// What became of the objects that were hidden for so many frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Permanence {
    /// Fewest and most frames hidden.
    pub hidden_frames: [usize; 2],
    /// Occlusions of that length that began and ended in the dreamt part.
    pub occlusions: usize,
    /// Share of the hidden frames in which nothing is seen, as it should be; null for positions that are told.
    pub unseen_while_hidden: Option<f64>,
    /// Share of the objects that are seen in one of the five frames after they ought to reappear; null for positions that
    /// are told.
    pub found: Option<f64>,
    /// Share that in one of these frames are within their own diameter of where they ought to be.
    pub placed: Option<f64>,
}

/// Counts for one length of occlusion.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    occlusions: usize,
    seen_frames: usize,
    hidden_frames: usize,
    found: usize,
    placed: usize,
    seeing: bool,
}

/// Counts by length of occlusion.
#[derive(Clone, Debug, Default)]
pub struct PermanenceTally([Count; LENGTHS.len()]);

/// First hidden frame and first frame that is seen whole again.
type Occlusion = [usize; 2];

/// Times in the dreamt part in which an object was hidden after it was seen whole, and until it is seen whole again with
/// [`FRAMES_AFTER`] frames to find it in.
fn occlusions(case: &Case<'_>, object: usize) -> Vec<Occlusion> {
    let mut all = Vec::new();
    let (mut seen, mut hidden) = (false, None);
    for t in 0..case.frames {
        let visible = case.visible(t, object);
        if visible <= HIDDEN && seen && hidden.is_none() {
            hidden = Some(t);
        }
        if visible >= WHOLE {
            seen = true;
            if let Some(from) = hidden.take().filter(|from| *from >= case.context)
                && t + FRAMES_AFTER <= case.frames
            {
                all.push([from, t]);
            }
        }
    }
    all
}

impl PermanenceTally {
    /// Adds one object of one clip.
    pub fn add(&mut self, case: &Case<'_>, object: usize, track: &Track) {
        let Some(solid) = &case.solids[object] else { return };
        // A track that ends before says nothing of what came back.
        let told = |[_, until]: &Occlusion| until + FRAMES_AFTER <= track.positions.len();
        for [from, until] in occlusions(case, object).into_iter().filter(told) {
            let hidden = (from..until).filter(|t| case.visible(*t, object) <= HIDDEN).count();
            let Some(count) = LENGTHS
                .iter()
                .position(|[least, most]| (*least..=*most).contains(&hidden))
                .map(|length| &mut self.0[length])
            else {
                continue;
            };
            count.occlusions += 1;
            let seen = |t: usize| track.found.get(t).copied().unwrap_or(false);
            let near = |t: usize| {
                let pair = track.at(t).zip(case.truth[object].at(t));
                pair.is_some_and(|(a, b)| distance(a, b) < 2.0 * solid.radius())
            };
            count.seeing |= !track.found.is_empty();
            count.hidden_frames += hidden;
            count.seen_frames +=
                (from..until).filter(|t| case.visible(*t, object) <= HIDDEN && seen(*t)).count();
            count.found += usize::from((until..until + FRAMES_AFTER).any(seen));
            count.placed += usize::from((until..until + FRAMES_AFTER).any(near));
        }
    }

    /// One row for each length of occlusion.
    pub fn report(&self) -> Vec<Permanence> {
        let row = |(length, count): (&[usize; 2], &Count)| {
            let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
            let seeing = |share: Option<f64>| share.filter(|_| count.seeing);
            Permanence {
                hidden_frames: *length,
                occlusions: count.occlusions,
                unseen_while_hidden: seeing(
                    share(count.seen_frames, count.hidden_frames).map(|seen| 1.0 - seen),
                ),
                found: seeing(share(count.found, count.occlusions)),
                placed: share(count.placed, count.occlusions),
            }
        };
        LENGTHS.iter().zip(&self.0).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In sight, 8 frames hidden from frame 6 on, in sight again.
    fn hidden_for_8() -> Vec<f32> {
        (0..30).map(|t| if (6..14).contains(&t) { 0.0 } else { 1.0 }).collect()
    }

    fn report(track: &Track) -> Permanence {
        let visible = hidden_for_8();
        let case = Case { visible: &visible, ..Case::falling(30) };
        let mut tally = PermanenceTally::default();
        tally.add(&case, 0, track);
        let rows = tally.report();
        assert!(rows.iter().all(|row| row.occlusions == usize::from(row.hidden_frames == [6, 10])));
        rows[1]
    }

    fn seen(found: impl Fn(usize) -> bool, offset_m: f64) -> Track {
        let truth = &Case::falling(30).truth[0];
        let shifted = |t: usize| truth.at(t).map(|p| [p[0] + offset_m, p[1], p[2]]);
        Track {
            positions: (0..30).map(|t| shifted(t).filter(|_| found(t))).collect(),
            found: (0..30).map(found).collect(),
            ..Track::default()
        }
    }

    #[test]
    fn an_object_that_comes_back_where_it_should_is_permanent() {
        let row = report(&seen(|t| !(6..14).contains(&t), 0.1));
        assert_eq!((row.unseen_while_hidden, row.found, row.placed), (Some(1.0), Some(1.0), Some(1.0)));
        let row = report(&seen(|t| !(8..14).contains(&t), 0.6));
        assert_eq!(row.unseen_while_hidden, Some(0.75), "two of eight hidden frames show it");
        assert_eq!((row.found, row.placed), (Some(1.0), Some(0.0)), "it is back, but 0.6 m off");
    }

    #[test]
    fn an_object_that_stays_away_is_not() {
        let row = report(&seen(|t| t < 6, 0.0));
        assert_eq!((row.unseen_while_hidden, row.found, row.placed), (Some(1.0), Some(0.0), Some(0.0)));
        let told = report(&Case::falling(30).truth[0]);
        assert_eq!((told.unseen_while_hidden, told.found, told.placed), (None, None, Some(1.0)));
    }

    #[test]
    fn what_was_hidden_in_the_context_already_does_not_count() {
        let visible: Vec<f32> = (0..30).map(|t| f32::from(!(2..14).contains(&t))).collect();
        let case = Case { visible: &visible, ..Case::falling(30) };
        assert_eq!(occlusions(&case, 0), Vec::<Occlusion>::new());
    }
}
