use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::store::ModuleSnapshot;
use burn::tensor::Tensor;

use super::average;
use super::optimizer::Optimizer;
use super::options::Stage;
use crate::dynamics::Dynamics;
use crate::model::Model;
use crate::tokenizer::Tokenizer;

/// A network of a model that is trained in a stage of its own.
pub trait Network: Module + ModuleSnapshot + Sync {
    /// Its stage.
    const STAGE: Stage;

    /// Its place in the model.
    fn of(model: &mut Model) -> &mut Self;
}

impl Network for Tokenizer {
    const STAGE: Stage = Stage::Tokenizer;

    fn of(model: &mut Model) -> &mut Self {
        &mut model.tokenizer
    }
}

impl Network for Dynamics {
    const STAGE: Stage = Stage::Dynamics;

    fn of(model: &mut Model) -> &mut Self {
        &mut model.dynamics
    }
}

/// A network in the making.
pub struct Learner<M> {
    /// The weights that are trained.
    pub weights: M,
    /// Their moving average, off the graph: what is validated and shipped.
    pub average: M,
    /// The average that was best in validation.
    pub best: Option<M>,
    /// Moments of the gradients.
    pub optimizer: ModuleOptimizer,
}

impl<M: Network> Learner<M> {
    /// Begins with `network`.
    pub fn new(network: M, optimizer: Optimizer) -> Self {
        let weights = numbered(network);
        Self { average: weights.valid(), weights, best: None, optimizer: optimizer.begin() }
    }

    /// What the model's folder is to hold.
    pub fn shipped(&self) -> &M {
        self.best.as_ref().unwrap_or(&self.average)
    }

    /// Moves weights and average on by one step, the `step`-th of the stage (from 1).
    pub fn step(self, rate: f64, gradients: GradientsParams, ema_decay: f64, step: u64) -> Self {
        let Self { weights, average, best, mut optimizer } = self;
        let weights = optimizer.step(rate, weights, gradients);
        let average = average::moved(average, &weights, average::decay_at(ema_decay, step));
        Self { weights, average, best, optimizer }
    }
}

/// The same weights with identities counted up from 1, so that moments and averages of an earlier session find them.
pub fn numbered<M: Module>(module: M) -> M {
    module.map(&mut Number(0))
}

struct Number(u64);

impl ModuleMapper for Number {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.0 += 1;
        let (_, tensor, mapper) = param.consume();
        Param::from_mapped_value(ParamId::from(self.0), tensor, mapper)
    }
}
