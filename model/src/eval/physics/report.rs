use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::case::{Case, HIDDEN};
use super::collisions::{CollisionTally, Collisions};
use super::gravity::{Gravity, GravityTally};
use super::lost::{Lost, LostTally};
use super::penetration::{Penetration, PenetrationTally, Solidity};
use super::permanence::{Permanence, PermanenceTally};
use super::probe::WHOLE;
use super::state_error::{StateError, StateTally};
use super::track::{Track, distance, median};
use super::traits::{FlightTally, Traits};
use super::{FittedProbe, Tracks};

/// What the probe gets wrong on true frames that it was not fitted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeError {
    /// Share of the frames in which the object is seen whole that it is found in.
    pub found_when_whole: Option<f64>,
    /// Share of the frames in which it is hidden that it is found in all the same.
    pub found_when_hidden: Option<f64>,
    /// Root mean square and median distance from the silhouette's centre, pixels; of whole ones.
    pub pixels_rms: Option<f64>,
    /// The median.
    pub pixels_median: Option<f64>,
    /// Root mean square and median distance from where the object is, metres; of whole ones.
    pub metres_rms: Option<f64>,
    /// The median.
    pub metres_median: Option<f64>,
    /// Frames in which it is seen whole.
    pub frames: usize,
}

/// The probe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Frames that it was fitted on.
    pub fitted_on_frames: usize,
    /// Whether these are of the training split; else they are those that it is tested on.
    pub fitted_on_train: bool,
    /// Its errors by object.
    pub objects: BTreeMap<String, ProbeError>,
}

/// What one source says of the objects, beside the truth.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// By length of occlusion.
    pub permanence: Vec<Permanence>,
    /// Fitted gravity; null where nothing falls.
    pub gravity: Option<Gravity>,
    /// Median of what changes a velocity in flight beside gravity, metres a frame and frame.
    pub free_flight_residual_m: Option<f64>,
    /// Frames that it is the median of.
    pub free_flight_frames: usize,
    /// Position, momentum and energy of what is not driven, by band of steps ahead.
    pub state: BTreeMap<usize, StateError>,
    /// How deep things are in each other.
    pub penetration: Option<Penetration>,
    /// Time and outcome of collisions of what is not driven.
    pub collisions: Option<Collisions>,
    /// By object, steps until it is off by more than its own radius.
    pub lost: BTreeMap<String, Option<Lost>>,
}

/// Physics of one set of clips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhysicsReport {
    /// The probe and its own errors.
    pub probe: ProbeReport,
    /// Objects that fall freely much of the time.
    pub falling: Vec<String>,
    /// By source: `probe_on_truth` (true frames: what the probe itself gets wrong), `probe_on_tokenizer`,
    /// `probe_on_dream`, `probe_on_shuffled_actions`, `probe_on_perturbed_truth`; told without pictures: `readout` (the model's own), `copy_last`,
    /// `constant_velocity`, `perturbed_truth`.
    pub sources: BTreeMap<String, SourceReport>,
}

/// Counts of one source over clips.
pub struct SourceTally {
    permanence: PermanenceTally,
    gravity: GravityTally,
    flight: FlightTally,
    state: StateTally,
    penetration: PenetrationTally,
    collisions: CollisionTally,
    lost: Vec<LostTally>,
}

impl SourceTally {
    pub fn new(objects: usize) -> Self {
        Self {
            permanence: PermanenceTally::default(),
            gravity: GravityTally::default(),
            flight: FlightTally::default(),
            state: StateTally::default(),
            penetration: PenetrationTally::default(),
            collisions: CollisionTally::default(),
            lost: vec![LostTally::default(); objects],
        }
    }

    /// Adds what it says of one clip.
    pub fn add(&mut self, case: &Case<'_>, tracks: &[Track], traits: &[Traits], solidity: &Solidity) {
        self.penetration.add(case, tracks, solidity);
        for (object, (track, traits)) in tracks.iter().zip(traits).enumerate() {
            self.lost[object].add(case, object, track);
            self.permanence.add(case, object, track);
            if traits.falls {
                self.gravity.add(case, (object, track), (traits.jitter_m.max(1e-6), traits.kick));
                self.flight.add(case, object, track);
            }
            if !traits.actuated {
                self.state.add(case, object, track);
                self.collisions.add(case, object, track, (traits.falls, traits.kick));
            }
        }
    }

