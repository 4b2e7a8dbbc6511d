use burn::module::Module;
use burn::tensor::Tensor;
use worldstep_env::Rng;

use super::dynamics_batch::CodedClips;
use super::dynamics_loss;
use super::gradients::Objective;
use super::options::TrainOptions;
use super::physics::{PhysicsOptions, Readout};
use crate::codec::encode_frames;
use crate::data::Clips;
use crate::dynamics::Dynamics;
use crate::model::Model;

/// Prediction of the next frame's codes, and of what the action causes, over windows of a whole ring.
pub struct DynamicsObjective<'a> {
    clips: CodedClips<'a>,
    batch: usize,
    window: usize,
    physics: PhysicsOptions,
}

impl<'a> DynamicsObjective<'a> {
    /// Encodes all clips once with the finished tokenizer.
    pub fn new(clips: &'a Clips, model: &Model, options: &TrainOptions) -> Self {
        let codes = encode_frames(&model.tokenizer.valid(), &clips.frames);
        Self {
            clips: CodedClips::new(clips, codes, &model.card),
            batch: options.batch,
            window: model.card.config.context_frames,
            physics: options.physics,
        }
    }
}

impl Objective<Dynamics> for DynamicsObjective<'_> {
    fn peak_rate(&self) -> f64 {
        2e-3
    }

    fn loss(&self, dynamics: &Dynamics, rng: &mut Rng, share: f32) -> Tensor<1> {
        let count = ((self.batch as f32 * share).round() as usize).max(1);
        let device = dynamics.device();
        let mut windows = self.clips.windows(count, self.window, rng);
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
