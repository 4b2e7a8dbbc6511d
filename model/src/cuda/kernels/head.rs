use cubecl::prelude::*;

use super::embed::{first_logit, grid_place};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, SPATIAL_TOKENS};
use crate::cuda::context::{Buffer, Context};
use crate::cuda::meter::Cost;
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::redraw_salt;
use crate::fsq::CODE_VALUES;
use crate::reward::{REWARD_BINS, SYMLOG_MAX};

/// Levels of the dimension that has most.
const LEVELS_MAX: usize = 8;

/// What codes are drawn from.
pub struct Logits<'a> {
    /// `[lanes * tokens, columns]`, before what the present codes speak for themselves; the first [`SPATIAL_TOKENS`](crate::config::SPATIAL_TOKENS) tokens of
    /// a lane, and the first [`TOKEN_LOGITS`](crate::dynamics::TOKEN_LOGITS) numbers of each, are read.
    pub logits: &'a Buffer<f32>,
    /// See `logits`.
    pub tokens: usize,
    /// See `logits`.
    pub columns: usize,
    /// `[TOKEN_LOGITS]`: how much a code's present value speaks for itself.
    pub persistence: &'a Buffer<f32>,
    /// `[lanes, FRAME_CODE_BYTES]`: the present frames' level indices.
    pub present: &'a Buffer<u8>,
    /// `[lanes]`: names of the lanes' randomness.
    pub draws: &'a Buffer<u64>,
    /// One number; 0 takes the likeliest.
    pub temperature: &'a Buffer<f32>,
}

/// What was drawn.
pub struct Drawn<'a> {
    /// `[lanes, FRAME_CODE_BYTES]`.
    pub codes: &'a Buffer<u8>,
    /// `[lanes, FRAME_CODES]`: sums of the entropies of a code's softmaxes, nats. Codes that are drawn again leave it be.
    pub entropies: &'a Buffer<f32>,
    /// `[lanes, FRAME_CODES]`: log-likelihood of each code as it was drawn last, by its place in the grid; for models that
    /// refine.
    pub confidence: Option<&'a Buffer<f32>>,
}

/// Which codes are drawn again, and what is added to their logits.
pub struct Redraw<'a> {
    /// `[lanes * SPATIAL_TOKENS, columns]`.
    pub refined: &'a Buffer<f32>,
    /// `[lanes, FRAME_CODES]`, by place in the grid: 1 for those that are drawn again.
    pub masked: &'a Buffer<u32>,
    /// Times that codes of this frame were drawn again before.
    pub step: usize,
}

/// [`uniform`](crate::engine::uniform) on the device.
#[cube]
fn uniform(draw: u64, place: usize) -> f32 {
    let z = draw + (place as u64 + 1u64) * 0x9E37_79B9_7F4A_7C15u64;
    let z = (z ^ (z >> 30u64)) * 0xBF58_476D_1CE4_E5B9u64;
    let z = (z ^ (z >> 27u64)) * 0x94D0_49BB_1331_11EBu64;
    f32::cast_from(((z ^ (z >> 31u64)) >> 40u64) as u32) * 5.960_464_5e-8f32
}

