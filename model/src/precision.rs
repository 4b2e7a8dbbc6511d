//! Mixed precision: weights, optimizer, normalisation, softmax and loss stay in 32 bits; only the operands of large products
//! are rounded to bfloat16, which a GPU multiplies several times faster.
//!
//! A network computes in the precision of its linear layers' weights, so nothing has to be told to its layers: training
//! gives the forward pass a copy from [`Precision::lowered`], and gradients come back through the rounding to the weights.

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::Linear;
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::device::ComputeDevice;

/// The numbers that large products are computed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    F32,
    /// bfloat16 for the operands of products, 32 bits for everything else.
    Bf16,
}

impl Precision {
    /// Reads `f32` or `bf16`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::Bf16].into_iter().find(|precision| precision.name() == name)
    }

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether `device` gains from it.
    ///
    /// # Errors
    /// A line that says why not.
    pub fn check(self, device: ComputeDevice) -> Result<(), String> {
        match (self, device) {
            (Self::F32, _) => Ok(()),
            (Self::Bf16, ComputeDevice::Cpu) => {
                Err("precision bf16 is for GPUs, the processor would only emulate it: choose f32".to_owned())
            }
            (Self::Bf16, device) if device.burn().supports_dtype(FloatDType::BF16) => Ok(()),
            (Self::Bf16, _) => Err("this GPU does not compute in bf16: choose f32".to_owned()),
        }
    }

    /// `module` with the weights of its linear layers rounded, on the graph of the original ones.
    pub fn lowered<M: Module>(self, module: M) -> M {
        match self {
            Self::F32 => module,
            Self::Bf16 => module.map(&mut Lower { linear: 0 }),
        }
    }
}

/// How many linear layers the mapper is inside of.
struct Lower {
    linear: usize,
}

const LINEAR: &str = "Struct:Linear";

impl ModuleMapper for Lower {
    fn enter_module(&mut self, _name: &str, container_type: &str) {
        self.linear += usize::from(container_type == LINEAR);
    }

    fn exit_module(&mut self, _name: &str, container_type: &str) {
        self.linear -= usize::from(container_type == LINEAR);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, weight, mapper) = param.consume();
        let weight = if self.linear > 0 { weight.cast(FloatDType::BF16) } else { weight };
        Param::from_mapped_value(id, weight, mapper)
    }
}

/// What the products of a layer's outputs are to be computed in.
pub fn of(layer: &Linear) -> FloatDType {
    layer.weight.val().dtype().into()
}

/// `layer` of 32-bit rows, in the precision of its weights.
///
/// # Shapes
/// - x: `[rows, inputs]`, 32 bits
/// - output: `[rows, outputs]`, 32 bits
pub fn linear(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    layer.forward(x.cast(of(layer))).cast(FloatDType::F32)
}

/// The product of two 32-bit tensors with operands in `precision`, as 32 bits.
pub fn product<const D: usize>(left: Tensor<D>, right: Tensor<D>, precision: FloatDType) -> Tensor<D> {
    left.cast(precision).matmul(right.cast(precision)).cast(FloatDType::F32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::codec::plain;
    use crate::config::{ModelConfig, Preset};
    use crate::tokenizer::Tokenizer;

    #[test]
    fn the_processor_refuses_it_and_says_so() {
        let message = Precision::Bf16.check(ComputeDevice::Cpu).unwrap_err();
        assert!(message.contains("bf16") && message.contains("choose f32"), "{message}");
        assert!(Precision::F32.check(ComputeDevice::Cpu).is_ok());
        assert_eq!(Precision::from_name("bf16"), Some(Precision::Bf16));
        assert_eq!(Precision::from_name("f16"), None);
    }

    /// Output and gradients of a whole network in bfloat16 are those in 32 bits, but for the rounding; and they are rounded.
    #[test]
    fn a_lowered_network_learns_the_same() {
        let device = Device::flex().autodiff();
        let tokenizer = Tokenizer::new(&ModelConfig::new(Preset::Nano, 3, 1), &device);
        let x = Tensor::<2>::random([128, 192], Distribution::Uniform(-1.0, 1.0), &device);
        let decoded = |precision: Precision| {
            let codes = Tensor::<2>::full([128, 4], 0.25, &device);
            let output = precision.lowered(tokenizer.clone()).decode(codes);
            assert_eq!(FloatDType::from(output.dtype()), FloatDType::F32);
            let loss = (output.clone() - x.clone()).square().mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &tokenizer);
            let mut flat = Flat { gradients, values: Vec::new() };
            tokenizer.visit(&mut flat);
            (plain(output), flat.values)
        };
        let (exact, rounded) = (decoded(Precision::F32), decoded(Precision::Bf16));
        assert_eq!(exact.1.len(), rounded.1.len());
        for (exact, rounded) in [(exact.0, rounded.0), (exact.1, rounded.1)] {
            let off = distance(&exact, &rounded) / distance(&exact, &vec![0.0; exact.len()]);
            assert!(off > 1e-4 && off < 0.05, "relative distance {off}");
        }
    }

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    }

    struct Flat {
        gradients: GradientsParams,
        values: Vec<f32>,
    }

    impl burn::module::ModuleVisitor for Flat {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                assert_eq!(FloatDType::from(gradient.dtype()), FloatDType::F32);
                self.values.extend(plain(gradient));
            }
        }
    }
}
