//! One set of clips: every film of every clip, measured and pooled.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::baselines;
use super::dream::{Batch, Dreamt};
use super::error::EvalError;
use super::perturbed::{PerturbedTruth, Replay, Replayed};
use super::physics::{self, Case, FittedProbe, Physics, Track, Tracks, probed};
use super::pictures::{ArmTable, Measured, Metrics, PictureReport, TrueFilm, measure};
use super::pooled::Pooled;
use super::report::{EvalReport, PsnrTable, Rollout, SetReport, TokenizerPsnr};
use super::simulator::{Endings, Rewards, SimulatorReport};
use super::{EvalOptions, Region};
use crate::data::{Annotations, ClipRange, Clips, Split};
use crate::dynamics::OBJECT_VALUES;
use crate::model::Model;

/// Steps ahead of the summary.
const SUMMARISED: [usize; 4] = [1, 8, 16, 32];
/// Metres by which a replay may differ from its clip before it is displaced: another build may round differently, another
/// episode is somewhere else.
const SAME_START_M: f32 = 1e-3;

const MODEL: &str = "model";
const COPY_LAST: &str = "copy_last";
const CONSTANT_VELOCITY: &str = "constant_velocity";
const SHUFFLED: &str = "shuffled_actions";
const TOKENIZER: &str = "tokenizer";
const PERTURBED: &str = "perturbed_truth";

/// A set of clips under evaluation.
pub struct SetRun<'a> {
    model: &'a Model,
    /// Which of the model's tasks the clips are of.
    task: usize,
    clips: &'a Clips,
    annotations: Option<&'a Annotations>,
    probe: Option<&'a FittedProbe>,
    options: &'a EvalOptions,
    metrics: Metrics,
    count: usize,
    arms: BTreeMap<&'static str, ArmTable>,
    tokenizer: Pooled,
    rewards: Rewards,
    endings: Endings,
    /// Sum and number.
    uncertainty: (f64, usize),
    physics: Option<Physics<'a>>,
    rollouts: Vec<Rollout>,
    without_perturbed_truth: Option<String>,
}

/// All that is said of one clip.
struct Films {
    dreamt: Dreamt,
    shuffled: Dreamt,
    /// The whole clip through the tokenizer.
    recoded: Vec<u8>,
    replayed: Option<Replayed>,
}

