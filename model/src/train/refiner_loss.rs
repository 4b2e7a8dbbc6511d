use burn::tensor::{Tensor, TensorData};
use rand::RngExt as _;
use worldstep_env::Rng;

use super::dynamics_batch::Windows;
use super::dynamics_loss::{CodeTargets, codes};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, SPATIAL_TOKENS};
use crate::dynamics::{Dynamics, FrameOutput, TOKEN_LOGITS};
use crate::fsq::CODE_VALUES;

/// Next frames of a batch with some of their codes masked, and the weights under which these are to be told.
pub struct MaskedNext {
    rows: usize,
    /// `[rows, TOKEN_LOGITS]`: one-hot next codes, zeros where they are masked.
    known: Vec<f32>,
    /// The others; known ones weigh nothing.
    targets: CodeTargets,
}

impl MaskedNext {
    /// Masks a share of each frame's next codes at random; each share is as likely as another.
    pub fn draw(windows: &Windows, rng: &mut Rng) -> Self {
        let rows = windows.frames * SPATIAL_TOKENS;
        let mut masked = Self {
            rows,
            known: vec![0.0; rows * TOKEN_LOGITS],
            targets: CodeTargets {
                next_weighted: windows.next_weighted.clone(),
                weights: windows.code_weights.clone(),
            },
        };
        for frame in 0..windows.frames {
            let share = rng.random_range(0.0..1.0);
            for code in
                frame * SPATIAL_TOKENS * CODES_PER_TOKEN..(frame + 1) * SPATIAL_TOKENS * CODES_PER_TOKEN
            {
                if !rng.random_bool(share) {
                    masked.reveal(code);
                }
            }
        }
        masked
    }

    /// Makes the `code`-th code of the batch a known one.
    fn reveal(&mut self, code: usize) {
        let logits = code * CODE_LOGITS..(code + 1) * CODE_LOGITS;
        let known = &mut self.known[logits.clone()];
        for (known, next) in known.iter_mut().zip(&mut self.targets.next_weighted[logits]) {
            *known = f32::from(*next > 0.0);
            *next = 0.0;
        }
        self.targets.weights[code * CODE_VALUES..(code + 1) * CODE_VALUES].fill(0.0);
    }

    /// How badly the refiner tells the masked codes; `None` if there is no refiner.
    pub fn loss(self, dynamics: &Dynamics, output: &FrameOutput) -> Option<Tensor<1>> {
        let device = output.codes.device();
        let known = Tensor::from_data(TensorData::new(self.known, [self.rows, TOKEN_LOGITS]), &device);
        let logits = dynamics.refine(output.spatial.clone(), output.codes.clone(), known)?;
        Some(codes(logits, self.targets, &device))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Frames whose codes are all level 0 in every dimension, under a weight of 2.
    fn windows(frames: usize) -> Windows {
        let code: Vec<f32> = (0..CODE_LOGITS)
            .map(|i| if crate::fsq::LOGIT_OFFSETS[..CODE_VALUES].contains(&i) { 2.0 } else { 0.0 })
            .collect();
        let codes = frames * SPATIAL_TOKENS * CODES_PER_TOKEN;
        Windows {
            frames,
            next_weighted: code.repeat(codes),
            code_weights: vec![2.0; codes * CODE_VALUES],
            ..Windows::default()
        }
    }

    #[test]
    fn a_code_is_either_known_or_to_be_told() {
        let windows = windows(40);
        let masked = MaskedNext::draw(&windows, &mut Rng::seed_from_u64(1));
        let mut shares = Vec::new();
        for frame in 0..40 {
            let mut known = 0;
            for code in frame * 64..(frame + 1) * 64 {
                let sum =
                    |values: &[f32], len: usize| values[code * len..(code + 1) * len].iter().sum::<f32>();
                let told = sum(&masked.targets.next_weighted, CODE_LOGITS);
                assert_eq!(told, sum(&masked.targets.weights, CODE_VALUES));
                assert_eq!(sum(&masked.known, CODE_LOGITS), if told == 0.0 { 4.0 } else { 0.0 });
                known += u32::from(told == 0.0);
            }
            shares.push(known);
        }
        assert!(
            shares.iter().any(|known| *known < 20) && shares.iter().any(|known| *known > 44),
            "{shares:?}"
        );
    }
}
