//! What the step engine takes of a GPU's memory, known before anything is allocated and without a GPU.

use serde::{Deserialize, Serialize};

use super::exchange::{Inputs, NUMBERS, Outputs};
use crate::config::{FRAME_CODES, FRAME_TOKENS, ModelConfig, NOISE_LEVELS, SPATIAL_TOKENS, StackConfig};
use crate::device::ComputeDevice;
use crate::dynamics::TOKEN_LOGITS;
use crate::fsq::CODE_VALUES;
use crate::packing::FRAME_CODE_BYTES;
use crate::precision::Precision;
use crate::reward::REWARD_BINS;

/// Frames that are encoded or decoded in one pass.
pub const FRAMES_MAX: usize = 256;
/// Columns that a product makes at once: what widths are multiples of.
pub const COLUMNS: usize = 4;
/// Lanes from which on NVIDIA's library multiplies: it is quicker with many rows, where a launch costs little beside its work;
/// with few, a recorded graph is. It goes by the lanes of an engine, not by those that step, so that one engine has one way to
/// multiply; the library may still round otherwise with other numbers of rows.
pub const LIBRARY_LANES: usize = 512;
/// What that library may work in.
pub const WORKSPACE_BYTES: usize = 32 << 20;
/// What all sizes of a block must be multiples of for its products to be in eight bits.
const NARROW_COLUMNS: usize = 16;
/// What rows and columns of products are rounded up to, so that a GPU's matrix units take them: cubek asks for whole tiles.
pub const TILE_ROWS: usize = 128;
const TILE_COLUMNS: usize = 16;
/// Bytes of 32 bits.
const WIDE: usize = size_of::<f32>();

/// What the products of blocks are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProductNumbers {
    /// Of what everything is stored as, bf16 on a GPU.
    #[default]
    #[serde(rename = "bf16")]
    Wide,
    /// Of eight bits: weights with one scale a matrix, what they are multiplied with as it is. A GPU multiplies them
    /// twice as fast.
    Fp8,
}

impl ProductNumbers {
    /// Reads `bf16` or `fp8`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Wide, Self::Fp8].into_iter().find(|numbers| numbers.name() == name)
    }

    /// Whether `device` multiplies them.
    ///
    /// # Errors
    /// A line that says why not.
    pub fn check(self, device: ComputeDevice) -> Result<(), String> {
        match (self, device) {
            (Self::Fp8, ComputeDevice::Cpu) => {
                Err("fp8 products need a GPU: choose --device cuda:N, or --products bf16".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The name that [`from_name`](Self::from_name) reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wide => "bf16",
            Self::Fp8 => "fp8",
        }
    }
}

/// What environments of one model take on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Bytes of one environment's ring of keys and values.
    pub ring: u64,
    /// Bytes of what a step makes of one environment: stream, queries, gates, logits.
    pub step: u64,
    /// Bytes of one environment's codes, actions and numbers, to and fro.
    pub exchange: u64,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of what a step makes of one token: of those that only fill up a tile, too.
    token: u64,
    /// As `token`, of one environment's readouts.
    readout: u64,
    /// As `token`, of one token that is refined.
    refined: u64,
    /// Values of an action, and of the objects.
    values: [usize; 2],
    products: ProductNumbers,
    /// Bytes of frames and codes of each of the frames that are encoded or decoded in one pass.
    frame: u64,
    /// Bytes of what that makes of one patch.
    patch: u64,
}

impl DeviceMemory {
    /// Of `config`, with operands of products stored in `precision`.
    pub fn new(config: &ModelConfig, precision: Precision) -> Self {
        Self::with_products(config, precision, ProductNumbers::Wide)
    }

