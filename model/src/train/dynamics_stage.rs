use std::sync::Arc;

use burn::tensor::Tensor;
use worldstep_env::Rng;

use super::coded_corpus::CodedCorpus;
use super::dynamics_loss;
use super::gradients::Objective;
use super::options::TrainOptions;
use super::physics::{PhysicsOptions, Readout};
use crate::data::{Corpus, Split};
use crate::dynamics::Dynamics;
use crate::model::ModelCard;

/// Prediction of the next frame's codes, and of what the action causes, over windows of a whole ring, drawn from one split.
pub struct DynamicsObjective<'a> {
    corpus: CodedCorpus<'a>,
    batch: usize,
    window: usize,
    physics: PhysicsOptions,
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
        let corpus = CodedCorpus::new(corpus, split, codes, card)?;
        let (batch, physics) = (options.batch, options.physics);
        Some(Self { corpus, batch, window: card.config.context_frames, physics })
    }
}

impl Objective<Dynamics> for DynamicsObjective<'_> {
    fn peak_rate(&self) -> f64 {
        2e-3
    }

    fn loss(&self, dynamics: &Dynamics, rng: &mut Rng, share: f32) -> Tensor<1> {
        let count = ((self.batch as f32 * share).round() as usize).max(1);
        let device = dynamics.device();
        let mut windows = self.corpus.windows(count, self.window, rng);
        let input = dynamics_loss::input(&mut windows, &device);
        let targets = std::mem::take(&mut windows.physics);
        let output = dynamics.forward(input, self.window);
        let physics = targets.losses(&Readout::from(&output), &self.physics);
        let loss = dynamics_loss::loss(output, windows, &device);
        physics
            .into_iter()
            .filter_map(|part| Some(part.loss? * part.weight))
            .fold(loss, |sum, part| sum + part)
    }
}
