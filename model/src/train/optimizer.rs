use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamWConfig, AdjustLrFn, ModuleOptimizer, MuonConfig};
use serde::{Deserialize, Serialize};

const WEIGHT_DECAY: f32 = 0.02;

/// How gradients become steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// [AdamW](https://arxiv.org/abs/1711.05101) for all weights.
    AdamW,
    /// [Muon](https://arxiv.org/abs/2502.16982), steps of orthogonal matrices, for the matrices inside the blocks, scaled so
    /// that AdamW's learning rates and decay suit it; AdamW for all else.
    #[default]
    Muon,
}

impl Optimizer {
    /// Reads `adamw` or `muon`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AdamW, Self::Muon].into_iter().find(|optimizer| optimizer.name() == name)
    }

    /// What models were trained with before there was a choice.
    pub(crate) fn of_old() -> Self {
        Self::AdamW
    }

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdamW => "adamw",
            Self::Muon => "muon",
        }
    }

    /// A fresh one. Gradients are clipped before it sees them.
    pub(super) fn begin(self) -> ModuleOptimizer {
        let adamw = AdamWConfig::new().with_beta_2(0.99).with_epsilon(1e-8).with_weight_decay(WEIGHT_DECAY);
        match self {
            Self::AdamW => adamw.init(),
            Self::Muon => MATRICES.into_iter().fold(adamw.init(), |optimizer, stack| {
                let muon = MuonConfig::new()
                    .with_weight_decay(Some(WeightDecayConfig::new(WEIGHT_DECAY)))
                    .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
                let matrices = ParamGroup::from_predicates(vec![stack, ".weight"]);
                optimizer.with_group(matrices, muon.build(), None)
            }),
        }
    }
}

/// Where the blocks are in the paths of a network's parameters; all that is called `weight` in them is a matrix.
const MATRICES: [&str; 3] = ["encoder.", "decoder.", "blocks."];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::Module;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::codec::plain;
    use crate::config::{ModelConfig, Preset, RefinerConfig};
    use crate::dynamics::Dynamics;
    use crate::model::TrainingRecord;
    use crate::tokenizer::Tokenizer;
    use crate::train::learner::numbered;

    /// Name, values and shape.
    type Move = (String, Vec<f32>, Vec<usize>);

    #[derive(Default)]
    struct Named(Vec<Move>, Vec<String>);

    impl burn::module::ModuleVisitor for Named {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            let tensor = param.val().inner();
            let shape = tensor.dims().to_vec();
            self.0.push((self.1.join("."), plain(tensor), shape));
        }
    }

    fn values(module: &impl Module) -> Named {
        let mut named = Named::default();
        module.visit(&mut named);
        named
    }

    /// How a step moves each weight. The sum of squared weights has the weights for its gradient: far from orthogonal, and
    /// AdamW makes signs of it.
    fn stepped<M: Module>(optimizer: Optimizer, module: M) -> Vec<Move> {
        let before = values(&module);
        let mut sum = Sum(Tensor::zeros([1], &Device::flex().autodiff()));
        module.visit(&mut sum);
        let gradients = GradientsParams::from_grads(sum.0.backward(), &module);
        let after = values(&optimizer.begin().step(1e-3, module, gradients));
        let moves = before.0.into_iter().zip(after.0).map(|((name, from, shape), (_, to, _))| {
            (name, from.iter().zip(to).map(|(from, to)| from - to).collect(), shape)
        });
        moves.collect()
    }

    struct Sum(Tensor<1>);

    impl burn::module::ModuleVisitor for Sum {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            self.0 = self.0.clone() + param.val().powi_scalar(2).sum();
        }
    }

    /// Matrices that Muon moves otherwise than AdamW; each by a near orthogonal step.
    fn moved_by_muon<M: Module>(module: M) -> Vec<String> {
        let module = numbered(module);
        let adamw = stepped(Optimizer::AdamW, module.clone());
        let muon = stepped(Optimizer::Muon, module);
        let pairs = adamw.into_iter().zip(muon).filter(|((_, plain, _), (_, moved, _))| plain != moved);
        let orthogonal = |((name, _, shape), (_, moved, _)): (Move, Move)| {
            // Rows of an orthogonal step are as long as its learning rate, whatever the gradient's were.
            let (rows, columns) = (shape[0], shape[1]);
            let rate = 1e-3 * 0.2 * (rows.max(columns) as f32).sqrt();
            let norm = moved.iter().map(|value| value * value).sum::<f32>().sqrt();
            let share = norm / (rate * (rows.min(columns) as f32).sqrt());
            assert!((0.7..1.3).contains(&share), "{name}: {share}");
            name
        };
        pairs.map(orthogonal).collect()
    }

    #[test]
    fn muon_moves_the_blocks_matrices_by_near_orthogonal_steps_and_nothing_else() {
        let device = Device::flex().autodiff();
        let refiner = Some(RefinerConfig::default());
        let config = ModelConfig { refiner, ..ModelConfig::new(Preset::Nano, 2, 1) };
        let moved = moved_by_muon(Dynamics::new(&config, &device));
        // Queries with keys and values, their output, gate, value and output: in each block and the refiner's; the first
        // two once more in every other block, over time.
        assert_eq!(moved.len(), 5 * (4 + 1) + 2 * 2, "{moved:?}");
        assert!(moved.iter().all(|name| name.contains("blocks.") && name.ends_with(".weight")), "{moved:?}");
        let moved = moved_by_muon(Tokenizer::new(&config, &device));
        // The encoder does not attend.
        assert_eq!(moved.len(), 3 + 2 * 5, "{moved:?}");
        let inside = |name: &String| name.starts_with("encoder.") || name.starts_with("decoder.");
        assert!(moved.iter().all(inside), "{moved:?}");
    }

    #[test]
    fn a_record_without_one_is_of_adamw() {
        let mut record = serde_json::to_value(TrainingRecord::default()).unwrap();
        assert_eq!(record.as_object_mut().unwrap().remove("optimizer").unwrap(), "muon");
        let record: TrainingRecord = serde_json::from_value(record).unwrap();
        assert_eq!(record.optimizer, Optimizer::AdamW);
    }

    #[test]
    fn names_are_read_back() {
        for optimizer in [Optimizer::AdamW, Optimizer::Muon] {
            assert_eq!(Optimizer::from_name(optimizer.name()), Some(optimizer));
        }
        assert_eq!(Optimizer::from_name("sgd"), None);
    }
}