    /// As [`new`](Self::new), with the products of blocks made of `products`.
    pub fn with_products(config: &ModelConfig, precision: Precision, products: ProductNumbers) -> Self {
        let narrow = match precision {
            Precision::F32 => WIDE,
            Precision::Bf16 => WIDE / 2,
        };
        let factor = match products {
            ProductNumbers::Wide => narrow,
            ProductNumbers::Fp8 => 1,
        };
        let row_bytes = |stack: &StackConfig| {
            let room = if products == ProductNumbers::Fp8 { stack.width.max(stack.hidden) } else { 0 };
            row_bytes(stack, narrow) + room
        };
        let stack = &config.dynamics;
        let layers = stack.layers.div_ceil(config.temporal_every);
        let ring = 2 * layers * FRAME_TOKENS * stack.kv_heads * config.context_frames * stack.head_dim();
        let token = row_bytes(stack) + WIDE * padded(TOKEN_LOGITS);
        let readout = WIDE * padded(readout(config)) + narrow * stack.width;
        // What a refiner reads of a token, and what it says of it; how sure codes are, and which are masked.
        let (refined, judged) = match &config.refiner {
            Some(_) => {
                (WIDE * padded(TOKEN_LOGITS), 2 * WIDE * FRAME_CODES + narrow * SPATIAL_TOKENS * stack.width)
            }
            None => (0, 0),
        };
        let step = FRAME_TOKENS * token + readout + WIDE * FRAME_CODES + SPATIAL_TOKENS * refined + judged;
        let values = [config.action_values, config.object_values()];
        let numbers = WIDE * (values[0] + 4 + NUMBERS + values[1]) + size_of::<u64>();
        let patch = row_bytes(&config.encoder)
            + row_bytes(&config.decoder)
            + (narrow + WIDE) * config.frame.patch_values()
            + WIDE * CODE_VALUES;
        Self {
            ring: (ring * narrow) as u64,
            step: step as u64,
            exchange: (2 * FRAME_CODE_BYTES + numbers) as u64,
            weights: weight_bytes(config, narrow, factor),
            token: token as u64,
            readout: readout as u64,
            refined: refined as u64,
            values,
            products,
            frame: (config.frame.bytes() + FRAME_CODE_BYTES) as u64,
            patch: patch as u64,
        }
    }

    /// Bytes of one environment.
    pub fn lane(&self) -> u64 {
        self.ring + self.step + self.exchange
    }

    /// Bytes of what `lanes` environments share.
    pub fn shared(&self, lanes: usize) -> u64 {
        let frames = lanes.clamp(1, FRAMES_MAX);
        let codec = self.frame * frames as u64 + self.patch * tile_rows(frames * FRAME_CODES) as u64;
        let filled_up = |bytes: u64, rows: usize| bytes * (tile_rows(rows) - rows) as u64;
        let tiles = filled_up(self.token, lanes * FRAME_TOKENS)
            + filled_up(self.readout, lanes)
            + filled_up(self.refined, lanes * SPATIAL_TOKENS);
        let [action, objects] = self.values;
        let exchanged = Inputs::new(action, lanes).bytes + Outputs::new(objects, lanes).bytes;
        let gaps = exchanged as u64 - self.exchange * lanes as u64;
        // One ring is nobody's.
        self.weights + self.ring + codec + tiles + gaps + self.workspace(lanes)
    }

    /// Bytes of what NVIDIA's library works in, if it multiplies for `lanes` environments; only on a GPU.
    pub fn workspace(&self, lanes: usize) -> u64 {
        if needs_library(lanes, self.products) { WORKSPACE_BYTES as u64 } else { 0 }
    }

    /// Bytes of `lanes` environments in all.
    pub fn total(&self, lanes: usize) -> u64 {
        self.lane().saturating_mul(lanes as u64).saturating_add(self.shared(lanes))
    }

    /// How many environments fit into `bytes`.
    pub fn fit(&self, bytes: u64) -> usize {
        let fits = |lanes: usize| self.total(lanes) <= bytes;
        let (mut fit, mut over) = (0, (bytes / self.lane()) as usize + 1);
        while over - fit > 1 {
            let middle = fit + (over - fit) / 2;
            if fits(middle) { fit = middle } else { over = middle }
        }
        fit
    }
}

/// Whether NVIDIA's library is to multiply for an engine of so many lanes.
pub fn needs_library(lanes: usize, products: ProductNumbers) -> bool {
    lanes >= LIBRARY_LANES || products == ProductNumbers::Fp8
}

/// Whether there are kernels for a model of these sizes with such products.
///
/// # Errors
/// What there are none for, and what would be right.
pub fn check(config: &ModelConfig, products: ProductNumbers) -> Result<(), String> {
    let columns = match products {
        ProductNumbers::Wide => COLUMNS,
        ProductNumbers::Fp8 => NARROW_COLUMNS,
    };
    let stacks = [("dynamics", &config.dynamics), ("encoder", &config.encoder), ("decoder", &config.decoder)];
    for (name, stack) in stacks {
        let row = (stack.heads + 2 * stack.kv_heads) * stack.head_dim();
        for (what, size, columns) in [
            ("width", stack.width, columns),
            ("hidden", stack.hidden, columns),
            ("row of queries, keys and values", row, columns),
            ("head", stack.head_dim(), COLUMNS),
        ] {
            if !size.is_multiple_of(columns) {
                return Err(format!("{what} of its {name} is {size}, expected a multiple of {columns}"));
            }
        }
    }
    Ok(())
}

/// Columns as they are stored.
pub fn padded(columns: usize) -> usize {
    columns.next_multiple_of(TILE_COLUMNS)
}

