use burn::tensor::{Tensor, TensorData};
use rand::RngExt as _;
use worldstep_env::Rng;

use super::coded_rows::CodeTargets;
use super::dynamics_loss::codes;
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES};
use crate::dynamics::{Dynamics, FrameOutput, TOKEN_LOGITS};
use crate::fsq::CODE_VALUES;

/// Which of the next frames' codes the refiner is to tell.
pub struct Masks(Vec<f32>);

impl Masks {
    /// Masks a share of each frame's next codes at random; each share is as likely as another. In the order of tokens, 1 for
    /// a code that is to be told.
    pub fn draw(frames: usize, rng: &mut Rng) -> Self {
        let mut masks = Vec::with_capacity(frames * FRAME_CODES);
        for _ in 0..frames {
            let share = rng.random_range(0.0..1.0);
            masks.extend((0..FRAME_CODES).map(|_| f32::from(rng.random_bool(share))));
        }
        Self(masks)
    }

    /// How badly the refiner tells the masked codes; `None` if there is no refiner.
    pub fn loss(self, dynamics: &Dynamics, output: &FrameOutput, next: &CodeTargets) -> Option<Tensor<1>> {
        let (known, targets) = self.split(next);
        let logits = dynamics.refine(output.spatial.clone(), output.codes.clone(), known)?;
        Some(codes(logits, targets))
    }

    /// One-hot next codes, zeros where they are masked; and the others, under which known ones weigh nothing.
    fn split(self, next: &CodeTargets) -> (Tensor<2>, CodeTargets) {
        let (device, rows) = (next.weights.device(), next.weights.dims()[0]);
        let masked = TensorData::new(self.0, [rows, CODES_PER_TOKEN, 1]);
        let masked: Tensor<3> = Tensor::from_data(masked, &device);
        let of = |values: usize| {
            let each = masked.clone().expand([rows, CODES_PER_TOKEN, values]);
            each.reshape([rows, CODES_PER_TOKEN * values])
        };
        let hidden = of(CODE_LOGITS);
        debug_assert_eq!(hidden.dims(), [rows, TOKEN_LOGITS]);
        let is = next.next_weighted.clone().greater_scalar(0.0).float();
        let targets = CodeTargets {
            next_weighted: next.next_weighted.clone() * hidden.clone(),
            weights: next.weights.clone() * of(CODE_VALUES),
        };
        (is * (hidden.neg() + 1.0), targets)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::SeedableRng;

    use super::*;
    use crate::codec::plain;
    use crate::config::SPATIAL_TOKENS;

    /// Frames whose codes are all level 0 in every dimension, under a weight of 2.
    fn next(frames: usize) -> CodeTargets {
        let code: Vec<f32> = (0..CODE_LOGITS)
            .map(|i| if crate::fsq::LOGIT_OFFSETS[..CODE_VALUES].contains(&i) { 2.0 } else { 0.0 })
            .collect();
        let rows = frames * SPATIAL_TOKENS;
        let tokens = TensorData::new(code.repeat(rows * CODES_PER_TOKEN), [rows, TOKEN_LOGITS]);
        CodeTargets {
            next_weighted: Tensor::from_data(tokens, &Device::flex()),
            weights: Tensor::full([rows, CODES_PER_TOKEN * CODE_VALUES], 2.0, &Device::flex()),
        }
    }

    #[test]
    fn a_code_is_either_known_or_to_be_told() {
        let masks = Masks::draw(40, &mut Rng::seed_from_u64(1));
        let (known, targets) = masks.split(&next(40));
        let [known, told] = [known, targets.next_weighted].map(plain);
        let weights = plain(targets.weights);
        let mut shares = Vec::new();
        for frame in 0..40 {
            let mut count = 0;
            for code in frame * FRAME_CODES..(frame + 1) * FRAME_CODES {
                let sum =
                    |values: &[f32], len: usize| values[code * len..(code + 1) * len].iter().sum::<f32>();
                let told = sum(&told, CODE_LOGITS);
                assert_eq!(told, sum(&weights, CODE_VALUES));
                assert_eq!(sum(&known, CODE_LOGITS), if told == 0.0 { 4.0 } else { 0.0 });
                count += u32::from(told == 0.0);
            }
            shares.push(count);
        }
        assert!(
            shares.iter().any(|known| *known < 20) && shares.iter().any(|known| *known > 44),
            "{shares:?}"
        );
    }
}
