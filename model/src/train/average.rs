use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

/// How much of the average stays when weights of step `step` (from 1) join it: `decay`, but less in the first steps, so
/// that an average over a short training is not one of its random start. It then spans about the last tenth of it.
pub fn decay_at(decay: f64, step: u64) -> f64 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64))
}

/// An exponential moving average of weights, moved on by one step: `decay · average + (1 − decay) · weights`.
///
/// `average` is of the same network, its parameters under the same identities, and off the graph.
pub fn moved<M: Module>(average: M, weights: &M, decay: f64) -> M {
    let mut collect = Collect(TensorContainer::new());
    weights.visit(&mut collect);
    average.map(&mut Blend { weights: collect.0, share: 1.0 - decay })
}

struct Collect(TensorContainer<ParamId>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().inner());
    }
}

struct Blend {
    weights: TensorContainer<ParamId>,
    share: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, average, mapper) = param.consume();
        let moved = match self.weights.remove::<Tensor<D>>(&id) {
            Some(weights) => average.clone() + (weights - average) * self.share,
            None => average,
        };
        Param::from_mapped_value(id, moved, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Initializer, LinearConfig};
    use burn::tensor::Device;

    use super::*;
    use crate::codec::plain;

    #[test]
    fn the_average_follows_the_weights() {
        let device = Device::flex().autodiff();
        let config = LinearConfig::new(1, 1).with_bias(false);
        let layer = |value| config.clone().with_initializer(Initializer::Constant { value }).init(&device);
        let mut weights = layer(0.0);
        let mut average = weights.valid();
        for (value, expected) in [(8.0, 2.0), (8.0, 3.5), (0.0, 2.625)] {
            weights.weight = weights.weight.map(|weight| weight * 0.0 + value);
            average = moved(average, &weights, 0.75);
            assert_eq!(plain(average.weight.val()), [expected]);
            assert!(!average.weight.val().device().is_autodiff());
        }
    }

    #[test]
    fn early_weights_are_forgotten_fast() {
        assert!(decay_at(0.999, 1) < 0.2);
        assert!(decay_at(0.999, 100) > 0.9 && decay_at(0.999, 100) < 0.95);
        assert_eq!(decay_at(0.999, 1_000_000), 0.999);
        assert_eq!(decay_at(0.0, 50), 0.0);
    }
}
