//! Pictures: how far dreamt frames are from the true ones, for the model and for what it has to beat.
//!
//! Film of a clip → [`measure`] → pooled over clips → [`PictureReport`].

mod feature_net;
mod frechet;
mod report;
mod ssim;

use std::collections::BTreeMap;

pub use feature_net::{FeatureNet, Features};
pub use report::{ArmReport, PictureReport, PictureRow, Region};

use self::feature_net::distance_map;
use self::frechet::{WINDOW, WindowFeatures};
use super::pooled::Pooled;
use crate::data::{ClipRange, Clips, PIXEL_ACTUATED, PIXEL_MOVING};

/// Steps ahead that are reported.
pub const HORIZONS: [usize; 5] = [1, 8, 16, 64, 256];
/// Steps ahead of which every one is measured.
const DENSE_STEPS: usize = 64;
/// Beyond them, a window of frames is measured each time that so many have passed.
const SPARSE_EVERY: usize = 32;
/// Fewest clips that windows must come from for a Fréchet distance: those of one are much alike.
const FRECHET_CLIPS_MIN: usize = 4;

/// One sample of Fréchet features for whole frames, and one for the foreground, where there is some.
type Samples = [Option<[f64; frechet::DIMENSION]>; 2];

/// Sum and weight of a mean.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn value(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// Errors of all clips at one step ahead; the three of each are the whole frame, foreground, and what the action moves.
#[derive(Clone, Debug, Default)]
struct Cell {
    clips: usize,
    pooled: Pooled,
    ssim: [Mean; 3],
    features: [Mean; 3],
}

impl Cell {
    fn merge(&mut self, other: &Self) {
        self.clips += other.clips;
        self.pooled.merge(&other.pooled);
        let pairs = self.ssim.iter_mut().chain(&mut self.features);
        for (mine, theirs) in pairs.zip(other.ssim.iter().chain(&other.features)) {
            mine.sum += theirs.sum;
            mine.weight += theirs.weight;
        }
    }
}

/// One film of one clip, measured against the truth.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    cells: BTreeMap<usize, Cell>,
    /// Fréchet samples of the film and of the truth, by the step that their window ends with.
    windows: BTreeMap<usize, [Samples; 2]>,
    /// Steps that the film has.
    reach: usize,
}

/// Frozen networks, made once.
#[derive(Default)]
pub struct Metrics {
    net: FeatureNet,
    windows: WindowFeatures,
}

/// The true frames that follow a clip's context, with what is foreground in them.
pub struct TrueFilm<'a> {
    clips: &'a Clips,
    /// Row of the last frame of the context.
    last_seen: usize,
    /// Features of the frames that are measured, by steps ahead.
    features: BTreeMap<usize, Features>,
    reach: usize,
}

impl<'a> TrueFilm<'a> {
    /// The frames of `range` that follow `context` of them, `reach` at most.
    pub fn new(clips: &'a Clips, range: &ClipRange, context: usize, reach: usize, metrics: &Metrics) -> Self {
        let last_seen = range.start + context - 1;
        let reach = reach.min(range.len - context);
        let features =
            measured_steps(reach).map(|step| (step, metrics.net.features(clips.frame(last_seen + step))));
        Self { clips, last_seen, features: features.collect(), reach }
    }
}

/// Steps ahead that are measured of a film with `reach` of them, in order.
fn measured_steps(reach: usize) -> impl Iterator<Item = usize> {
    (1..=reach)
        .filter(|step| *step <= DENSE_STEPS || step.wrapping_sub(1) % SPARSE_EVERY >= SPARSE_EVERY - WINDOW)
}

/// Steps that a window ends with: all windows that lie side by side, as far as they are measured.
fn window_ends(reach: usize) -> impl Iterator<Item = usize> {
    let end = |step: &usize| {
        if *step <= DENSE_STEPS { step.is_multiple_of(WINDOW) } else { step.is_multiple_of(SPARSE_EVERY) }
    };
    (WINDOW..=reach).filter(end)
}

/// Measures `film`, the frames that something expects after the context, against the truth.
pub fn measure(truth: &TrueFilm<'_>, film: &[u8], metrics: &Metrics) -> Measured {
    let bytes = truth.clips.frame_size.bytes();
    let reach = truth.reach.min(film.len() / bytes);
    let mut out = Measured { reach, ..Measured::default() };
    let mut features: BTreeMap<usize, Features> = BTreeMap::new();
    let mut masks: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
    for step in measured_steps(reach) {
        let frame = &film[(step - 1) * bytes..step * bytes];
        // A film that stands still needs the network once.
        let same = step > 1 && film[(step - 2) * bytes..(step - 1) * bytes] == *frame;
        let known = features.get(&(step - 1)).filter(|_| same).cloned();
        let seen = known.unwrap_or_else(|| metrics.net.features(frame));
        out.cells.insert(step, cell(truth, step, frame, &seen));
        masks.insert(step, places(truth.clips, truth.last_seen, step, PIXEL_MOVING));
        features.insert(step, seen);
    }
    for end in window_ends(reach) {
        let samples = |features: &BTreeMap<usize, Features>| window(features, &masks, end, metrics);
        out.windows.insert(end, [samples(&features), samples(&truth.features)]);
    }
    out
}