/// One unit a code of a lane.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
#[allow(clippy::collapsible_if, reason = "the outer one is decided when the kernel is compiled")]
fn draw_codes_kernel(
    logits: &[f32],
    persistence: &[f32],
    present: &[u8],
    draws: &[u64],
    temperature: &[f32],
    refined: &[f32],
    masked: &[u32],
    codes: &mut [u8],
    entropies: &mut [f32],
    confidence: &mut [f32],
    lanes: u32,
    salt: u64,
    #[comptime] tokens: usize,
    #[comptime] columns: usize,
    #[comptime] is_first: bool,
    #[comptime] judges: bool,
) {
    let at = ABSOLUTE_POS;
    if at < lanes as usize * FRAME_CODES {
        let lane = at / FRAME_CODES;
        // Tokens and parts in the order of the logits; the frame's own order is that of the grid.
        let index = at % FRAME_CODES;
        let token = index / CODES_PER_TOKEN;
        let part = index % CODES_PER_TOKEN;
        let place = lane * FRAME_CODES + grid_place(token, part);
        if comptime!(!is_first) {
            if masked[place] == 0u32 {
                terminate!();
            }
        }
        let code = place * CODE_VALUES;
        let warmth = temperature[0];
        let mut entropy = 0.0f32;
        let mut likelihood = 0.0f32;
        for dim in 0..CODE_VALUES {
            let offset = part * CODE_LOGITS + first_logit(dim);
            let first = (lane * tokens + token) * columns + offset;
            let levels = 8 - 3 * min(dim, 1);
            let now = present[code + dim] as usize;
            let mut values = Array::<f32>::new(LEVELS_MAX);
            let mut best = 0usize;
            let mut top = f32::new(-1e30f32);
            for level in 0..levels {
                let mut value = logits[first + level];
                if comptime!(!is_first) {
                    value += refined[(lane * SPATIAL_TOKENS + token) * columns + offset + level];
                }
                if level == now {
                    value += persistence[offset + level];
                }
                values[level] = value;
                if value > top {
                    top = value;
                    best = level;
                }
            }
            let mut total = 0.0f32;
            let mut weighted = 0.0f32;
            let mut warm_total = 0.0f32;
            for level in 0..levels {
                let below = values[level] - top;
                let weight = below.exp();
                total += weight;
                weighted += weight * below;
                if warmth > 0.0f32 {
                    warm_total += (below / warmth).exp();
                }
            }
            entropy += total.ln() - weighted / total;
            let mut chosen = best;
            if warmth > 0.0f32 {
                let mut left = uniform(draws[lane] ^ salt, index * CODE_VALUES + dim) * warm_total;
                for level in 0..levels {
                    left -= ((values[level] - top) / warmth).exp();
                    if left < 0.0f32 {
                        chosen = level;
                        break;
                    }
                }
            }
            codes[code + dim] = chosen as u8;
            likelihood += values[chosen] - top - total.ln();
        }
        if comptime!(is_first) {
            entropies[at] = entropy;
        }
        if comptime!(judges) {
            confidence[place] = likelihood;
        }
    }
}

/// Draws the codes of the frames that follow, as [`sample_codes`](crate::engine::sample_codes) does.
pub fn draw_codes(context: &Context, logits: &Logits<'_>, drawn: &Drawn<'_>, lanes: usize) {
    let ([refined, _], [masked, _]) = (context.nothing(), context.nothing());
    launch_draw(context, logits, drawn, (&refined, &masked, 0), (lanes, true));
}

/// Draws those of the mask again.
pub fn redraw_codes(
    context: &Context,
    logits: &Logits<'_>,
    drawn: &Drawn<'_>,
    redraw: &Redraw<'_>,
    lanes: usize,
) {
    let given = (redraw.refined, redraw.masked, redraw_salt(redraw.step));
    launch_draw(context, logits, drawn, given, (lanes, false));
}

fn launch_draw(
    context: &Context,
    logits: &Logits<'_>,
    drawn: &Drawn<'_>,
    (refined, masked, salt): (&Buffer<f32>, &Buffer<u32>, u64),
    (lanes, is_first): (usize, bool),
) {
    let (count, dim) = context.each(lanes * FRAME_CODES);
    let [nowhere, _] = context.nothing();
    draw_codes_kernel::launch(
        context.client(),
        count,
        dim,
        logits.logits.arg(),
        logits.persistence.arg(),
        logits.present.arg(),
        logits.draws.arg(),
        logits.temperature.arg(),
        refined.arg(),
        masked.arg(),
        drawn.codes.arg(),
        drawn.entropies.arg(),
        drawn.confidence.unwrap_or(&nowhere).arg(),
        lanes as u32,
        salt,
        logits.tokens,
        logits.columns,
        is_first,
        drawn.confidence.is_some(),
    );
    let logits_read = lanes * SPATIAL_TOKENS * TOKEN_LOGITS * if is_first { 1 } else { 2 };
    let bytes = logits_read * size_of::<f32>() + lanes * FRAME_CODES * (2 * CODE_VALUES + size_of::<f32>());
    let kernel = if is_first { "draw codes" } else { "draw codes again" };
    context.launched(Cost::new(kernel, 8 * logits_read, bytes));
}