    pub fn report(&self, names: &[String]) -> SourceReport {
        let (free_flight_residual_m, free_flight_frames) = self.flight.report();
        SourceReport {
            permanence: self.permanence.report(),
            gravity: self.gravity.report(),
            free_flight_residual_m,
            free_flight_frames,
            state: self.state.report(),
            penetration: self.penetration.report(),
            collisions: self.collisions.report(),
            lost: names.iter().cloned().zip(self.lost.iter().map(LostTally::report)).collect(),
        }
    }
}

/// Errors of one object on true frames.
#[derive(Clone, Debug, Default)]
struct Errors {
    whole: usize,
    found_whole: usize,
    hidden: usize,
    found_hidden: usize,
    pixels: Vec<f64>,
    metres: Vec<f64>,
    /// Second differences of the places seen less those of the true ones, metres.
    jerks: Vec<f64>,
}

/// Errors on true frames by object.
pub struct ProbeTally(Vec<Errors>);

impl ProbeTally {
    pub fn new(objects: usize) -> Self {
        Self(vec![Errors::default(); objects])
    }

    /// Adds the true frames of one clip, of `pixels` each, as `tracks` has them.
    pub fn add(&mut self, case: &Case<'_>, tracks: &Tracks, (silhouettes, pixels): (&[u8], usize)) {
        for (object, (errors, track)) in self.0.iter_mut().zip(tracks).enumerate() {
            for t in 0..case.frames {
                let found = track.found.get(t).copied().unwrap_or(false);
                let visible = case.visible(t, object);
                if visible <= HIDDEN {
                    errors.hidden += 1;
                    errors.found_hidden += usize::from(found);
                }
                if visible < WHOLE {
                    continue;
                }
                errors.whole += 1;
                errors.found_whole += usize::from(found);
                let pair = track.at(t).zip(case.truth[object].at(t));
                errors.metres.extend(pair.map(|(a, b)| distance(a, b)));
                let kinks = track.kink(t, [0.0; 3]).zip(case.truth[object].kink(t, [0.0; 3]));
                errors.jerks.extend(kinks.map(|(a, b)| distance(a, b)));
                let center = center(silhouettes, pixels, (t, object as u8 + 1));
                let pixel = track.pixels.get(t).copied().flatten();
                errors
                    .pixels
                    .extend(pixel.zip(center).map(|(a, b)| f64::from((a[0] - b[0]).hypot(a[1] - b[1]))));
            }
        }
    }

    /// How much the places seen jitter from frame to frame, metres by object. A place that is off by the same in each frame
    /// does not: of independent errors, second differences are √6 times as large.
    pub fn jitter_m(&self) -> Vec<f64> {
        let jitter = |errors: &Errors| median(&mut errors.jerks.clone()).unwrap_or(0.0) / 6f64.sqrt();
        self.0.iter().map(jitter).collect()
    }

    pub fn report(&self, fitted: &FittedProbe, names: &[String]) -> ProbeReport {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let row = |errors: &Errors| ProbeError {
            found_when_whole: share(errors.found_whole, errors.whole),
            found_when_hidden: share(errors.found_hidden, errors.hidden),
            pixels_rms: rms(&errors.pixels),
            pixels_median: median(&mut errors.pixels.clone()),
            metres_rms: rms(&errors.metres),
            metres_median: median(&mut errors.metres.clone()),
            frames: errors.whole,
        };
        ProbeReport {
            fitted_on_frames: fitted.frames,
            fitted_on_train: fitted.on_train,
            objects: names.iter().cloned().zip(self.0.iter().map(row)).collect(),
        }
    }
}

fn rms(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt())
}

/// Mean x and y of the pixels of frame `t`, one of square frames of `pixels` each, with `label`.
fn center(silhouettes: &[u8], pixels: usize, (t, label): (usize, u8)) -> Option<[f32; 2]> {
    let side = pixels.isqrt();
    let frame = silhouettes.get(t * pixels..(t + 1) * pixels)?;
    let mine = || frame.iter().enumerate().filter(|(_, other)| **other == label).map(|(pixel, _)| pixel);
    let count = mine().count() as f32;
    let x = mine().map(|pixel| pixel % side).sum::<usize>() as f32;
    let y = mine().map(|pixel| pixel / side).sum::<usize>() as f32;
    (count > 0.0).then(|| [x / count, y / count])
}