fn cell(truth: &TrueFilm<'_>, step: usize, frame: &[u8], features: &Features) -> Cell {
    let (clips, row) = (truth.clips, truth.last_seen + step);
    let (classes, last_seen) = (clips.classes(row), clips.classes(truth.last_seen));
    let mut cell = Cell { clips: 1, ..Cell::default() };
    cell.pooled.add(clips.frame(row), frame, classes, last_seen);
    for (i, value) in ssim::ssim_map(clips.frame(row), frame).iter().enumerate() {
        let class = classes[i] | last_seen[i];
        for (mean, bits) in cell.ssim.iter_mut().zip([0, PIXEL_MOVING, PIXEL_ACTUATED]) {
            if bits == 0 || class & bits != 0 {
                mean.add(f64::from(*value), 1.0);
            }
        }
    }
    let map = distance_map(&truth.features[&step], features);
    for (mean, bits) in cell.features.iter_mut().zip([0, PIXEL_MOVING, PIXEL_ACTUATED]) {
        let weights = places(clips, truth.last_seen, step, bits);
        map.iter().zip(&weights).for_each(|(value, weight)| mean.add(f64::from(*value), f64::from(*weight)));
    }
    cell
}

/// Of each place of the finest features, each two pixels wide and high, 1 if the true frame `step` ahead or the last one seen has a
/// pixel of the class there, else 0; without a class, 1.
fn places(clips: &Clips, last_seen: usize, step: usize, bits: u8) -> Vec<f32> {
    let width = clips.frame_size.side();
    let side = width / 2;
    let (now, then) = (clips.classes(last_seen + step), clips.classes(last_seen));
    let shows = |place: usize| {
        let corner = place / side * 2 * width + place % side * 2;
        let pixels = [corner, corner + 1, corner + width, corner + width + 1];
        pixels.iter().any(|pixel| (now[*pixel] | then[*pixel]) & bits != 0)
    };
    (0..side * side).map(|place| f32::from(bits == 0 || shows(place))).collect()
}

fn window(
    features: &BTreeMap<usize, Features>,
    masks: &BTreeMap<usize, Vec<f32>>,
    end: usize,
    metrics: &Metrics,
) -> Samples {
    let steps = end + 1 - WINDOW..=end;
    let frames: Vec<&Features> = steps.clone().filter_map(|step| features.get(&step)).collect();
    let foreground: Vec<&[f32]> = steps.filter_map(|step| masks.get(&step)).map(Vec::as_slice).collect();
    let everywhere = vec![1.0; foreground.first().map_or(0, |places| places.len())];
    let whole = vec![&everywhere[..]; frames.len()];
    [metrics.windows.sample(&frames, &whole), metrics.windows.sample(&frames, &foreground)]
}

/// Measurements of one arm over all clips.
#[derive(Default)]
pub struct ArmTable {
    cells: BTreeMap<usize, Cell>,
    /// Of each clip, its reach and its windows.
    windows: Vec<(usize, BTreeMap<usize, [Samples; 2]>)>,
}

impl ArmTable {
    /// Adds one clip.
    pub fn add(&mut self, measured: Measured) {
        for (step, cell) in &measured.cells {
            self.cells.entry(*step).or_default().merge(cell);
        }
        self.windows.push((measured.reach, measured.windows));
    }

    /// Clips measured at `step` ahead.
    pub fn clips_at(&self, step: usize) -> usize {
        self.cells.get(&step).map_or(0, |cell| cell.clips)
    }

    /// PSNR in dB by step ahead: frame, foreground, actuated.
    pub fn psnr_db(&self, step: usize) -> Option<[Option<f64>; 3]> {
        self.cells.get(&step).map(|cell| cell.pooled.psnr_db())
    }

    /// Squared Fréchet distance of the film's windows to the true ones, over the first `horizon` steps of the clips that
    /// have as many, evenly spaced; whole frame, foreground; and the number of windows.
    fn frechet(&self, horizon: usize) -> ([Option<f64>; 2], usize) {
        let long_enough: Vec<_> = self.windows.iter().filter(|(reach, _)| *reach >= horizon).collect();
        let every = if horizon > DENSE_STEPS { SPARSE_EVERY } else { WINDOW };
        let windows = || {
            let within = long_enough.iter().flat_map(|(_, windows)| windows.range(..=horizon));
            within.filter(|(end, _)| end.is_multiple_of(every)).map(|(_, samples)| samples)
        };
        if long_enough.len() < FRECHET_CLIPS_MIN {
            return ([None; 2], windows().count());
        }
        let distance = |region: usize| {
            let of =
                |which: usize| windows().filter_map(|samples| samples[which][region]).collect::<Vec<_>>();
            frechet::frechet(&of(0), &of(1))
        };
        ([distance(0), distance(1)], windows().count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_films_are_measured_in_whole_windows() {
        let steps: Vec<_> = measured_steps(100).collect();
        assert_eq!(steps[..64], (1..=64).collect::<Vec<_>>());
        assert_eq!(steps[64..], (89..=96).collect::<Vec<_>>());
        assert_eq!(window_ends(100).collect::<Vec<_>>(), [8, 16, 24, 32, 40, 48, 56, 64, 96]);
        assert!(measured_steps(256).last() == Some(256) && window_ends(256).last() == Some(256));
    }

    #[test]
    fn cells_pool_their_clips() {
        let mut a = Cell { clips: 1, ..Cell::default() };
        a.ssim[0].add(0.5, 1.0);
        let mut b = Cell { clips: 1, ..Cell::default() };
        b.ssim[0].add(0.9, 3.0);
        a.merge(&b);
        assert_eq!(a.clips, 2);
        assert!((a.ssim[0].value().unwrap_or(0.0) - 0.8).abs() < 1e-12);
        assert_eq!(a.features[0].value(), None);
    }
}
