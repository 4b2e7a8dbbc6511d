//! Which codes of a drawn frame are masked and drawn again: every engine, and training, do this alike.

use burn::tensor::{Tensor, TensorData};

use super::Sampling;
use super::sampling::{log_likelihood, sample_level, softmax, uniform};
use crate::codec::plain;
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, RefinerConfig, SPATIAL_TOKENS};
use crate::dynamics::{Dynamics, TOKEN_LOGITS};
use crate::fsq::CODE_VALUES;
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};

/// One bit for each code, by its place in the grid.
const _: () = assert!(FRAME_CODES == u64::BITS as usize);

/// What the name of a frame's randomness is mixed with when codes are drawn again.
pub fn redraw_salt(step: usize) -> u64 {
    // Not the next draw but one: that is another frame's. Nor the next place's: another factor than there.
    (step as u64 + 1).wrapping_mul(0xd1b5_4a32_d192_ed03)
}

/// A drawn frame, of which some codes are drawn again.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Log-likelihood of each code as it was drawn last, by its place in the grid.
    confidence: [f32; FRAME_CODES],
    masked: u64,
}

impl Draft {
    /// The frame `codes`, drawn from `logits`.
    ///
    /// # Shapes
    /// - logits: `[SPATIAL_TOKENS, TOKEN_LOGITS]`
    /// - codes: `FRAME_CODE_BYTES`
    pub fn new(logits: &[f32], codes: &[u8]) -> Self {
        let mut draft = Self { confidence: [0.0; FRAME_CODES], masked: u64::MAX };
        draft.judge(logits, codes);
        draft
    }

    /// Masks the codes that were least likely, those first in the grid where two are alike.
    pub fn mask(&mut self, config: &RefinerConfig, step: usize) {
        let mut places: [usize; FRAME_CODES] = std::array::from_fn(|place| place);
        places.sort_by(|a, b| self.confidence[*a].total_cmp(&self.confidence[*b]));
        let count = config.masked_in(step);
        self.masked = places[..count].iter().fold(0, |masked, place| masked | 1 << place);
    }

    /// Whether the code at `place` in the grid is to be predicted.
    pub fn is_masked(&self, place: usize) -> bool {
        self.masked >> place & 1 == 1
    }

    /// Draws the masked codes from new logits; see [`Sampling`] for `draw` and `temperature`.
    pub fn redraw(&mut self, logits: &[f32], (draw, temperature): (u64, f32), step: usize, codes: &mut [u8]) {
        let draw = draw ^ redraw_salt(step);
        for (token, part) in parts() {
            let place = grid_index(token, part);
            if self.is_masked(place) {
                for dim in 0..CODE_VALUES {
                    codes[place * CODE_VALUES + dim] = sample_level(
                        &logits[softmax(token, part, dim)],
                        temperature,
                        uniform(draw, token, part, dim),
                    );
                }
            }
        }
        self.judge(logits, codes);
    }

    /// Sets the confidence of the masked codes.
    fn judge(&mut self, logits: &[f32], codes: &[u8]) {
        for (token, part) in parts() {
            let place = grid_index(token, part);
            if self.is_masked(place) {
                let level = |dim: usize| usize::from(codes[place * CODE_VALUES + dim]);
                let of = |dim| log_likelihood(&logits[softmax(token, part, dim)], level(dim));
                self.confidence[place] = (0..CODE_VALUES).map(of).sum();
            }
        }
    }

    /// One-hot tokens of the codes that are not masked; `out` is zeroed, `SPATIAL_TOKENS * TOKEN_LOGITS`.
    pub fn known(&self, codes: &[u8], out: &mut [f32]) {
        one_hot_tokens(codes, out);
        for (token, part) in parts().filter(|(token, part)| self.is_masked(grid_index(*token, *part))) {
            let first = token * TOKEN_LOGITS + part * CODE_LOGITS;
            out[first..first + CODE_LOGITS].fill(0.0);
        }
    }
}

fn parts() -> impl Iterator<Item = (usize, usize)> {
    (0..SPATIAL_TOKENS).flat_map(|token| (0..CODES_PER_TOKEN).map(move |part| (token, part)))
}

