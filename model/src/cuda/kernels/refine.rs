use cubecl::prelude::*;

use super::embed::{first_logit, grid_place};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, SPATIAL_TOKENS};
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::meter::Cost;
use crate::fsq::CODE_VALUES;

/// One unit a code of a lane: masked, if fewer than `count` of its frame are less likely, or as likely and before it.
#[cube(launch)]
#[allow(clippy::needless_range_loop, reason = "kernels have no slices to iterate over")]
fn mask_kernel(confidence: &[f32], masked: &mut [u32], lanes: u32, count: u32) {
    let at = ABSOLUTE_POS;
    if at < lanes as usize * FRAME_CODES {
        let first = at / FRAME_CODES * FRAME_CODES;
        let own = confidence[at];
        let mut before = 0u32;
        for other in first..first + FRAME_CODES {
            let theirs = confidence[other];
            if theirs < own || (theirs == own && other < at) {
                before += 1u32;
            }
        }
        masked[at] = u32::cast_from(before < count);
    }
}

/// Masks the `count` least likely codes of each frame, those first in the grid where two are alike.
///
/// # Shapes
/// - confidence, masked: `[lanes, FRAME_CODES]`, by place in the grid; 1 for a code that is masked
pub fn mask_codes(
    context: &Context,
    confidence: &Buffer<f32>,
    masked: &Buffer<u32>,
    (lanes, count): (usize, usize),
) {
    let (cubes, dim) = context.each(lanes * FRAME_CODES);
    let (confidence, masked) = (confidence.arg(), masked.arg());
    mask_kernel::launch(context.client(), cubes, dim, confidence, masked, lanes as u32, count as u32);
    let codes = lanes * FRAME_CODES;
    context.launched(Cost::new("mask codes", codes * FRAME_CODES, 2 * codes * size_of::<f32>()));
}

/// What the refiner's stream starts from.
pub struct KnownCodes<'a, S: Stored> {
    /// `[lanes * SPATIAL_TOKENS, width]`: what the dynamics thought of each token.
    pub thoughts: &'a Buffer<S>,
    /// `[lanes, FRAME_CODE_BYTES]`.
    pub codes: &'a Buffer<u8>,
    /// `[lanes, FRAME_CODES]`: 1 for codes that are not shown.
    pub masked: &'a Buffer<u32>,
    /// `[TOKEN_LOGITS, width]`.
    pub rows: &'a Buffer<S>,
    /// `[SPATIAL_TOKENS, width]`: a token's place, and the bias of its embedding.
    pub start: &'a Buffer<f32>,
}

/// One unit a number of the stream.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn embed_known_kernel<S: Float>(
    thoughts: &[S],
    codes: &[u8],
    masked: &[u32],
    rows: &[S],
    start: &[f32],
    stream: &mut [f32],
    lanes: u32,
    #[comptime] width: usize,
) {
    let at = ABSOLUTE_POS;
    if at < lanes as usize * comptime!(SPATIAL_TOKENS * width) {
        let column = at % width;
        let token = at / width % SPATIAL_TOKENS;
        let lane = at / comptime!(SPATIAL_TOKENS * width);
        let mut sum = f32::cast_from(thoughts[at]) + start[token * width + column];
        for part in 0..CODES_PER_TOKEN {
            let place = lane * FRAME_CODES + grid_place(token, part);
            if masked[place] == 0u32 {
                for dim in 0..CODE_VALUES {
                    // They were drawn here: there is such a level.
                    let level = codes[place * CODE_VALUES + dim] as usize;
                    let row = part * CODE_LOGITS + first_logit(dim) + level;
                    sum += f32::cast_from(rows[row * width + column]);
                }
            }
        }
        stream[at] = sum;
    }
}

