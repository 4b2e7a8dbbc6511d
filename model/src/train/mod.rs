//! Learning: first the tokenizer, then the dynamics on its codes.

mod ahead;
mod average;
mod begin;
mod calibration;
mod checkpoint;
mod clipping;
mod clock;
mod code_cache;
mod coded_corpus;
mod coded_rows;
mod curves;
mod device_frames;
mod device_rows;
mod dynamics_batch;
mod dynamics_loss;
mod dynamics_stage;
mod error;
mod feed;
mod flop;
mod forgetting;
mod frame_facts;
mod gradients;
mod host_batch;
mod learner;
mod loss;
mod measures;
mod objective;
mod optimizer;
mod options;
mod page;
pub mod physics;
mod profile;
mod readme;
mod refiner_loss;
mod run_folder;
#[cfg(test)]
mod same_batches;
mod sampler;
mod schedule;
mod self_forcing;
mod stage;
mod tasks;
mod tokenizer_stage;
mod window_plan;

use std::sync::Arc;

pub use curves::{Row, StepRow, ValidationRow};
pub use error::TrainError;
pub use feed::{CORPUS_SHARE, Feed};
pub use flop::StepFlop;
pub use objective::{Corruption, ObjectiveError, ObjectiveOptions, SelfForcing, ShortStarts};
pub use optimizer::Optimizer;
pub use options::{Budget, Progress, Stage, Stages, TrainOptions, TrainSummary};
pub use physics::PhysicsOptions;
pub use profile::{PartTime, StepProfile, profile};
pub use schedule::Schedule;

use crate::data::{Corpus, Split, load_all};
use crate::device::ComputeDevice;
use crate::dynamics::Dynamics;
use crate::model::Model;
use crate::tokenizer::Tokenizer;
use begin::begin;
use checkpoint::{Checkpoint, TrainState};
use clock::Clock;
use code_cache::{CodeCache, Source};
use coded_rows::CodedRows;
use device_frames::DeviceFrames;
use dynamics_stage::DynamicsObjective;
use run_folder::RunFolder;
use stage::{Objectives, Run};
use tokenizer_stage::TokenizerObjective;

/// Trains a model on datasets, or goes on with one; the model is in `options.out` when it returns, also when it was
/// stopped.
///
/// # Errors
/// [`TrainError`] if an option is impossible, the dataset or the checkpoint to resume cannot be read or do not belong
/// together, if a model is there that is not to be resumed, the loss diverges, or the folder cannot be written.
pub fn train(
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    options.check()?;
    let clips = load_all(&options.data, options.task.as_deref(), options.lerobot.as_deref())?;
    train_on(Corpus::new(&clips, &options.mix)?, options, progress)
}

/// As [`train`], on clips that are already in memory.
///
/// # Errors
/// As [`train`].
pub fn train_on<'a>(
    corpus: impl Into<Corpus<'a>>,
    options: &TrainOptions,
    progress: &mut dyn FnMut(&Progress),
) -> Result<TrainSummary, TrainError> {
    options.check()?;
    let corpus = corpus.into();
    if !corpus.is_learnable() {
        return Err(TrainError::NoClips { path: corpus.path().to_owned() });
    }
    options.objective.check()?;
    let device = options.device.burn().autodiff();
    let occupied = Model::is_in(&options.out);
    let (model, state) = if options.resume && occupied {
        Checkpoint::new(&options.out).load(options, &device, &corpus)?
    } else if occupied {
        return Err(TrainError::Occupied { path: options.out.clone() });
    } else {
        device.seed(options.seed);
        let mut model = begin(&corpus, options, &device)?;
        // Weights are drawn when they are first asked for. Asking here makes them those of the seed, whatever is trained.
        model.tokenizer = learner::numbered(model.tokenizer);
        model.dynamics = learner::numbered(model.dynamics);
        let record = model.card.training.clone();
        // Another model's tokenizer is a finished one.
        let stage = match options.stages {
            Stages::Only(Stage::Dynamics) if options.from.is_some() => Stage::Dynamics,
            _ => Stage::Tokenizer,
        };
        (model, TrainState::new(record, stage))
    };
    if state.stage == Stage::Tokenizer && !options.stages.include(Stage::Tokenizer) {
        return Err(TrainError::NoTokenizer { path: options.out.clone() });
    }
    let resumed = occupied.then_some(&state.record);
    let folder = RunFolder::open(options, &model.card, &corpus, resumed)?;
    let mut training = Training { corpus, options, folder, model, state };
    training.tokenizer(progress)?;
    training.dynamics(progress)?;
    training.calibrate()?;
    training.forgetting()?;
    Ok(training.summary())
}

/// One training, of either stage or both.
struct Training<'a> {
    corpus: Corpus<'a>,
    options: &'a TrainOptions,
    folder: RunFolder,
    model: Model,
    state: TrainState,
}