/// What is read out of each lane beside its codes.
pub struct Readout<'a> {
    /// `[lanes, columns]`: logits of reward bins and of termination, and objects.
    pub rows: &'a Buffer<f32>,
    /// As [`Drawn::entropies`].
    pub entropies: &'a Buffer<f32>,
    /// `[lanes, 3 + objects]`: expected reward, probability of termination, uncertainty, objects.
    pub numbers: &'a Buffer<f32>,
    /// Numbers from one row to the next.
    pub columns: usize,
    /// Numbers of the objects.
    pub objects: usize,
}

/// One unit a lane.
#[cube(launch)]
fn read_out_kernel(
    rows: &[f32],
    entropies: &[f32],
    numbers: &mut [f32],
    lanes: u32,
    #[comptime] columns: usize,
    #[comptime] objects: usize,
) {
    let lane = ABSOLUTE_POS;
    if lane < lanes as usize {
        let first = lane * columns;
        let to = lane * comptime!(3 + objects);
        let mut top = f32::new(-1e30f32);
        for bin in 0..REWARD_BINS {
            top = max(top, rows[first + bin]);
        }
        let mut total = 0.0f32;
        let mut mean = 0.0f32;
        for bin in 0..REWARD_BINS {
            let weight = (rows[first + bin] - top).exp();
            total += weight;
            let place = f32::cast_from(bin) / comptime!((REWARD_BINS - 1) as f32);
            mean += weight * (place * 2.0f32 - 1.0f32) * SYMLOG_MAX;
        }
        let log = mean / total;
        let size = log.abs().exp() - 1.0f32;
        let mut reward = size;
        if log < 0.0f32 {
            reward = -size;
        }
        numbers[to] = reward;
        numbers[to + 1] = 1.0f32 / (1.0f32 + (-rows[first + REWARD_BINS]).exp());
        let mut unsure = 0.0f32;
        for code in 0..FRAME_CODES {
            unsure += entropies[lane * FRAME_CODES + code];
        }
        numbers[to + 2] = unsure / comptime!((FRAME_CODES * CODE_VALUES) as f32);
        for i in 0..objects {
            numbers[to + 3 + i] = rows[first + comptime!(REWARD_BINS + 1) + i];
        }
    }
}

/// Reward, termination, uncertainty and objects of each lane.
pub fn read_out(context: &Context, readout: &Readout<'_>, lanes: usize) {
    let (count, dim) = context.each(lanes);
    let (rows, entropies, numbers) = (readout.rows.arg(), readout.entropies.arg(), readout.numbers.arg());
    let client = context.client();
    let (columns, objects) = (readout.columns, readout.objects);
    read_out_kernel::launch(client, count, dim, rows, entropies, numbers, lanes as u32, columns, objects);
    let bytes = lanes * (columns + 3 + objects + FRAME_CODES) * size_of::<f32>();
    context.launched(Cost::new("read out", lanes * (6 * REWARD_BINS + FRAME_CODES), bytes));
}

#[cfg(all(test, feature = "kernels-on-cpu"))]
mod tests {
    use super::*;
    use crate::cuda::kernels::testing::{close, numbers, on_processor};
    use crate::engine::{entropy, sample_codes};
    use crate::packing::{FRAME_CODE_BYTES, one_hot_tokens};
    use crate::reward::expected;

