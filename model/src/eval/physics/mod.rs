//! Physics: where objects are in dreamt frames, beside where they ought to be.
//!
//! Frames → [`Probe`] → [`Track`]s → permanence, gravity, flight, momentum and energy, penetration, collisions, and the
//! time until an object is lost. The same is done to true frames, which tells what the probe itself gets wrong.

mod case;
mod collisions;
mod gravity;
mod lost;
mod penetration;
mod permanence;
mod probe;
mod report;
mod solid;
mod state_error;
mod track;
mod traits;

use std::collections::BTreeMap;

pub use case::Case;
pub use collisions::Collisions;
pub use gravity::Gravity;
pub use lost::Lost;
pub use penetration::Penetration;
pub use permanence::Permanence;
pub use probe::{Probe, Sample};
pub use report::{PhysicsReport, ProbeError, ProbeReport, SourceReport};
pub use state_error::StateError;
pub use track::{Track, probed};

use self::penetration::Solidity;
use self::report::{ProbeTally, SourceTally};
use self::traits::Traits;
use crate::data::{Annotation, Annotations, Clips};
use crate::dynamics::OBJECT_VALUES;

/// Frames that the probe is fitted on at most.
const PROBE_FRAMES_MAX: usize = 800;

/// What the probe sees in the true frames.
pub const PROBE_ON_TRUTH: &str = "probe_on_truth";
/// What the probe sees in the dream.
pub const PROBE_ON_DREAM: &str = "probe_on_dream";
/// What the probe sees in the dream under another clip's actions.
pub const PROBE_ON_SHUFFLED: &str = "probe_on_shuffled_actions";
/// What the probe sees in true frames that went through the tokenizer.
pub const PROBE_ON_TOKENIZER: &str = "probe_on_tokenizer";
/// What the probe sees in frames of the truth from slightly other starts.
pub const PROBE_ON_PERTURBED: &str = "probe_on_perturbed_truth";
/// What the model's own readout tells of its dream.
pub const READOUT: &str = "readout";
/// Every object stays where it was last.
pub const COPY_LAST: &str = "copy_last";
/// Every object goes on as fast as it was last.
pub const CONSTANT_VELOCITY: &str = "constant_velocity";
/// The truth from slightly other starts.
pub const PERTURBED_TRUTH: &str = "perturbed_truth";

/// Positions of all objects in one clip by one source.
pub type Tracks = Vec<Track>;

/// Looks at one set of clips.
pub struct Physics<'a> {
    clips: &'a Clips,
    probe: &'a FittedProbe,
    cases: Vec<Case<'a>>,
    sources: BTreeMap<&'static str, Vec<Option<Tracks>>>,
    errors: ProbeTally,
}

/// A probe and what it was fitted on.
pub struct FittedProbe {
    /// The probe.
    pub probe: Probe,
    /// Frames that it was fitted on.
    pub frames: usize,
    /// Whether these are frames of the training split; if the data set has none, they are those evaluated on.
    pub on_train: bool,
}

impl FittedProbe {
    /// Fits a probe on the frames of `chosen` clips, evenly thinned. `None` if none of them is annotated.
    pub fn new(clips: &Clips, annotations: &Annotations, chosen: &[usize], on_train: bool) -> Option<Self> {
        let known = chosen.iter().filter_map(|clip| Some((*clip, annotations.clips.get(clip)?)));
        let frames: Vec<_> = known
            .flat_map(|(clip, annotation)| (0..clips.ranges[clip].len).map(move |t| (clip, annotation, t)))
            .collect();
        let every = frames.len().div_ceil(PROBE_FRAMES_MAX).max(1);
        let thinned: Vec<_> = frames.into_iter().step_by(every).collect();
        let places: Vec<_> =
            thinned.iter().map(|(clip, _, t)| places(clips, clips.ranges[*clip].start + t)).collect();
        let samples: Vec<Sample<'_>> = thinned
            .iter()
            .zip(&places)
            .filter_map(|((clip, annotation, t), places)| sample(clips, *clip, (annotation, *t), places))
            .collect();
        (!samples.is_empty()).then(|| Self { probe: Probe::fit(&samples), frames: samples.len(), on_train })
    }
}

/// Where each object is in `row`.
fn places(clips: &Clips, row: usize) -> Vec<[f64; 3]> {
    let objects = clips.tracked_objects();
    let from = |object: usize| (row * objects + object) * OBJECT_VALUES;
    (0..objects).map(|object| [0, 1, 2].map(|i| f64::from(clips.objects[from(object) + i]))).collect()
}

/// Frame `t` of a clip with what is known of it.
fn sample<'s>(
    clips: &'s Clips,
    clip: usize,
    (annotation, t): (&'s Annotation, usize),
    positions: &'s [[f64; 3]],
) -> Option<Sample<'s>> {
    let (objects, pixels) = (positions.len(), clips.frame_size.pixels());
    Some(Sample {
        frame: clips.frame(clips.ranges[clip].start + t),
        silhouettes: annotation.silhouettes.get(t * pixels..(t + 1) * pixels)?,
        visible: annotation.visible.get(t * objects..(t + 1) * objects)?,
        positions,
    })
}

