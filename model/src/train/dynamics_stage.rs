use std::sync::Arc;

use burn::module::Module;

use super::coded_corpus::CodedCorpus;
use super::dynamics_batch::Windows;
use super::dynamics_loss;
use super::gradients::{Draw, Objective};
use super::loss::Loss;
use super::objective::ObjectiveOptions;
use super::options::TrainOptions;
use super::physics::{PhysicsOptions, Readout};
use super::refiner_loss::MaskedNext;
use super::self_forcing::Dreamer;
use super::window_plan::WindowSizes;
use crate::config::RefinerConfig;
use crate::data::{Corpus, Split};
use crate::dynamics::Dynamics;
use crate::model::ModelCard;

/// Prediction of the next frame's codes, and of what the action causes, over windows of a whole ring, drawn from one split.
pub struct DynamicsObjective<'a> {
    corpus: CodedCorpus<'a>,
    batch: usize,
    window: usize,
    physics: PhysicsOptions,
    options: ObjectiveOptions,
    refiner: Option<RefinerConfig>,
}

impl<'a> DynamicsObjective<'a> {
    /// `codes` are those of all rows of each part; `None` if `split` holds no clip of two frames.
    pub fn new(
        corpus: &Corpus<'a>,
        split: Split,
        codes: &[Arc<[u8]>],
        card: &ModelCard,
        options: &TrainOptions,
    ) -> Option<Self> {
        let corpus = CodedCorpus::new(corpus, split, (codes, &options.objective), card)?;
        Some(Self {
            corpus,
            batch: options.batch,
            window: card.config.context_frames,
            physics: options.physics,
            options: options.objective.clone(),
            refiner: card.config.refiner.clone(),
        })
    }
}

impl DynamicsObjective<'_> {
    /// Puts the model's own frames into the windows that are to have some.
    fn roll_out(&self, dynamics: &Dynamics, windows: &mut Windows) {
        if windows.roll_outs.is_empty() {
            return;
        }
        let temperature = self.options.self_forcing.temperature;
        let dreamer = Dreamer { dynamics: &dynamics.valid(), refiner: self.refiner.as_ref(), temperature };
        dreamer.roll_out(windows);
    }
}

impl Objective<Dynamics> for DynamicsObjective<'_> {
    fn peak_rate(&self) -> f64 {
        2e-3
    }

    fn batch(&self) -> usize {
        self.batch
    }

    fn frames(&self) -> usize {
        self.batch * self.window
    }

    fn loss(&self, dynamics: &Dynamics, draw: &mut Draw) -> Loss {
        let device = dynamics.device();
        let horizon = self.options.self_forcing.horizon_at(draw.progress);
        let sizes = WindowSizes { length: self.window, horizon };
        let mut windows = self.corpus.windows(draw.count, sizes, &mut draw.rng);
        self.roll_out(dynamics, &mut windows);
        let masked = self.refiner.as_ref().map(|_| MaskedNext::draw(&windows, &mut draw.rng));
        let input = dynamics_loss::input(&mut windows, &device);
        let targets = std::mem::take(&mut windows.physics);
        let output = dynamics.forward(input, self.window);
        let physics = targets.losses(&Readout::from(&output), &self.physics);
        let refined = masked.and_then(|masked| masked.loss(dynamics, &output));
        let loss = dynamics_loss::loss(output, windows, &device);
        let physics = physics.into_iter().filter_map(|part| Some((part.name, part.weight, part.loss?)));
        let loss = physics.fold(loss, |loss, (name, weight, term)| loss.and(name, weight, term));
        match refined {
            Some(term) => loss.and("refiner", self.options.refiner_weight, term),
            None => loss,
        }
    }
}
