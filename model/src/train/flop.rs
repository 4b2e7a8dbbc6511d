use crate::config::{FRAME_TOKENS, ModelConfig, NOISE_LEVELS, OBJECT_VALUES, SPATIAL_TOKENS, StackConfig};
use crate::dynamics::TOKEN_LOGITS;
use crate::reward::REWARD_BINS;
use crate::watch::PassPart;

/// Floating-point operations of the matrix products in one training step of the dynamics: a product of `[m, k]` and
/// `[k, n]` counts `2·m·n·k`. What is done element by element is not counted, nor the refiner.
///
/// With `B` windows of `F` frames, `R = 20·B·F` tokens (16 of a frame carry codes), width `w`, `h` query and `g` key and
/// value heads of `d` numbers each, hidden width `u`, `C` frames of context, `L` layers of which `T` attend over time, and
/// `o` numbers of all readouts:
///
/// | Part | FLOP |
/// |---|---|
/// | embed | `2·16BF·92·w + 2·BF·(actions + 4)·w` |
/// | attention within the frame | `L·(P + 4·BF·h·20²·d)` |
/// | attention over time | `T·(P + 4·20·B·h·F²·d + 2·h·C·F²)` |
/// | feed-forward | `L·6·R·w·u` |
/// | heads | `2·16BF·w·92 + 2·BF·w·o` |
///
/// where `P = 2·R·w·(h + 2g)·d + 2·R·w·h·d` projects to queries, keys and values and back. Scores over time count in full,
/// also those that the mask hides: they are computed. The backward pass has two products for each of these, but one where
/// an operand is given and not learned: the embedding's input and the distances' one-hot form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFlop {
    embed: u64,
    within_frame: u64,
    over_time: u64,
    /// Of `over_time`, the bias of the distances.
    distances: u64,
    feed_forward: u64,
    heads: u64,
}

impl StepFlop {
    /// Of `windows` windows of `frames` frames.
    pub fn new(config: &ModelConfig, windows: usize, frames: usize) -> Self {
        let stack = &config.dynamics;
        let (width, all) = (stack.width, windows * frames);
        let spatial = all * SPATIAL_TOKENS;
        let attention = projections(stack, all * FRAME_TOKENS);
        let squares = |products: usize, side: usize| 4 * products * side * side * stack.head_dim();
        let over_time = stack.layers.div_ceil(config.temporal_every);
        let distances = over_time * 2 * stack.heads * config.context_frames * frames * frames;
        let presence = if config.presence { config.presence_values() } else { 0 };
        let readout = REWARD_BINS + 1 + config.object_values() + presence;
        let embed =
            product(spatial, TOKEN_LOGITS, width) + product(all, config.action_values + NOISE_LEVELS, width);
        let within = attention + squares(all * stack.heads, FRAME_TOKENS);
        let time = attention + squares(windows * FRAME_TOKENS * stack.heads, frames);
        let layer = 3 * product(all * FRAME_TOKENS, width, stack.hidden);
        Self {
            embed: embed as u64,
            within_frame: (stack.layers * within) as u64,
            over_time: (over_time * time + distances) as u64,
            distances: distances as u64,
            feed_forward: (stack.layers * layer) as u64,
            heads: (product(spatial, width, TOKEN_LOGITS) + product(all, width, readout)) as u64,
        }
    }

    /// Of one part of the forward pass.
    pub(crate) fn part(&self, part: PassPart) -> u64 {
        match part {
            PassPart::Embed => self.embed,
            PassPart::WithinFrame => self.within_frame,
            PassPart::OverTime => self.over_time,
            PassPart::FeedForward => self.feed_forward,
            PassPart::Heads => self.heads,
        }
    }

    /// Of the forward pass.
    pub fn forward(&self) -> u64 {
        PassPart::ALL.iter().map(|part| self.part(*part)).sum()
    }

    /// Of the backward pass.
    pub fn backward(&self) -> u64 {
        2 * self.forward() - self.embed - self.distances
    }
}

/// Of a product of `[rows, inputs]` and `[inputs, outputs]`.
fn product(rows: usize, inputs: usize, outputs: usize) -> usize {
    2 * rows * inputs * outputs
}

/// To queries, keys and values, and back.
fn projections(stack: &StackConfig, rows: usize) -> usize {
    let (heads, head_dim) = (stack.heads, stack.head_dim());
    product(rows, stack.width, (heads + 2 * stack.kv_heads) * head_dim)
        + product(rows, heads * head_dim, stack.width)
}

const _: () = assert!(FRAME_TOKENS == 20 && SPATIAL_TOKENS == 16 && TOKEN_LOGITS == 92 && OBJECT_VALUES == 6);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    /// Two layers of width 8, of which the first attends over time; everything below is counted by hand.
    #[test]
    fn a_small_network_is_counted_by_hand() {
        let dynamics = StackConfig { width: 8, layers: 2, heads: 2, kv_heads: 1, hidden: 12 };
        let config = ModelConfig {
            dynamics,
            temporal_every: 2,
            context_frames: 3,
            ..ModelConfig::new(Preset::Nano, 3, 1)
        };
        let flop = StepFlop::new(&config, 1, 3);
        // 48 tokens with codes times 92 logits, 3 actions with 4 levels.
        let embed = 2 * 48 * 92 * 8 + 2 * 3 * 7 * 8;
        // 60 tokens: 8 to 16 and 8 to 8; two heads of 20 × 20 scores of 4 numbers, twice, in each of 3 frames.
        let project = 2 * 60 * 8 * 16 + 2 * 60 * 8 * 8;
        let within = 2 * (project + 2 * (2 * 3 * 2 * 20 * 20 * 4));
        // Two heads of 3 × 3 scores of 4 numbers, twice, for each of 20 tokens; two heads' biases of 3 distances.
        let over_time = project + 2 * (2 * 20 * 2 * 3 * 3 * 4) + 2 * 2 * 3 * 3 * 3;
        let feed_forward = 2 * 3 * (2 * 60 * 8 * 12);
        // 41 rewards, a termination, 6 numbers of an object.
        let heads = 2 * 48 * 8 * 92 + 2 * 3 * 8 * 48;
        let expected = [embed, within, over_time, feed_forward, heads];
        assert_eq!(PassPart::ALL.map(|part| flop.part(part)), expected);
        assert_eq!(flop.forward(), 364_860);
        assert_eq!(flop.backward(), 2 * 364_860 - embed - 108);
    }

    #[test]
    fn twice_the_windows_are_twice_the_work() {
        let config = ModelConfig::new(Preset::S, 3, 2);
        let [once, twice] = [8, 16].map(|windows| StepFlop::new(&config, windows, 32));
        // The distances' bias is the same for all windows.
        assert_eq!(twice.forward() - twice.distances, 2 * (once.forward() - once.distances));
        let with = StepFlop::new(&ModelConfig { presence: true, ..config }, 8, 32);
        assert_eq!(with.heads - once.heads, 2 * 8 * 32 * 256 * 4);
    }
}