impl<'a> Physics<'a> {
    /// Nothing looked at yet.
    pub fn new(clips: &'a Clips, probe: &'a FittedProbe) -> Self {
        let errors = ProbeTally::new(clips.tracked_objects());
        Self { clips, probe, cases: Vec::new(), sources: BTreeMap::new(), errors }
    }

    /// Adds one clip with what each source says of its objects from the first frame on, and what the silhouettes in its
    /// true frames are. The two that need nothing but the last true state are added here.
    pub fn add(&mut self, case: Case<'a>, silhouettes: &[u8], mut sources: BTreeMap<&'static str, Tracks>) {
        if let Some(sights) = sources.get(PROBE_ON_TRUTH) {
            self.errors.add(&case, sights, (silhouettes, self.clips.frame_size.pixels()));
        }
        sources.insert(COPY_LAST, from_last(&case, 0.0));
        sources.insert(CONSTANT_VELOCITY, from_last(&case, 1.0));
        let before = self.cases.len();
        for (name, tracks) in sources {
            let column = self.sources.entry(name).or_default();
            column.resize(before, None);
            column.push(Some(tracks));
        }
        self.cases.push(case);
    }

    /// All measures.
    pub fn report(self) -> PhysicsReport {
        let jitter = self.errors.jitter_m();
        let traits = Traits::learn(self.clips, &self.cases, &jitter);
        let solidity = Solidity::learn(self.cases.iter());
        let labels: Vec<_> = self.clips.scenario.instances.iter().filter(|label| label.moving).collect();
        let names: Vec<String> = labels.iter().map(|label| label.name.clone()).collect();
        let source = |(name, column): (&&'static str, &Vec<Option<Tracks>>)| {
            let mut tally = SourceTally::new(names.len());
            for (case, tracks) in self.cases.iter().zip(column) {
                if let Some(tracks) = tracks {
                    tally.add(case, tracks, &traits, &solidity);
                }
            }
            ((*name).to_owned(), tally.report(&names))
        };
        PhysicsReport {
            probe: self.errors.report(self.probe, &names),
            falling: names
                .iter()
                .zip(&traits)
                .filter(|(_, t)| t.falls)
                .map(|(name, _)| name.clone())
                .collect(),
            sources: self.sources.iter().map(source).collect(),
        }
    }
}

/// Every object from where it truly was in the last frame of the context, `speed` times as fast as it was then.
fn from_last(case: &Case<'_>, speed: f64) -> Tracks {
    let last = case.context - 1;
    let track = |truth: &Track| {
        let at = truth.at(last).unwrap_or_default();
        let before = last.checked_sub(1).and_then(|t| truth.at(t)).unwrap_or(at);
        Track::told((0..case.frames).map(|t| {
            let steps = t as f64 - last as f64;
            [0, 1, 2].map(|i| at[i] + speed * steps * (at[i] - before[i]))
        }))
    };
    case.truth.iter().map(track).collect()
}

/// The tracks of a readout of `OBJECT_VALUES` an object that begins with the first dreamt frame; before it, the truth.
pub fn read_out(case: &Case<'_>, readout: &[f32]) -> Tracks {
    let objects = case.objects();
    let track = |object: usize| {
        let told = |t: usize| {
            let Some(step) = t.checked_sub(case.context) else { return case.truth[object].at(t) };
            let values = readout.get((step * objects + object) * OBJECT_VALUES..)?;
            Some([*values.first()?, *values.get(1)?, *values.get(2)?].map(f64::from))
        };
        Track { positions: (0..case.frames).map(told).collect(), ..Track::default() }
    };
    (0..objects).map(track).collect()
}

/// Tracks from `frames × objects × 3` positions.
pub fn told(objects: usize, positions: &[f32]) -> Tracks {
    let at = |object: usize| {
        positions.chunks_exact(objects * 3).map(move |row| [0, 1, 2].map(|i| f64::from(row[object * 3 + i])))
    };
    (0..objects).map(|object| Track::told(at(object))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_and_constant_velocities_go_on() {
        let case = Case::falling(10);
        let (stays, goes) = (from_last(&case, 0.0), from_last(&case, 1.0));
        let truth = |t: usize| case.truth[0].at(t).unwrap()[2];
        assert_eq!(stays[0].at(9).unwrap()[2], truth(3));
        assert!((goes[0].at(9).unwrap()[2] - (truth(3) + 6.0 * (truth(3) - truth(2)))).abs() < 1e-12);
    }

    #[test]
    fn a_readout_begins_with_the_dream() {
        let case = Case::falling(6);
        let readout = [1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0];
        let tracks = read_out(&case, &readout);
        assert_eq!(tracks[0].at(3), case.truth[0].at(3));
        assert_eq!((tracks[0].at(4), tracks[0].at(5)), (Some([1.0, 2.0, 3.0]), Some([4.0, 5.0, 6.0])));
        assert_eq!(told(2, &[0.0, 0.0, 1.0, 0.0, 0.0, 2.0])[1].at(0), Some([0.0, 0.0, 2.0]));
    }
}