/// What is measured of one clip.
struct Looked<'a> {
    arms: Vec<(&'static str, Measured)>,
    physics: Option<(Case<'a>, &'a [u8], BTreeMap<&'static str, Tracks>)>,
}

impl<'a> SetRun<'a> {
    pub fn new(
        (model, task): (&'a Model, usize),
        clips: &'a Clips,
        (annotations, probe): (Option<&'a Annotations>, Option<&'a FittedProbe>),
        options: &'a EvalOptions,
    ) -> Self {
        Self {
            model,
            task,
            clips,
            annotations,
            probe,
            options,
            metrics: Metrics::default(),
            count: 0,
            arms: BTreeMap::new(),
            tokenizer: Pooled::default(),
            rewards: Rewards::new(known_rewards(clips)),
            endings: Endings::new(model.card.tasks[task].ends_above()),
            uncertainty: (0.0, 0),
            physics: probe.map(|probe| Physics::new(clips, probe)),
            rollouts: Vec::new(),
            without_perturbed_truth: None,
        }
    }

    /// Dreams and measures the `chosen` clips; each is dreamt with the next one's actions for comparison.
    ///
    /// # Errors
    /// [`EvalError::Model`].
    pub fn add_all(
        &mut self,
        chosen: &[usize],
        perturbed: &mut Option<&mut dyn PerturbedTruth>,
    ) -> Result<(), EvalError> {
        let all: Vec<ClipRange> = chosen.iter().map(|clip| self.clips.ranges[*clip].clone()).collect();
        let batch_len = self.options.batch.max(1);
        for (first, clips) in chosen.chunks(batch_len).enumerate() {
            let first = first * batch_len;
            let ranges = &all[first..first + clips.len()];
            let batch = Batch::new((self.model, self.task), self.clips, ranges, self.options);
            self.watch(&batch)?;
            let dreamt = batch.dream(|lane| &ranges[lane])?;
            let shuffled = batch.dream(|lane| &all[(first + lane + 1) % all.len()])?;
            let mut replayed = self.replay(clips, perturbed).into_iter();
            let films: Vec<Films> = dreamt
                .into_iter()
                .zip(shuffled)
                .enumerate()
                .map(|(lane, (dreamt, shuffled))| {
                    let replayed = replayed.next().flatten();
                    Films { dreamt, shuffled, recoded: batch.recoded(lane), replayed }
                })
                .collect();
            let run: &Self = self;
            let looked: Vec<Looked<'a>> =
                clips.par_iter().zip(&films).map(|(clip, films)| run.look(*clip, films)).collect();
            for ((clip, films), looked) in clips.iter().zip(&films).zip(looked) {
                self.add(*clip, films, looked);
            }
        }
        Ok(())
    }

    /// What is foretold one step ahead of the true frames.
    fn watch(&mut self, batch: &Batch<'_>) -> Result<(), EvalError> {
        let (clips, rewards, endings) = (self.clips, &mut self.rewards, &mut self.endings);
        let uncertainty = &mut self.uncertainty;
        Ok(batch.watch(|foretold| {
            rewards.add(foretold.reward, clips.rewards[foretold.row]);
            endings.add(foretold.terminated, clips.terminated[foretold.row]);
            *uncertainty = (uncertainty.0 + f64::from(foretold.uncertainty), uncertainty.1 + 1);
        })?)
    }

    /// The clips run again from slightly other starts, where that can be done; where it cannot, the report says why.
    fn replay(
        &mut self,
        clips: &[usize],
        perturbed: &mut Option<&mut dyn PerturbedTruth>,
    ) -> Vec<Option<Replayed>> {
        let (Some(truth), Some(annotations)) = (perturbed, self.annotations) else { return Vec::new() };
        let request = |clip: &usize| {
            Some(Replay {
                seed: self.clips.ranges[*clip].seed as u64,
                actions: &annotations.clips.get(clip)?.actions,
                row: self.options.context_frames - 1,
                displacement_m: self.options.displacement_m,
            })
        };
        let requests: Option<Vec<Replay<'_>>> = clips.iter().map(request).collect();
        let Some(requests) = requests else { return Vec::new() };
        let replayed = match truth.replay(&requests) {
            Ok(replayed) => replayed,
            Err(error) => {
                self.without_perturbed_truth = Some(error.to_string());
                return Vec::new();
            }
        };
        let same =
            |(clip, replayed): (&usize, Replayed)| self.begins_alike(*clip, &replayed).then_some(replayed);
        let same: Vec<_> = clips.iter().zip(replayed).map(same).collect();
        if same.iter().any(Option::is_none) {
            let message = "some clips are no episodes of this build: run again, they begin elsewhere";
            self.without_perturbed_truth = Some(message.to_owned());
        }
        same
    }

    /// Whether a replay has everything where the clip has it, up to where it is displaced.
    fn begins_alike(&self, clip: usize, replayed: &Replayed) -> bool {
        let objects = self.clips.tracked_objects();
        let start = self.clips.ranges[clip].start;
        let rows = (self.options.context_frames - 1).max(1);
        let Some(replayed) = replayed.positions.get(..rows * objects * 3) else { return false };
        let truth = &self.clips.objects[start * objects * OBJECT_VALUES..];
        let places = truth.chunks_exact(OBJECT_VALUES).flat_map(|object| &object[..3]);
        replayed.iter().zip(places).all(|(a, b)| (a - b).abs() <= SAME_START_M)
    }

    /// Measures all films of one clip.
    fn look(&self, clip: usize, films: &Films) -> Looked<'a> {
        let (range, context) = (&self.clips.ranges[clip], self.options.context_frames);
        let reach = (range.len - context).min(self.options.horizon_max);
        let truth = TrueFilm::new(self.clips, range, context, reach, &self.metrics);
        let annotation = self.annotations.and_then(|annotations| annotations.clips.get(&clip));
        let (pixels, bytes) = (self.clips.frame_size.pixels(), self.clips.frame_size.bytes());
        let labels = |row: usize| match annotation {
            Some(known) => &known.silhouettes[(row - range.start) * pixels..(row - range.start + 1) * pixels],
            None => self.clips.classes(row),
        };
        let copied = baselines::copy_last(self.clips, range, context, reach);
        let moved = baselines::constant_velocity(self.clips, range, (context, reach), labels);
        let after_context = |film: &'_ [u8]| film.get(context * bytes..).unwrap_or_default().to_vec();
        let recoded = after_context(&films.recoded);
        let mut arms = vec![
            (MODEL, measure(&truth, &films.dreamt.frames, &self.metrics)),
            (SHUFFLED, measure(&truth, &films.shuffled.frames, &self.metrics)),
            (COPY_LAST, measure(&truth, &copied, &self.metrics)),
            (CONSTANT_VELOCITY, measure(&truth, &moved, &self.metrics)),
            (TOKENIZER, measure(&truth, &recoded, &self.metrics)),
        ];
        if let Some(replayed) = &films.replayed {
            arms.push((PERTURBED, measure(&truth, &after_context(&replayed.frames), &self.metrics)));
        }
        Looked { arms, physics: self.tracks(clip, reach, films) }
    }

    /// Where each source says that the objects of one clip are.
    fn tracks(
        &self,
        clip: usize,
        reach: usize,
        films: &Films,
    ) -> Option<(Case<'a>, &'a [u8], BTreeMap<&'static str, Tracks>)> {
        let (annotations, probe) = (self.annotations?, &self.probe?.probe);
        let context = self.options.context_frames;
        let case = Case::new(self.clips, annotations, clip, (context, reach))?;
        let (objects, start) = (case.objects(), self.clips.ranges[clip].start);
        let bytes = self.clips.frame_size.bytes();
        let probed = |film: &[u8]| probed(probe, film.chunks_exact(bytes), objects);
        let truth = probed(self.clips.film(start..start + case.frames));
        let after = |film: &[u8]| {
            let film = &film[..film.len().min((case.frames - context) * bytes)];
            let continued = truth.iter().zip(probed(film));
            continued.map(|(truth, film)| Track::joined(truth, context, film)).collect::<Tracks>()
        };
        let recoded = films.recoded.get(context * bytes..).unwrap_or_default();
        let mut sources = BTreeMap::from([
            (physics::PROBE_ON_DREAM, after(&films.dreamt.frames)),
            (physics::PROBE_ON_SHUFFLED, after(&films.shuffled.frames)),
            (physics::PROBE_ON_TOKENIZER, after(recoded)),
        ]);
        sources.insert(physics::READOUT, physics::read_out(&case, &films.dreamt.objects));
        if let Some(replayed) = &films.replayed {
            let seen = replayed.frames.get(context * bytes..).unwrap_or_default();
            sources.insert(physics::PROBE_ON_PERTURBED, after(seen));
            sources.insert(physics::PERTURBED_TRUTH, physics::told(objects, &replayed.positions));
        }
        sources.insert(physics::PROBE_ON_TRUTH, truth);
        Some((case, &annotations.clips.get(&clip)?.silhouettes, sources))
    }

    fn add(&mut self, clip: usize, films: &Films, looked: Looked<'a>) {
        let (range, context) = (&self.clips.ranges[clip], self.options.context_frames);
        self.count += 1;
        for (name, measured) in looked.arms {
            self.arms.entry(name).or_default().add(measured);
        }
        if let (Some(physics), Some((case, silhouettes, sources))) = (&mut self.physics, looked.physics) {
            physics.add(case, silhouettes, sources);
        }
        for (i, frame) in films.recoded.chunks_exact(self.clips.frame_size.bytes()).enumerate() {
            let row = range.start + i;
            self.tokenizer.add(
                self.clips.frame(row),
                frame,
                self.clips.classes(row),
                self.clips.classes(row),
            );
        }
        let rows = range.start + context..range.start + range.len;
        self.rewards.add_dream(&films.dreamt.rewards, &self.clips.rewards[rows.clone()]);
        let end = self.clips.terminated[rows].iter().position(|terminated| *terminated);
        if range.len - context <= self.options.horizon_max {
            self.endings.add_dream(&films.dreamt.terminated, range.len - context, end);
        }
        if self.rollouts.len() < self.options.rollouts {
            let seen = self.clips.film(range.rows());
            self.rollouts.push(Rollout::new(range, context, seen, &films.dreamt.frames));
        }
    }

    /// Writes the summary of this set, and the frames kept for pictures.
    pub fn write_summary(&mut self, report: &mut EvalReport) {
        let by_horizon = |name: &str, steps: &mut dyn Iterator<Item = usize>| {
            let table = self.arms.get(name);
            steps
                .filter_map(|step| Some((step, Region::from(table?.psnr_db(step)?))))
                .collect::<BTreeMap<_, _>>()
        };
        let reported = |name| by_horizon(name, &mut SUMMARISED.into_iter());
        let [frame, foreground, _] = self.tokenizer.psnr_db();
        report.psnr_db = PsnrTable {
            tokenizer: TokenizerPsnr { frame, foreground },
            model: reported(MODEL),
            copy_last: reported(COPY_LAST),
            shuffled_actions: reported(SHUFFLED),
            curves: [MODEL, COPY_LAST, SHUFFLED]
                .map(|name| by_horizon(name, &mut (1..=SUMMARISED[3])))
                .into(),
        };
        let count = |step| self.arms.get(MODEL).map_or(0, |table| table.clips_at(step));
        report.clips_at_horizon = SUMMARISED.into_iter().map(|step| (step, count(step))).collect();
        report.clips = self.count;
        let told = &self.clips.targets;
        report.reward_mae = told.rewards.then(|| self.rewards.report().one_step_mae);
        report.termination = told.terminated.then(|| self.endings.one_step());
        report.rollouts = std::mem::take(&mut self.rollouts);
    }

    /// All measures of this set.
    pub fn report(self) -> SetReport {
        let told = &self.clips.targets;
        SetReport {
            clips: self.count,
            pictures: PictureReport::new(&self.arms),
            physics: self.physics.map(Physics::report),
            simulator: SimulatorReport {
                reward: told.rewards.then(|| self.rewards.report()),
                termination_threshold: self.model.card.tasks[self.task].ends_above(),
                termination_one_step: told.terminated.then(|| self.endings.one_step()),
                termination_dreamt: told.terminated.then(|| self.endings.dreamt()),
                uncertainty: self.uncertainty.0 / self.uncertainty.1.max(1) as f64,
                drift: None,
                surprise: None,
            },
            without_perturbed_truth: self.without_perturbed_truth,
        }
    }
}

/// Rewards of the clips that were learned from, or of all where there are none.
fn known_rewards(clips: &Clips) -> impl Iterator<Item = f32> {
    let train: Vec<_> = clips.split(Split::Train).cloned().collect();
    let ranges = if train.is_empty() { clips.ranges.clone() } else { train };
    ranges.into_iter().flat_map(|range| clips.rewards[range.start..range.start + range.len].to_vec())
}
