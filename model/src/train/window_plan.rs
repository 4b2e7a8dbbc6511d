use rand::RngExt as _;
use worldstep_env::Rng;

use super::objective::ObjectiveOptions;
use crate::config::NOISE_LEVELS;

/// The model's own frames in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnFrames {
    /// The true frame that they follow, counted in the window.
    pub from: usize,
    /// How many.
    pub count: usize,
    /// Names the randomness of the first; the others follow.
    pub draw: u64,
}

/// Where a window lies in its clip, and what is done to its frames.
#[derive(Clone, Debug)]
pub struct WindowPlan {
    /// Its first frame in the clip.
    pub offset: usize,
    /// Frames at its beginning that are certainly true.
    true_frames: usize,
    /// Level of corruption of the others.
    level: usize,
    /// Own frames; the others are clean then.
    pub own: Option<OwnFrames>,
}

/// What all windows of a batch have in common.
#[derive(Clone, Copy, Debug)]
pub struct WindowSizes {
    /// Frames in a window.
    pub length: usize,
    /// Own frames in a row at most, at this point of training.
    pub horizon: usize,
}

impl WindowPlan {
    /// Draws a window of a clip of `clip_frames`. It may start anywhere, so that short contexts are learned too.
    pub fn draw(options: &ObjectiveOptions, clip_frames: usize, sizes: WindowSizes, rng: &mut Rng) -> Self {
        let short = rng.random_bool(options.short_starts.share);
        // Ends are as likely as anything else: what ends an episode is rare enough.
        let latest = clip_frames.saturating_sub(sizes.length / 2).max(1);
        let offset = if short { 0 } else { rng.random_range(0..latest) };
        let real = (clip_frames - offset).min(sizes.length);
        let own = if sizes.horizon > 0 && rng.random_bool(options.self_forcing.share) {
            OwnFrames::draw((real, options.short_starts.true_frames), short, sizes.horizon, rng)
        } else {
            None
        };
        let clean = own.is_some() || rng.random_bool(options.corruption.clean_share);
        let level = if clean { 0 } else { rng.random_range(1..NOISE_LEVELS) };
        let true_frames = if short { options.short_starts.true_frames } else { 0 };
        Self { offset, true_frames, level, own }
    }

    /// Level of corruption of frame `frame` of the clip.
    pub fn level(&self, frame: usize) -> usize {
        if frame < self.offset + self.true_frames { 0 } else { self.level }
    }
}

impl OwnFrames {
    /// Own frames after `first` true ones at least, and right after them in a short start, in a window of which `real`
    /// frames belong to the clip. `None` if there is no room.
    fn draw((real, first): (usize, usize), short: bool, horizon: usize, rng: &mut Rng) -> Option<Self> {
        if real <= first {
            return None;
        }
        let earliest = first - 1;
        let latest = if short { earliest } else { earliest.max((real - 1).saturating_sub(horizon)) };
        let from = rng.random_range(earliest..=latest);
        Some(Self { from, count: horizon.min(real - 1 - from), draw: rng.random() })
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::train::objective::{Corruption, SelfForcing, ShortStarts};

    const SIZES: WindowSizes = WindowSizes { length: 32, horizon: 8 };

    fn plans(options: &ObjectiveOptions, clip_frames: usize, sizes: WindowSizes) -> Vec<WindowPlan> {
        let mut rng = Rng::seed_from_u64(1);
        (0..2000).map(|_| WindowPlan::draw(options, clip_frames, sizes, &mut rng)).collect()
    }

    #[test]
    fn shares_are_kept() {
        let options = ObjectiveOptions {
            short_starts: ShortStarts { share: 0.2, true_frames: 4 },
            self_forcing: SelfForcing { share: 0.25, ..SelfForcing::default() },
            ..ObjectiveOptions::default()
        };
        let plans = plans(&options, 200, SIZES);
        let count = |what: fn(&WindowPlan) -> bool| plans.iter().filter(|plan| what(plan)).count();
        assert!((320..480).contains(&count(|plan| plan.true_frames == 4)));
        assert!((400..600).contains(&count(|plan| plan.own.is_some())));
        // Clean by chance, or because of own frames: 0.25 + 0.75 · 0.4.
        assert!((1000..1200).contains(&count(|plan| plan.level == 0)));
    }

    #[test]
    fn own_frames_stay_within_the_clip_and_after_the_true_ones() {
        let options = ObjectiveOptions {
            self_forcing: SelfForcing { share: 1.0, ..SelfForcing::default() },
            ..ObjectiveOptions::default()
        };
        for clip_frames in [2, 4, 5, 9, 20, 60] {
            for plan in plans(&options, clip_frames, SIZES) {
                let real = (clip_frames - plan.offset).min(32);
                assert_eq!(plan.own.is_some(), real > 4, "{real} frames");
                let Some(own) = plan.own else { continue };
                assert!(own.from >= 3 && own.count > 0 && own.from + own.count < real, "{own:?} of {real}");
                assert!(own.count == 8 || own.from + own.count + 1 == real, "{own:?} of {real}");
                assert!(plan.true_frames == 0 || own.from == 3, "a short start goes on by itself");
            }
        }
    }

    #[test]
    fn a_short_start_begins_with_true_frames() {
        let options = ObjectiveOptions {
            short_starts: ShortStarts { share: 1.0, true_frames: 4 },
            corruption: Corruption { clean_share: 0.0, ..Corruption::default() },
            ..ObjectiveOptions::default()
        };
        for plan in plans(&options, 60, WindowSizes { horizon: 0, ..SIZES }) {
            assert_eq!((plan.offset, plan.own.as_ref()), (0, None));
            assert!((0..4).all(|frame| plan.level(frame) == 0));
            assert!((4..32).all(|frame| plan.level(frame) == plan.level(4) && plan.level(frame) > 0));
        }
    }

    #[test]
    fn what_is_off_is_off() {
        let options = ObjectiveOptions {
            short_starts: ShortStarts::off(),
            self_forcing: SelfForcing::off(),
            corruption: Corruption::off(),
            ..ObjectiveOptions::default()
        };
        for plan in plans(&options, 60, SIZES) {
            assert!(plan.own.is_none() && plan.true_frames == 0 && plan.level(plan.offset) == 0);
        }
    }
}
