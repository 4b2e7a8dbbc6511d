//! How far the dream is from the truth: open-loop predictions on clips that were never learned from.
//!
//! Clips → dreams and what it has to beat → [`pictures`], [`physics`] and [`simulator`] measures → [`EvalReport`] →
//! [`page`].

mod baselines;
mod dream;
mod error;
pub mod page;
mod perturbed;
pub mod physics;
pub mod pictures;
mod pooled;
mod report;
mod set;
pub mod simulator;

use std::collections::BTreeMap;

pub use error::EvalError;
pub use perturbed::{PerturbedTruth, Replay, Replayed};
pub use pictures::Region;
pub use report::{ByHorizon, EvalReport, PsnrTable, Rollout, SetReport, TokenizerPsnr};
pub use simulator::Accuracy;

use crate::data::{Annotations, ClipFacts, ClipRange, Clips, DataError, Split};
use crate::model::{Model, ModelError, TaskCard};
use dream::Batch;
use physics::FittedProbe;
use set::SetRun;

/// Clips needed at least: a clip under the actions of another is the control.
const CLIPS_MIN: usize = 2;
/// Training clips that the probe is fitted on at most.
const PROBE_CLIPS_MAX: usize = 60;
/// Pairs of possible and impossible clips at most.
const PAIRS_MAX: usize = 200;
/// The set that the shorter part of the report is of, where there is one.
const VALIDATION: &str = "val";

/// What to evaluate on.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// True frames that the model sees before it dreams on.
    pub context_frames: usize,
    /// Frames dreamt in each clip at most.
    pub horizon_max: usize,
    /// Clips evaluated at most, in each set; 2 even if it is less.
    pub clips_max: usize,
    /// Clips whose frames are kept for pictures.
    pub rollouts: usize,
    /// Sampling temperature; 0 takes the likeliest codes.
    pub temperature: f32,
    /// Clips stepped together.
    pub batch: usize,
    /// Steps of the dreams that are looked at for drift; 0 for none.
    pub drift_steps: usize,
    /// Displacement of the perturbed truth, metres.
    pub displacement_m: f32,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            context_frames: 8,
            horizon_max: 256,
            clips_max: 128,
            rollouts: 4,
            temperature: 0.0,
            batch: 16,
            drift_steps: 500,
            displacement_m: 1e-3,
        }
    }
}

/// What can be known beside the clips themselves; what is not given is null in the report.
#[derive(Default)]
pub struct Sources<'a> {
    /// What the frames show, for physics and for held-out sets; see [`annotate`].
    pub annotations: Option<&'a Annotations>,
    /// Truth that can be run again, for the ceiling that chaos sets.
    pub perturbed: Option<&'a mut dyn PerturbedTruth>,
    /// Other clips with possible and impossible twins; if not given, those of the clips themselves are taken.
    pub pairs: Option<(&'a Clips, &'a Annotations)>,
}

/// Reads what the frames show of the clips that an evaluation with `options` looks at.
///
/// # Errors
/// [`DataError`] names the file and what is wrong with it.
pub fn annotate(clips: &Clips, options: &EvalOptions) -> Result<Annotations, DataError> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    Annotations::load(clips, |range, facts| {
        let most = match facts.split.as_str() {
            "violation" => 0,
            "train" => PROBE_CLIPS_MAX,
            _ => options.clips_max.max(CLIPS_MIN),
        };
        let count = counts.entry(facts.split.clone()).or_default();
        let wanted = range.len > options.context_frames && *count < most;
        *count += usize::from(wanted);
        wanted
    })
}

/// [`evaluate_with`] nothing but the clips.
///
/// # Errors
/// As there.
pub fn evaluate(model: &Model, clips: &Clips, options: &EvalOptions) -> Result<EvalReport, EvalError> {
    evaluate_with(model, clips, options, Sources::default())
}

/// Evaluates `model` on the clips longer than the context that nothing was learned from: the validation clips, and each
/// of the held-out sets that there are.
///
/// # Errors
/// [`EvalError::TooFewClips`] if no set has 2 of them, [`EvalError::OtherTask`] and [`EvalError::OtherObjects`] if the model
/// does not dream their task or was taught other objects of it, [`EvalError::NoContext`].
pub fn evaluate_with(
    model: &Model,
    clips: &Clips,
    options: &EvalOptions,
    mut sources: Sources<'_>,
) -> Result<EvalReport, EvalError> {
    let Some(task) = model.card.task_index(&clips.scenario.id) else {
        let (found, dreams) = (clips.scenario.id.clone(), model.card.task_names());
        return Err(EvalError::OtherTask { path: clips.path.clone(), found, dreams });
    };
    if options.context_frames == 0 {
        return Err(EvalError::NoContext);
    }
    model.card.check_frames(&clips.path, clips.frame_size)?;
    check_objects(clips, &model.card.tasks[task])?;
    let sets = sets(clips, sources.annotations, options)?;
    let probe = sources.annotations.and_then(|annotations| fit_probe(clips, annotations, &sets));
    let mut report = EvalReport {
        context_frames: options.context_frames,
        temperature: options.temperature,
        ..EvalReport::default()
    };
    for (first, (name, chosen)) in sets.iter().enumerate().map(|(i, set)| (i == 0, set)) {
        let mut run = SetRun::new((model, task), clips, (sources.annotations, probe.as_ref()), options);
        run.add_all(chosen, &mut sources.perturbed)?;
        if first {
            report.summarised.clone_from(name);
            run.write_summary(&mut report);
        }
        let mut set = run.report();
        if first {
            set.simulator.drift =
                drift((model, task), clips, (chosen, set.simulator.uncertainty), probe.as_ref(), options)?;
            let own = sources.annotations.map(|annotations| (clips, annotations));
            set.simulator.surprise = sources.pairs.or(own).and_then(|(clips, annotations)| {
                simulator::surprise((model, task), clips, annotations, PAIRS_MAX)
            });
        }
        report.sets.insert(name.clone(), set);
    }
    Ok(report)
}

