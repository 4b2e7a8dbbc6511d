use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Added to the norm, so that gradients of nothing are not divided by nothing.
const EPSILON: f32 = 1e-6;

/// Scales all gradients of `module` alike, so that the norm over all of them is at most `norm_max`
/// ([Pascanu et al.](https://arxiv.org/abs/1211.5063)). Returns the norm that they had, a single value; `None` where
/// there are no gradients. It never waits for the device.
pub fn clip<M: Module>(module: &M, gradients: &mut GradientsParams, norm_max: f32) -> Option<Tensor<1>> {
    let mut squares = Squares { gradients, sum: None };
    module.visit(&mut squares);
    let norm = squares.sum?.sqrt();
    let by = ((norm.clone() + EPSILON).recip() * norm_max).clamp_max(1.0);
    module.visit(&mut Scale { gradients, by });
    Some(norm)
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = (gradient.clone() * gradient).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    by: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.by.clone().unsqueeze());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::nn::LinearConfig;
    use burn::tensor::Device;

    use super::*;
    use crate::codec::plain;

    #[test]
    fn all_gradients_shrink_alike_and_small_ones_stay() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(2, 1).init(&device);
        let (weight, bias) = (layer.weight.id, layer.bias.as_ref().unwrap().id);
        let clipped = |norm_max| {
            let mut gradients = GradientsParams::new();
            gradients.register(weight, Tensor::<2>::from_floats([[2.0], [1.0]], &Device::flex()));
            gradients.register(bias, Tensor::<1>::from_floats([2.0], &Device::flex()));
            let norm = clip(&layer, &mut gradients, norm_max).unwrap();
            let weight = plain(gradients.get::<2>(weight).unwrap());
            [plain(norm), weight, plain(gradients.get::<1>(bias).unwrap())].concat()
        };
        assert_eq!(clipped(100.0), [3.0, 2.0, 1.0, 2.0]);
        let near = [3.0, 1.0, 0.5, 1.0];
        assert!(clipped(1.5).iter().zip(near).all(|(a, b)| (a - b).abs() < 1e-5), "{:?}", clipped(1.5));
    }
}
