use cubecl::prelude::*;

use crate::config::{
    ACTION_TOKEN, CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, FRAME_TOKENS, GRID_SIDE, SPATIAL_TOKENS,
};
use crate::cuda::context::{Buffer, Context, Stored};
use crate::cuda::meter::Cost;
use crate::fsq::CODE_VALUES;

/// First logit of a dimension within a code's: [`LOGIT_OFFSETS`](crate::fsq::LOGIT_OFFSETS) as arithmetic.
#[cube]
pub fn first_logit(dim: usize) -> usize {
    dim * 5 + 3 * min(dim, 1)
}

/// A level that there is, whatever bytes say: 8 of the first dimension, 5 of the others.
#[cube]
fn level(code: usize, dim: usize) -> usize {
    min(code, 7 - 3 * min(dim, 1))
}

/// [`grid_index`](crate::packing::grid_index) on the device.
#[cube]
pub fn grid_place(token: usize, part: usize) -> usize {
    let tokens_a_row = comptime!(GRID_SIDE / 2);
    (token / tokens_a_row * 2 + part / 2) * GRID_SIDE + token % tokens_a_row * 2 + part % 2
}

/// What the first rows of the dynamics' stream are made of.
pub struct FrameTokens<'a, S: Stored> {
    /// `[lanes, FRAME_CODE_BYTES]` level indices.
    pub codes: &'a Buffer<u8>,
    /// `[lanes, action values]`.
    pub actions: &'a Buffer<f32>,
    /// `[lanes]`: corruption that the model is told of.
    pub levels: &'a Buffer<u32>,
    /// `[TOKEN_LOGITS, width]`.
    pub code_rows: &'a Buffer<S>,
    /// `[width]`.
    pub code_bias: &'a Buffer<f32>,
    /// `[action values + NOISE_LEVELS, width]`.
    pub action_rows: &'a Buffer<S>,
    /// `[width]`.
    pub action_bias: &'a Buffer<f32>,
    /// `[FRAME_TOKENS, width]`.
    pub position: &'a Buffer<f32>,
}

/// One unit a number of the stream.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn embed_frame_kernel<S: Float>(
    codes: &[u8],
    actions: &[f32],
    levels: &[u32],
    code_rows: &[S],
    code_bias: &[f32],
    action_rows: &[S],
    action_bias: &[f32],
    position: &[f32],
    stream: &mut [f32],
    lanes: u32,
    #[comptime] width: usize,
    #[comptime] action_values: usize,
) {
    let at = ABSOLUTE_POS;
    if at < lanes as usize * comptime!(FRAME_TOKENS * width) {
        let column = at % width;
        let token = at / width % FRAME_TOKENS;
        let lane = at / comptime!(FRAME_TOKENS * width);
        let mut sum = position[token * width + column];
        if token < SPATIAL_TOKENS {
            sum += code_bias[column];
            for part in 0..CODES_PER_TOKEN {
                let code = (lane * FRAME_CODES + grid_place(token, part)) * CODE_VALUES;
                for dim in 0..CODE_VALUES {
                    let logit =
                        part * CODE_LOGITS + first_logit(dim) + level(codes[code + dim] as usize, dim);
                    sum += f32::cast_from(code_rows[logit * width + column]);
                }
            }
        } else if token == ACTION_TOKEN {
            sum += action_bias[column];
            for i in 0..action_values {
                let weight = f32::cast_from(action_rows[i * width + column]);
                sum += actions[lane * action_values + i] * weight;
            }
            let level = action_values + levels[lane] as usize;
            sum += f32::cast_from(action_rows[level * width + column]);
        }
        stream[at] = sum;
    }
}