/// Appends, for each row of `ranges`, the probability of termination one step ahead of the true frames, and whether the
/// episode did end: what [`simulator::best_threshold`] is chosen by.
///
/// # Errors
/// [`ModelError::Damaged`] if the weights are not those of the configuration.
pub fn foretell_ends(
    (model, task): (&Model, usize),
    clips: &Clips,
    ranges: &[ClipRange],
    foretold: &mut Vec<(f32, bool)>,
) -> Result<(), ModelError> {
    let options = EvalOptions::default();
    let batch = Batch::new((model, task), clips, ranges, &options);
    batch.watch(|said| foretold.push((said.terminated, clips.terminated[said.row])))
}

/// The readout is read in the order of the clips' moving things.
fn check_objects(clips: &Clips, task: &TaskCard) -> Result<(), EvalError> {
    let moving = clips.scenario.instances.iter().filter(|label| label.moving);
    let found: Vec<String> = moving.map(|label| label.name.clone()).collect();
    if found == task.objects {
        return Ok(());
    }
    Err(EvalError::OtherObjects { path: clips.path.clone(), found, taught: task.objects.clone() })
}

/// The sets to evaluate on, the one that is summarised first.
fn sets(
    clips: &Clips,
    annotations: Option<&Annotations>,
    options: &EvalOptions,
) -> Result<Vec<(String, Vec<usize>)>, EvalError> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, range) in clips.ranges.iter().enumerate().filter(|(_, range)| range.len > options.context_frames)
    {
        let split = |facts: &'_ ClipFacts| facts.split.clone();
        let told = annotations.and_then(|annotations| annotations.facts.get(i)).map(split);
        let name = match (told.as_deref(), range.split) {
            (Some("test_combination"), _) => "test_combination",
            (Some("test_horizon"), _) => "test_horizon",
            (Some("val"), _) | (None, Split::Val) => VALIDATION,
            _ => continue,
        };
        by_name.entry(name).or_default().push(i);
    }
    let found = by_name.get(VALIDATION).map_or(0, Vec::len);
    let most = options.clips_max.max(CLIPS_MIN);
    let mut sets: Vec<(String, Vec<usize>)> = by_name
        .into_iter()
        .filter(|(_, chosen)| chosen.len() >= CLIPS_MIN)
        .map(|(name, chosen)| (name.to_owned(), chosen.into_iter().take(most).collect()))
        .collect();
    sets.sort_by_key(|(name, _)| name != VALIDATION);
    if sets.is_empty() {
        let (path, context_frames) = (clips.path.clone(), options.context_frames);
        return Err(EvalError::TooFewClips { path, found, context_frames });
    }
    Ok(sets)
}

/// A probe fitted on training clips; where there are none, on those evaluated on, which the report says.
fn fit_probe(clips: &Clips, annotations: &Annotations, sets: &[(String, Vec<usize>)]) -> Option<FittedProbe> {
    let train = |clip: &usize| annotations.facts.get(*clip).is_some_and(|facts| facts.split == "train");
    let learned: Vec<usize> = annotations.clips.keys().copied().filter(train).collect();
    if learned.is_empty() {
        let evaluated: Vec<usize> = sets.iter().flat_map(|(_, chosen)| chosen).copied().collect();
        return FittedProbe::new(clips, annotations, &evaluated, false);
    }
    FittedProbe::new(clips, annotations, &learned, true)
}

fn drift(
    (model, task): (&Model, usize),
    clips: &Clips,
    (chosen, uncertainty): (&[usize], f64),
    probe: Option<&FittedProbe>,
    options: &EvalOptions,
) -> Result<Option<simulator::Drift>, EvalError> {
    if options.drift_steps == 0 {
        return Ok(None);
    }
    let starts: Vec<ClipRange> = chosen.iter().map(|clip| clips.ranges[*clip].clone()).collect();
    let train: Vec<ClipRange> = clips.split(Split::Train).cloned().collect();
    let others = if train.is_empty() { &starts } else { &train };
    let probe = probe.map(|fitted| &fitted.probe);
    Ok(Some(simulator::drift((model, task), clips, (&starts, others), (probe, uncertainty), options)?))
}