impl Training<'_> {
    fn tokenizer(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<(), TrainError> {
        if self.state.stage != Stage::Tokenizer {
            return Ok(());
        }
        let frames = self.frames_on_device();
        let objective = |split| TokenizerObjective::new(&self.corpus, split, frames.clone());
        let train = objective(Split::Train).ok_or_else(|| self.no_clips())?;
        let objectives = Objectives { train, val: objective(Split::Val) };
        self.warn_without_validation(objectives.val.is_none());
        let clock = Clock::new(self.options, Stage::Tokenizer, &self.state.record);
        if self.run(clock).stage::<Tokenizer, _>(&objectives, progress)? {
            self.state.stage = Stage::Dynamics;
            Checkpoint::new(&self.options.out).save_between(&self.model, &mut self.state)?;
        }
        Ok(())
    }

    fn dynamics(&mut self, progress: &mut dyn FnMut(&Progress)) -> Result<(), TrainError> {
        let (options, stage) = (self.options, Stage::Dynamics);
        let clock = Clock::new(options, stage, &self.state.record);
        let spent = clock.done(self.state.record.dynamics_steps) >= 1.0;
        if self.state.stage != stage || !options.stages.include(stage) || options.stopped() || spent {
            return Ok(());
        }
        let cache = CodeCache::new(self.folder.path(), &self.corpus, &self.model.tokenizer);
        let (codes, source) = cache.codes(&self.corpus, &self.model.tokenizer)?;
        if let Source::Rebuilt { because } = source {
            self.folder
                .notices
                .add(format!("the frames were encoded again, the cache was not to be trusted: {because}"));
        }
        let rows = CodedRows::new(&self.corpus, &codes, &self.model.card, &options.objective);
        let rows = Arc::new(self.put(rows)?);
        let objective = |split| DynamicsObjective::new(&self.corpus, split, &rows, &self.model.card, options);
        let train = objective(Split::Train).ok_or_else(|| self.no_clips())?;
        let objectives = Objectives { train, val: objective(Split::Val) };
        self.warn_without_validation(objectives.val.is_none());
        self.run(clock).stage::<Dynamics, _>(&objectives, progress)?;
        Ok(())
    }

    /// All frames on the device, if batches are gathered there and they fit.
    fn frames_on_device(&self) -> Option<Arc<DeviceFrames>> {
        let (device, bytes) = (self.options.device, DeviceFrames::bytes(&self.corpus));
        let fits = self.options.feed.puts_on(device, bytes, device.free_bytes()).unwrap_or(false);
        fits.then(|| Arc::new(DeviceFrames::new(&self.corpus, &device.burn())))
    }

    /// Puts rows where the options say that batches are put together, and says if they are too many for that.
    fn put(&mut self, rows: CodedRows) -> Result<CodedRows, TrainError> {
        let (feed, device, bytes) = (self.options.feed, self.options.device, rows.device_bytes());
        // The driver is to know that what the tokenizer's frames took is free again.
        device.burn().memory_cleanup();
        let rows = rows.put(feed, device)?;
        if feed == Feed::Auto && device != ComputeDevice::Cpu && !rows.are_on_device() {
            self.folder.notices.add(format!(
                "the coded corpus, {:.1} MB, does not fit into the share of {} that it may take: batches are put together \
                 by the host, one ahead",
                bytes as f64 / 1e6,
                device.name()
            ));
        }
        Ok(rows)
    }

    fn run(&mut self, clock: Clock) -> Run<'_> {
        Run {
            options: self.options,
            clock,
            folder: &mut self.folder,
            model: &mut self.model,
            state: &mut self.state,
        }
    }

    fn no_clips(&self) -> TrainError {
        TrainError::NoClips { path: self.corpus.path().to_owned() }
    }

    fn warn_without_validation(&mut self, nothing: bool) {
        if nothing {
            let notice =
                "the dataset holds no clips of the split val, so the last weights are kept, not the best";
            self.folder.notices.add(notice);
        }
    }

    /// Chooses at the end above which probability a step ends the episode.
    fn calibrate(&mut self) -> Result<(), TrainError> {
        let record = &self.state.record;
        let knows = record.dynamics_steps > 0 || !record.from.is_empty();
        let its_turn = self.state.stage == Stage::Dynamics && self.options.stages.include(Stage::Dynamics);
        if self.options.stopped() || !(knows && its_turn) {
            return Ok(());
        }
        calibration::calibrate(&mut self.model, &self.corpus, || self.options.stopped())?;
        self.model.save(&self.options.out)?;
        Ok(self.folder.publish(&self.model, self.options)?)
    }

    /// Measures at the end what a model that was fine-tuned still knows.
    fn forgetting(&mut self) -> Result<(), TrainError> {
        if self.options.stopped() || self.state.record.forgetting.is_empty() {
            return Ok(());
        }
        forgetting::after(&mut self.model, &self.corpus, self.options)?;
        self.state.record.forgetting = self.model.card.training.forgetting.clone();
        Ok(self.model.save(&self.options.out)?)
    }

    fn summary(self) -> TrainSummary {
        TrainSummary {
            record: self.model.card.training.clone(),
            parameters: self.model.parameters(),
            stopped: self.options.stopped(),
            notices: self.folder.notices.into_all(),
        }
    }
}