/// The dynamics' stream of one frame a lane: codes, action, and what readout and registers start from.
///
/// # Shapes
/// - stream: `[lanes * FRAME_TOKENS, width]`
pub fn embed_frame<S: Stored>(
    context: &Context,
    tokens: &FrameTokens<'_, S>,
    stream: &Buffer<f32>,
    [lanes, width, action_values]: [usize; 3],
) {
    let (count, dim) = context.each(lanes * FRAME_TOKENS * width);
    embed_frame_kernel::launch::<S>(
        context.client(),
        count,
        dim,
        tokens.codes.arg(),
        tokens.actions.arg(),
        tokens.levels.arg(),
        tokens.code_rows.arg(),
        tokens.code_bias.arg(),
        tokens.action_rows.arg(),
        tokens.action_bias.arg(),
        tokens.position.arg(),
        stream.arg(),
        lanes as u32,
        width,
        action_values,
    );
    let numbers = lanes * FRAME_TOKENS * width;
    let rows = SPATIAL_TOKENS * CODES_PER_TOKEN * CODE_VALUES + action_values + 1;
    let bytes = numbers * size_of::<f32>() + lanes * FRAME_CODES * CODE_VALUES;
    context.launched(Cost::new("embed frame", lanes * rows * width, bytes));
}

/// One unit a number of the stream.
#[cube(launch)]
fn embed_codes_kernel<S: Float>(
    codes: &[u8],
    rows: &[S],
    start: &[f32],
    stream: &mut [f32],
    frames: u32,
    #[comptime] width: usize,
) {
    let at = ABSOLUTE_POS;
    if at < frames as usize * comptime!(FRAME_CODES * width) {
        let column = at % width;
        let code = at / width;
        let mut sum = start[code % FRAME_CODES * width + column];
        for dim in 0..CODE_VALUES {
            // 7 steps between the levels of the first dimension, 4 between the others'.
            let steps = 7 - 3 * min(dim, 1);
            let value =
                f32::cast_from(codes[code * CODE_VALUES + dim]) * 2.0f32 / f32::cast_from(steps) - 1.0f32;
            sum += value * f32::cast_from(rows[dim * width + column]);
        }
        stream[at] = sum;
    }
}

/// The decoder's stream of frames.
///
/// # Shapes
/// - codes: `[frames, FRAME_CODE_BYTES]` level indices
/// - rows: `[CODE_VALUES, width]`
/// - start: `[FRAME_CODES, width]`: a code's place, and the bias of its embedding
/// - stream: `[frames * FRAME_CODES, width]`
pub fn embed_codes<S: Stored>(
    context: &Context,
    codes: &Buffer<u8>,
    (rows, start): (&Buffer<S>, &Buffer<f32>),
    stream: &Buffer<f32>,
    [frames, width]: [usize; 2],
) {
    let (count, dim) = context.each(frames * FRAME_CODES * width);
    let (codes, rows, start) = (codes.arg(), rows.arg(), start.arg());
    let client = context.client();
    embed_codes_kernel::launch::<S>(
        client,
        count,
        dim,
        codes,
        rows,
        start,
        stream.arg(),
        frames as u32,
        width,
    );
    let (numbers, codes) = (frames * FRAME_CODES * width, frames * FRAME_CODES * CODE_VALUES);
    context.launched(Cost::new("embed codes", 2 * CODE_VALUES * numbers, numbers * size_of::<f32>() + codes));
}

/// One unit a number of the stream.
#[cube(launch)]
fn begin_codes_kernel(start: &[f32], stream: &mut [f32], frames: u32, #[comptime] width: usize) {
    let at = ABSOLUTE_POS;
    let frame = comptime!(FRAME_CODES * width);
    if at < frames as usize * frame {
        stream[at] = start[at % frame];
    }
}