/// Rows as there is room for.
pub fn tile_rows(rows: usize) -> usize {
    rows.next_multiple_of(TILE_ROWS)
}

fn readout(config: &ModelConfig) -> usize {
    REWARD_BINS + 1 + config.object_values()
}

/// Bytes that blocks work in for one token.
fn row_bytes(stack: &StackConfig, narrow: usize) -> usize {
    let row = (stack.heads + 2 * stack.kv_heads) * stack.head_dim();
    WIDE * (2 * stack.width + row + 2 * stack.hidden) + narrow * (2 * stack.width + stack.hidden)
}

fn weight_bytes(config: &ModelConfig, narrow: usize, factor: usize) -> u64 {
    let attention = |stack: &StackConfig| {
        let row = (stack.heads + 2 * stack.kv_heads) * stack.head_dim();
        factor * stack.width * (row + stack.width) + WIDE * stack.head_dim()
    };
    let block = |stack: &StackConfig, attends: bool| {
        3 * factor * stack.width * stack.hidden + if attends { attention(stack) } else { 0 }
    };
    let (stack, width) = (&config.dynamics, config.dynamics.width);
    let layers = stack.layers.div_ceil(config.temporal_every);
    let over_time = layers * (attention(stack) + WIDE * stack.heads * config.context_frames);
    let inputs = TOKEN_LOGITS + config.action_values + NOISE_LEVELS;
    let outputs = padded(TOKEN_LOGITS) + padded(readout(config));
    let heads =
        narrow * width * (inputs + outputs) + WIDE * (width * (2 + FRAME_TOKENS) + outputs + TOKEN_LOGITS);
    let codec = |stack: &StackConfig, attends: bool| {
        let patch = config.frame.patch_values();
        let ends = CODE_VALUES + patch;
        stack.layers * block(stack, attends)
            + narrow * stack.width * ends
            + WIDE * (FRAME_CODES * stack.width + if attends { patch } else { CODE_VALUES })
    };
    let refiner = config.refiner.as_ref().map_or(0, |refiner| {
        let ends = TOKEN_LOGITS + padded(TOKEN_LOGITS);
        refiner.layers * block(stack, true) + narrow * width * ends + WIDE * SPATIAL_TOKENS * width
    });
    let dynamics = stack.layers * block(stack, true) + over_time + heads + refiner;
    (dynamics + codec(&config.encoder, false) + codec(&config.decoder, true)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn memory(preset: Preset, precision: Precision) -> DeviceMemory {
        DeviceMemory::new(&ModelConfig::new(preset, 3, 2), precision)
    }

    #[test]
    fn as_many_fit_as_are_said_to() {
        for preset in [Preset::Nano, Preset::S, Preset::M, Preset::L] {
            let memory = memory(preset, Precision::Bf16);
            for bytes in [0, memory.total(1) - 1, memory.total(1), memory.total(300), 80_000_000_000] {
                let fit = memory.fit(bytes);
                assert!(fit == 0 || memory.total(fit) <= bytes, "{preset:?} {bytes}");
                assert!(memory.total(fit + 1) > bytes, "{preset:?} {bytes}");
            }
        }
    }

    #[test]
    fn eight_bits_are_for_gpus_and_take_less_of_them() {
        assert_eq!(ProductNumbers::from_name("fp8"), Some(ProductNumbers::Fp8));
        assert_eq!(ProductNumbers::from_name("f32"), None);
        assert!(ProductNumbers::Fp8.check(ComputeDevice::Cpu).is_err_and(|line| line.contains("cuda:N")));
        assert_eq!(ProductNumbers::Fp8.check(ComputeDevice::Cuda(0)), Ok(()));
        let config = ModelConfig::new(Preset::M, 3, 2);
        let of = |products| DeviceMemory::with_products(&config, Precision::Bf16, products);
        let (wide, narrow) = (of(ProductNumbers::Wide), of(ProductNumbers::Fp8));
        assert!(2 * narrow.weights > wide.weights && narrow.weights < wide.weights);
        assert_eq!(narrow.ring, wide.ring);
    }

    #[test]
    fn half_as_wide_operands_take_half_the_ring() {
        let (wide, narrow) = (memory(Preset::S, Precision::F32), memory(Preset::S, Precision::Bf16));
        assert_eq!(wide.ring, 2 * narrow.ring);
        // 2 layers of 20 tokens with 4 keys and 4 values of 32 numbers, 32 frames, 2 bytes.
        assert_eq!(narrow.ring, 2 * 2 * 20 * 4 * 32 * 32 * 2);
        assert!(narrow.weights < wide.weights && narrow.step < wide.step);
    }
}