    #[test]
    fn codes_and_entropies_are_those_of_the_processor() {
        on_processor(|context| {
            let lanes = 3;
            let present: Vec<u8> = (0..lanes * FRAME_CODE_BYTES)
                .map(|i| (i * 3 % if i % 4 == 0 { 8 } else { 5 }) as u8)
                .collect();
            let logits: Vec<f32> =
                numbers(lanes * SPATIAL_TOKENS * TOKEN_LOGITS, 1).iter().map(|x| x * 6.0).collect();
            // Beside them, tokens and columns that are not for drawing.
            const TOKENS: usize = SPATIAL_TOKENS + 3;
            const COLUMNS: usize = TOKEN_LOGITS + 5;
            let mut laid_out = vec![9.0; lanes * TOKENS * COLUMNS];
            for (row, logits) in logits.chunks(TOKEN_LOGITS).enumerate() {
                let at = (row / SPATIAL_TOKENS * TOKENS + row % SPATIAL_TOKENS) * COLUMNS;
                laid_out[at..at + TOKEN_LOGITS].copy_from_slice(logits);
            }
            let (persistence, draws) = (numbers(TOKEN_LOGITS, 2), [5_u64, u64::MAX, 1 << 40]);
            let mut summed = logits.clone();
            for (lane, summed) in summed.chunks_mut(SPATIAL_TOKENS * TOKEN_LOGITS).enumerate() {
                let mut one_hot = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
                one_hot_tokens(
                    &present[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES],
                    &mut one_hot,
                );
                let own = one_hot.iter().zip(persistence.iter().cycle()).map(|(x, p)| x * p);
                summed.iter_mut().zip(own).for_each(|(logit, own)| *logit += own);
            }
            let (codes, entropies) = (
                Buffer::empty(context, lanes * FRAME_CODE_BYTES),
                Buffer::empty(context, lanes * FRAME_CODES),
            );
            let drawn = Drawn { codes: &codes, entropies: &entropies, confidence: None };
            for temperature in [0.0_f32, 0.7] {
                let given = Logits {
                    logits: &Buffer::of(context, &laid_out),
                    tokens: TOKENS,
                    columns: COLUMNS,
                    persistence: &Buffer::of(context, &persistence),
                    present: &Buffer::of(context, &present),
                    draws: &Buffer::of(context, &draws),
                    temperature: &Buffer::of(context, &[temperature]),
                };
                draw_codes(context, &given, &drawn, lanes);
                let mut found = vec![0; lanes * FRAME_CODE_BYTES];
                codes.read(context, &mut found);
                let mut unsure = vec![0.0; lanes * FRAME_CODES];
                entropies.read(context, &mut unsure);
                for (lane, draw) in draws.iter().enumerate() {
                    let logits =
                        &summed[lane * SPATIAL_TOKENS * TOKEN_LOGITS..][..SPATIAL_TOKENS * TOKEN_LOGITS];
                    let mut drawn = vec![0; FRAME_CODE_BYTES];
                    sample_codes(logits, temperature, *draw, &mut drawn);
                    assert_eq!(found[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES], drawn);
                    let sum: f32 = unsure[lane * FRAME_CODES..(lane + 1) * FRAME_CODES].iter().sum();
                    close(&[sum / (FRAME_CODES * CODE_VALUES) as f32], &[entropy(logits)], 1e-4);
                }
            }
        });
    }

    #[test]
    fn numbers_are_read_out() {
        on_processor(|context| {
            let (lanes, objects, columns) = (5, 6, REWARD_BINS + 1 + 6);
            let rows: Vec<f32> = numbers(lanes * columns, 1).iter().map(|x| x * 4.0).collect();
            let unsure = numbers(lanes * FRAME_CODES, 2);
            let out = Buffer::empty(context, lanes * (3 + objects));
            let readout = Readout {
                rows: &Buffer::of(context, &rows),
                entropies: &Buffer::of(context, &unsure),
                numbers: &out,
                columns,
                objects,
            };
            read_out(context, &readout, lanes);
            let mut found = vec![0.0; lanes * (3 + objects)];
            out.read(context, &mut found);
            for (lane, found) in found.chunks(3 + objects).enumerate() {
                let row = &rows[lane * columns..(lane + 1) * columns];
                let mean = unsure[lane * FRAME_CODES..(lane + 1) * FRAME_CODES].iter().sum::<f32>();
                let ends = 1.0 / (1.0 + (-row[REWARD_BINS]).exp());
                let mean = mean / (FRAME_CODES * CODE_VALUES) as f32;
                close(&found[..3], &[expected(&row[..REWARD_BINS]), ends, mean], 1e-4);
                assert_eq!(found[3..], row[REWARD_BINS + 1..]);
            }
        });
    }
}