/// Writes `start` into the stream of every frame.
///
/// # Shapes
/// - start: `[FRAME_CODES, width]`
/// - stream: `[frames * FRAME_CODES, width]`
pub fn begin_codes(
    context: &Context,
    start: &Buffer<f32>,
    stream: &Buffer<f32>,
    [frames, width]: [usize; 2],
) {
    let (count, dim) = context.each(frames * FRAME_CODES * width);
    begin_codes_kernel::launch(context.client(), count, dim, start.arg(), stream.arg(), frames as u32, width);
    let bytes = frames * FRAME_CODES * width * size_of::<f32>();
    context.launched(Cost::new("begin codes", 0, bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};
    use crate::dynamics::TOKEN_LOGITS;
    use crate::fsq::values;
    use crate::packing::{FRAME_CODE_BYTES, one_hot_tokens};

    fn codes(frames: usize) -> Vec<u8> {
        (0..frames * FRAME_CODE_BYTES).map(|i| (i * 7 % if i % 4 == 0 { 8 } else { 5 }) as u8).collect()
    }

    #[test]
    fn frames_are_embedded_as_one_hot_products() {
        on_processor(|context| {
            let (lanes, width, actions) = (3, 9, 2);
            let codes = codes(lanes);
            let (given, levels) = (numbers(lanes * actions, 1), [0_u32, 3, 1]);
            let (rows, bias) = (numbers(TOKEN_LOGITS * width, 2), numbers(width, 3));
            let (action_rows, action_bias) = (numbers((actions + 4) * width, 4), numbers(width, 5));
            let position = numbers(FRAME_TOKENS * width, 6);
            let [dg, dr, db, dar, dab, dp] = [&given, &rows, &bias, &action_rows, &action_bias, &position]
                .map(|values| Buffer::of(context, values));
            let tokens = FrameTokens {
                codes: &Buffer::of(context, &codes),
                actions: &dg,
                levels: &Buffer::of(context, &levels),
                code_rows: &dr,
                code_bias: &db,
                action_rows: &dar,
                action_bias: &dab,
                position: &dp,
            };
            let stream = Buffer::empty(context, lanes * FRAME_TOKENS * width);
            embed_frame(context, &tokens, &stream, [lanes, width, actions]);
            let mut found = vec![0.0; lanes * FRAME_TOKENS * width];
            stream.read(context, &mut found);
            let times = |input: &[f32], rows: &[f32], c: usize| -> f32 {
                input.iter().enumerate().map(|(i, x)| x * rows[i * width + c]).sum()
            };
            for (i, found) in found.iter().enumerate() {
                let (c, token, lane) = (i % width, i / width % FRAME_TOKENS, i / width / FRAME_TOKENS);
                let mut one_hot = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
                one_hot_tokens(&codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES], &mut one_hot);
                let mut action = given[lane * actions..(lane + 1) * actions].to_vec();
                action.extend((0..4).map(|level| f32::from(u8::from(level == levels[lane]))));
                let expected = position[token * width + c]
                    + if token < SPATIAL_TOKENS {
                        bias[c] + times(&one_hot[token * TOKEN_LOGITS..(token + 1) * TOKEN_LOGITS], &rows, c)
                    } else if token == ACTION_TOKEN {
                        action_bias[c] + times(&action, &action_rows, c)
                    } else {
                        0.0
                    };
                close(&[*found], &[expected], 1e-5);
            }
        });
    }

    #[test]
    fn codes_are_embedded_by_their_values() {
        on_processor(|context| {
            let (frames, width) = (2, 7);
            let (codes, rows, start) =
                (codes(frames), numbers(CODE_VALUES * width, 1), numbers(FRAME_CODES * width, 2));
            let [drows, dstart] = [&rows, &start].map(|values| Buffer::of(context, values));
            let stream = Buffer::empty(context, frames * FRAME_CODES * width);
            let dcodes = Buffer::of(context, &codes);
            embed_codes(context, &dcodes, (&drows, &dstart), &stream, [frames, width]);
            let mut found = vec![0.0; frames * FRAME_CODES * width];
            stream.read(context, &mut found);
            let values = values(&codes);
            let expected = (0..found.len()).map(|i| {
                let (c, code) = (i % width, i / width);
                let sum =
                    (0..CODE_VALUES).map(|dim| values[code * CODE_VALUES + dim] * rows[dim * width + c]);
                start[code % FRAME_CODES * width + c] + sum.sum::<f32>()
            });
            close(&found, &expected.collect::<Vec<_>>(), 1e-5);
            begin_codes(context, &dstart, &stream, [frames, width]);
            stream.read(context, &mut found);
            assert_eq!(found, start.repeat(frames));
        });
    }
}