/// What burn's network said of some frames that follow.
pub struct Foretold {
    /// As [`FrameOutput::spatial`](crate::dynamics::FrameOutput).
    pub spatial: Tensor<2>,
    /// As [`FrameOutput::codes`](crate::dynamics::FrameOutput).
    pub codes: Tensor<2>,
}

/// Refines frames that were drawn from what `dynamics` said of them; without a refiner they stay as they are.
///
/// # Shapes
/// - codes: `frames × FRAME_CODE_BYTES`
pub fn refine(
    dynamics: &Dynamics,
    config: &RefinerConfig,
    said: &Foretold,
    sampling: Sampling<'_>,
    codes: &mut [u8],
) {
    const LOGITS: usize = SPATIAL_TOKENS * TOKEN_LOGITS;
    let logits = plain(said.codes.clone());
    let frames = logits.chunks_exact(LOGITS).zip(codes.chunks_exact(FRAME_CODE_BYTES));
    let mut drafts: Vec<Draft> = frames.map(|(logits, codes)| Draft::new(logits, codes)).collect();
    for step in 0..config.steps {
        let mut known = vec![0.0; logits.len()];
        let frames = drafts.iter_mut().zip(codes.chunks_exact(FRAME_CODE_BYTES));
        for ((draft, codes), known) in frames.zip(known.chunks_exact_mut(LOGITS)) {
            draft.mask(config, step);
            draft.known(codes, known);
        }
        let known = TensorData::new(known, [drafts.len() * SPATIAL_TOKENS, TOKEN_LOGITS]);
        let known = Tensor::from_data(known, &dynamics.device());
        let Some(refined) = dynamics.refine(said.spatial.clone(), said.codes.clone(), known) else { return };
        let refined = plain(refined);
        let frames = drafts.iter_mut().zip(codes.chunks_exact_mut(FRAME_CODE_BYTES));
        for (i, ((draft, codes), logits)) in frames.zip(refined.chunks_exact(LOGITS)).enumerate() {
            draft.redraw(logits, (sampling.draws[i], sampling.temperature), step, codes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits under which level 0 of every dimension is likelier by `sure(token)`.
    fn logits(sure: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut logits = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
        for (token, part) in parts() {
            (0..CODE_VALUES).for_each(|dim| logits[softmax(token, part, dim).start] = sure(token));
        }
        logits
    }

    #[test]
    fn the_least_likely_codes_are_drawn_again_and_the_others_stay() {
        let config = RefinerConfig { masked_codes: 8, ..RefinerConfig::default() };
        let unsure = logits(|token| if token == 5 || token == 9 { 1.0 } else { 9.0 });
        let mut codes = vec![0; FRAME_CODE_BYTES];
        let mut draft = Draft::new(&unsure, &codes);
        draft.mask(&config, 0);
        let mut last = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
        for (token, part) in parts() {
            (0..CODE_VALUES).for_each(|dim| last[softmax(token, part, dim).start + 1] = 9.0);
        }
        draft.redraw(&last, (1, 0.0), 0, &mut codes);
        for (token, part) in parts() {
            let place = grid_index(token, part);
            let expected = u8::from(token == 5 || token == 9);
            assert_eq!(codes[place * CODE_VALUES..(place + 1) * CODE_VALUES], [expected; CODE_VALUES]);
        }
        // What was drawn again is likely now: the second step masks others, and half as many.
        draft.mask(&config, 1);
        assert_eq!(draft.masked.count_ones(), 4);
    }

    #[test]
    fn masked_codes_are_not_shown() {
        let codes = vec![1; FRAME_CODE_BYTES];
        let mut draft = Draft::new(&logits(|token| if token == 3 { 0.0 } else { -9.0 }), &codes);
        draft.mask(&RefinerConfig { masked_codes: 60, ..RefinerConfig::default() }, 0);
        let mut known = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
        draft.known(&codes, &mut known);
        assert_eq!(known.iter().sum::<f32>(), 4.0 * CODE_VALUES as f32);
    }
}
