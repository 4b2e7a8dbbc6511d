use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;

use super::coded_corpus::CodedCorpus;
use super::coded_rows::{CodedRows, Targets};
use super::dynamics_batch::Windows;
use super::dynamics_loss;
use super::gradients::{Draw, Objective};
use super::host_batch::{HostInput, HostTargets};
use super::loss::Loss;
use super::objective::ObjectiveOptions;
use super::options::TrainOptions;
use super::physics::{PhysicsOptions, PhysicsTargets, Readout};
use super::refiner_loss::Masks;
use super::self_forcing::Dreamer;
use super::window_plan::WindowSizes;
use crate::config::RefinerConfig;
use crate::data::{Corpus, Split};
use crate::dynamics::{Dynamics, FrameInput, FrameOutput};
use crate::model::ModelCard;

/// Prediction of the next frame's codes, and of what the action causes, over windows of a whole ring, drawn from one split.
///
/// A step goes **draw windows → roll out → gather the batch → forward pass → loss**, and whoever drives it may look in
/// between.
pub struct DynamicsObjective<'a> {
    corpus: CodedCorpus<'a>,
    rows: Arc<CodedRows>,
    batch: usize,
    window: usize,
    physics: PhysicsOptions,
    options: ObjectiveOptions,
    refiner: Option<RefinerConfig>,
}

/// Windows, and what the host has put together of them already.
pub struct DrawnWindows {
    windows: Windows,
    masks: Option<Masks>,
    /// None where rows are gathered on the device.
    targets: Option<HostTargets>,
    /// None too where the model is to put in frames of its own first.
    input: Option<HostInput>,
}

/// A batch on the device.
pub struct Batch {
    input: FrameInput,
    answers: Answers,
}

/// What an output is held against.
pub struct Answers {
    targets: Targets,
    masks: Option<Masks>,
    physics: PhysicsTargets,
}

impl<'a> DynamicsObjective<'a> {
    /// `rows` are those of `corpus`; `None` if `split` holds no clip of two frames.
    pub fn new(
        corpus: &Corpus<'a>,
        split: Split,
        rows: &Arc<CodedRows>,
        card: &ModelCard,
        options: &TrainOptions,
    ) -> Option<Self> {
        let corpus = CodedCorpus::new(corpus, split, (rows, &options.objective), card)?;
        Some(Self {
            corpus,
            rows: Arc::clone(rows),
            batch: options.batch,
            window: card.config.context_frames,
            physics: options.physics,
            options: options.objective.clone(),
            refiner: card.config.refiner.clone(),
        })
    }

    /// Frames in a window.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Puts the model's own frames into the windows that are to have some.
    pub fn roll_out(&self, dynamics: &Dynamics, drawn: &mut DrawnWindows) {
        if drawn.windows.roll_outs.is_empty() {
            return;
        }
        let temperature = self.options.self_forcing.temperature;
        let (dynamics, refiner) = (&dynamics.valid(), self.refiner.as_ref());
        Dreamer { dynamics, rows: &self.rows, refiner, temperature }.roll_out(&mut drawn.windows);
    }

    /// The batch, on `device`.
    pub fn gather(&self, drawn: DrawnWindows, device: &Device) -> Batch {
        let DrawnWindows { windows, masks, targets, input } = drawn;
        let frames = &windows.frames;
        let targets = targets.map(|targets| targets.tensors(device));
        Batch {
            input: input.map_or_else(|| self.rows.input(frames, device), |input| input.tensors(device)),
            answers: Answers {
                targets: targets.unwrap_or_else(|| self.rows.targets(&frames.rows, device)),
                masks,
                physics: windows.physics,
            },
        }
    }

    /// How far `output` is from the truth.
    pub fn judge(&self, dynamics: &Dynamics, output: FrameOutput, answers: Answers) -> Loss {
        let Answers { targets, masks, physics } = answers;
        let physics = physics.losses(&Readout::from(&output), &self.physics);
        let refined = masks.and_then(|masks| masks.loss(dynamics, &output, &targets.codes));
        let loss = dynamics_loss::loss(output, targets);
        let physics = physics.into_iter().filter_map(|part| Some((part.name, part.weight, part.loss?)));
        let loss = physics.fold(loss, |loss, (name, weight, term)| loss.and(name, weight, term));
        match refined {
            Some(term) => loss.and("refiner", self.options.refiner_weight, term),
            None => loss,
        }
    }
}

impl Batch {
    /// What the network reads, and what its output is held against.
    pub fn split(self) -> (FrameInput, Answers) {
        (self.input, self.answers)
    }
}

impl Objective<Dynamics> for DynamicsObjective<'_> {
    type Drawn = DrawnWindows;

    fn peak_rate(&self) -> f64 {
        2e-3
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn frames(&self) -> usize {
        self.batch * self.window
    }

    fn draw(&self, draw: &mut Draw) -> DrawnWindows {
        let horizon = self.options.self_forcing.horizon_at(draw.progress);
        let sizes = WindowSizes { length: self.window, horizon };
        let windows = self.corpus.windows(draw.count, sizes, &mut draw.rng);
        let frames = &windows.frames;
        let masks = self.refiner.as_ref().map(|_| Masks::draw(frames.len(), &mut draw.rng));
        let on_host = !self.rows.are_on_device();
        let (targets, input) = (
            on_host.then(|| self.rows.host_targets(&frames.rows)),
            (on_host && windows.roll_outs.is_empty()).then(|| self.rows.host_input(frames)),
        );
        DrawnWindows { windows, masks, targets, input }
    }

    fn loss(&self, dynamics: &Dynamics, mut drawn: DrawnWindows) -> Loss {
        self.roll_out(dynamics, &mut drawn);
        let (input, answers) = self.gather(drawn, &dynamics.device()).split();
        let output = dynamics.forward(input, self.window);
        self.judge(dynamics, output, answers)
    }
}