/// The refiner's stream: see [`Refiner`](crate::refiner::Refiner).
///
/// # Shapes
/// - stream: `[lanes * SPATIAL_TOKENS, width]`
pub fn embed_known<S: Stored>(
    context: &Context,
    known: &KnownCodes<'_, S>,
    stream: &Buffer<f32>,
    (lanes, width): (usize, usize),
) {
    let (count, dim) = context.each(lanes * SPATIAL_TOKENS * width);
    embed_known_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        known.thoughts.arg(),
        known.codes.arg(),
        known.masked.arg(),
        known.rows.arg(),
        known.start.arg(),
        stream.arg(),
        lanes as u32,
        width,
    );
    let numbers = lanes * SPATIAL_TOKENS * width;
    let bytes = numbers * (size_of::<f32>() + size_of::<S>())
        + lanes * FRAME_CODES * (CODE_VALUES + size_of::<u32>());
    context.launched(Cost::new("embed known codes", numbers * CODES_PER_TOKEN * CODE_VALUES, bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::config::RefinerConfig;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};
    use crate::cuda::kernels::{Drawn, Logits, Redraw, draw_codes, redraw_codes};
    use crate::dynamics::TOKEN_LOGITS;
    use crate::engine::Draft;
    use crate::packing::FRAME_CODE_BYTES;

    const LOGITS: usize = SPATIAL_TOKENS * TOKEN_LOGITS;

    /// Drawing, masking, showing the rest and drawing again, beside what the engines on the processor do.
    #[test]
    fn frames_are_refined_as_on_the_processor() {
        on_processor(|context| {
            let (lanes, width) = (3, 5);
            let config = RefinerConfig { masked_codes: 20, ..RefinerConfig::default() };
            let logits: Vec<f32> = numbers(lanes * LOGITS, 1).iter().map(|x| x * 4.0).collect();
            let refined: Vec<f32> = numbers(lanes * LOGITS, 2).iter().map(|x| x * 4.0).collect();
            let (thoughts, rows, start) = (
                numbers(lanes * SPATIAL_TOKENS * width, 3),
                numbers(TOKEN_LOGITS * width, 4),
                numbers(SPATIAL_TOKENS * width, 5),
            );
            let draws = [7_u64, 1 << 50, u64::MAX];
            let [dlogits, drefined, dthoughts, drows, dstart] =
                [&logits, &refined, &thoughts, &rows, &start].map(|values| Buffer::of(context, values));
            let (codes, entropies, confidence, masked) = (
                Buffer::empty(context, lanes * FRAME_CODE_BYTES),
                Buffer::empty(context, lanes * FRAME_CODES),
                Buffer::empty(context, lanes * FRAME_CODES),
                Buffer::<u32>::empty(context, lanes * FRAME_CODES),
            );
            let stream = Buffer::empty(context, lanes * SPATIAL_TOKENS * width);
            let given = Logits {
                logits: &dlogits,
                tokens: SPATIAL_TOKENS,
                columns: TOKEN_LOGITS,
                persistence: &Buffer::of(context, &[0.0; TOKEN_LOGITS]),
                present: &Buffer::of(context, &vec![0; lanes * FRAME_CODE_BYTES]),
                draws: &Buffer::of(context, &draws),
                temperature: &Buffer::of(context, &[0.8]),
            };
            let drawn = Drawn { codes: &codes, entropies: &entropies, confidence: Some(&confidence) };
            draw_codes(context, &given, &drawn, lanes);
            let mut expected = vec![0; lanes * FRAME_CODE_BYTES];
            codes.read(context, &mut expected);
            let mut unsure = vec![0.0; lanes * FRAME_CODES];
            entropies.read(context, &mut unsure);
            let mut drafts: Vec<Draft> = logits
                .chunks(LOGITS)
                .zip(expected.chunks(FRAME_CODE_BYTES))
                .map(|(logits, codes)| Draft::new(logits, codes))
                .collect();
            for step in 0..2 {
                mask_codes(context, &confidence, &masked, (lanes, config.masked_in(step)));
                let mut ours = vec![0; lanes * FRAME_CODES];
                masked.read(context, &mut ours);
                for (draft, ours) in drafts.iter_mut().zip(ours.chunks(FRAME_CODES)) {
                    draft.mask(&config, step);
                    let theirs = (0..FRAME_CODES).map(|place| u32::from(draft.is_masked(place)));
                    assert_eq!(ours, theirs.collect::<Vec<_>>(), "step {step}");
                }
                let known = KnownCodes {
                    thoughts: &dthoughts,
                    codes: &codes,
                    masked: &masked,
                    rows: &drows,
                    start: &dstart,
                };
                embed_known(context, &known, &stream, (lanes, width));
                let mut found = vec![0.0; lanes * SPATIAL_TOKENS * width];
                stream.read(context, &mut found);
                let mut shown = vec![0.0; lanes * LOGITS];
                for (i, shown) in shown.chunks_mut(LOGITS).enumerate() {
                    drafts[i].known(&expected[i * FRAME_CODE_BYTES..(i + 1) * FRAME_CODE_BYTES], shown);
                }
                let sums = (0..found.len()).map(|i| {
                    let (row, column) = (i / width, i % width);
                    let one_hot = &shown[row * TOKEN_LOGITS..(row + 1) * TOKEN_LOGITS];
                    let sum: f32 =
                        one_hot.iter().zip(rows.chunks(width)).map(|(x, row)| x * row[column]).sum();
                    thoughts[i] + start[i % start.len()] + sum
                });
                close(&found, &sums.collect::<Vec<_>>(), 1e-5);
                let redraw = Redraw { refined: &drefined, masked: &masked, step };
                redraw_codes(context, &given, &drawn, &redraw, lanes);
                for (i, draft) in drafts.iter_mut().enumerate() {
                    let of = i * LOGITS..(i + 1) * LOGITS;
                    let sum: Vec<f32> =
                        logits[of.clone()].iter().zip(&refined[of]).map(|(a, b)| a + b).collect();
                    let codes = &mut expected[i * FRAME_CODE_BYTES..(i + 1) * FRAME_CODE_BYTES];
                    draft.redraw(&sum, (draws[i], 0.8), step, codes);
                }
                let mut ours = vec![0; lanes * FRAME_CODE_BYTES];
                codes.read(context, &mut ours);
                assert_eq!(ours, expected, "step {step}");
            }
            let mut after = vec![0.0; lanes * FRAME_CODES];
            entropies.read(context, &mut after);
            assert_eq!(after, unsure, "uncertainty is that before any refinement");
        });
    }
}
