//! The network's weights in the form that the processor reads them.

use burn::store::ModuleSnapshot;

use super::product::Packed;
use crate::config::{
    CODE_LOGITS, CODES_PER_TOKEN, FRAME_CODES, FRAME_TOKENS, ModelConfig, NOISE_LEVELS, SPATIAL_TOKENS,
    StackConfig,
};
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::tensors::{MissingWeight, Tensors};
use crate::fsq::CODE_VALUES;
use crate::reward::REWARD_BINS;

impl Tensors {
    fn packed(&mut self, name: &str, rows: usize, columns: usize) -> Result<Packed, MissingWeight> {
        Ok(Packed::new(&self.take(name, rows * columns)?, rows, columns))
    }

    fn linear(&mut self, name: &str, input: usize, output: usize) -> Result<Linear, MissingWeight> {
        let weight = self.packed(&format!("{name}.weight"), input, output)?;
        Ok(Linear { weight, bias: self.take(&format!("{name}.bias"), output)? })
    }

    fn attention(&mut self, name: &str, stack: &StackConfig) -> Result<AttentionWeights, MissingWeight> {
        let width = (stack.heads + 2 * stack.kv_heads) * stack.head_dim();
        Ok(AttentionWeights {
            qkv: self.packed(&format!("{name}.qkv.weight"), stack.width, width)?,
            out: self.packed(&format!("{name}.out.weight"), stack.width, stack.width)?,
            q_gain: self.take(&format!("{name}.q_gain"), stack.head_dim())?,
        })
    }

    fn block(&mut self, name: &str, config: &BlockConfig<'_>) -> Result<BlockWeights, MissingWeight> {
        let stack = config.stack;
        let spatial =
            config.spatial.then(|| self.attention(&format!("{name}.spatial"), stack)).transpose()?;
        let temporal = match config.temporal_context {
            Some(context) => Some(TemporalWeights {
                attention: self.attention(&format!("{name}.temporal.attention"), stack)?,
                distance_bias: self.take(&format!("{name}.temporal.distance_bias"), stack.heads * context)?,
            }),
            None => None,
        };
        let size = stack.width * stack.hidden;
        let gate = self.take(&format!("{name}.feed_forward.gate.weight"), size)?;
        let value = self.take(&format!("{name}.feed_forward.value.weight"), size)?;
        let parts = [(gate.as_slice(), stack.hidden), (value.as_slice(), stack.hidden)];
        let out = self.packed(&format!("{name}.feed_forward.out.weight"), stack.hidden, stack.width)?;
        Ok(BlockWeights { spatial, temporal, gate_value: Packed::beside(&parts, stack.width), out })
    }
}

struct BlockConfig<'a> {
    stack: &'a StackConfig,
    spatial: bool,
    temporal_context: Option<usize>,
}

/// A product and a bias.
pub struct Linear {
    pub weight: Packed,
    pub bias: Vec<f32>,
}

/// See [`Attention`](crate::attention::Attention).
pub struct AttentionWeights {
    pub qkv: Packed,
    pub out: Packed,
    pub q_gain: Vec<f32>,
}

/// See [`TemporalAttention`](crate::block::TemporalAttention).
pub struct TemporalWeights {
    pub attention: AttentionWeights,
    /// `heads × context_frames`.
    pub distance_bias: Vec<f32>,
}

/// See [`Block`](crate::block::Block).
pub struct BlockWeights {
    pub spatial: Option<AttentionWeights>,
    pub temporal: Option<TemporalWeights>,
    /// Gate and value side by side.
    pub gate_value: Packed,
    pub out: Packed,
}

/// See [`Dynamics`](crate::dynamics::Dynamics).
pub struct DynamicsWeights {
    /// `TOKEN_LOGITS × width`: one row for each value of a one-hot code.
    pub embed_codes: Vec<f32>,
    pub embed_codes_bias: Vec<f32>,
    /// `(action_values + NOISE_LEVELS) × width`.
    pub embed_action: Vec<f32>,
    pub embed_action_bias: Vec<f32>,
    pub position: Vec<f32>,
    pub blocks: Vec<BlockWeights>,
    pub to_codes: Linear,
    pub persistence: Vec<f32>,
    /// Reward, termination and objects side by side.
    pub to_readout: Linear,
    pub refiner: Option<RefinerWeights>,
}

/// See [`Refiner`](crate::refiner::Refiner).
pub struct RefinerWeights {
    /// `TOKEN_LOGITS × width`: one row for each value of a one-hot code.
    pub embed_known: Vec<f32>,
    pub embed_known_bias: Vec<f32>,
    /// `SPATIAL_TOKENS × width`.
    pub position: Vec<f32>,
    pub blocks: Vec<BlockWeights>,
    pub to_codes: Packed,
}

impl RefinerWeights {
    fn new(tensors: &mut Tensors, layers: usize, stack: &StackConfig) -> Result<Self, MissingWeight> {
        let width = stack.width;
        let block = |tensors: &mut Tensors, i: usize| {
            let config = BlockConfig { stack, spatial: true, temporal_context: None };
            tensors.block(&format!("refiner.blocks.{i}"), &config)
        };
        Ok(Self {
            embed_known: tensors.take("refiner.embed_known.weight", TOKEN_LOGITS * width)?,
            embed_known_bias: tensors.take("refiner.embed_known.bias", width)?,
            position: tensors.take("refiner.position", SPATIAL_TOKENS * width)?,
            blocks: (0..layers).map(|i| block(tensors, i)).collect::<Result<_, _>>()?,
            to_codes: tensors.packed("refiner.to_codes.weight", width, TOKEN_LOGITS)?,
        })
    }
}

impl DynamicsWeights {
    /// The weights of `module`, which has the sizes of `config`.
    pub fn new(module: &impl ModuleSnapshot, config: &ModelConfig) -> Result<Self, MissingWeight> {
        let mut tensors = Tensors::of(module);
        let (stack, width) = (&config.dynamics, config.dynamics.width);
        let block = |tensors: &mut Tensors, i: usize| {
            let temporal_context = i.is_multiple_of(config.temporal_every).then_some(config.context_frames);
            tensors.block(&format!("blocks.{i}"), &BlockConfig { stack, spatial: true, temporal_context })
        };
        let readouts =
            [("to_reward", REWARD_BINS), ("to_terminated", 1), ("to_objects", config.object_values())];
        Ok(Self {
            embed_codes: tensors.take("embed_codes.weight", TOKEN_LOGITS * width)?,
            embed_codes_bias: tensors.take("embed_codes.bias", width)?,
            embed_action: tensors
                .take("embed_action.weight", (config.action_values + NOISE_LEVELS) * width)?,
            embed_action_bias: tensors.take("embed_action.bias", width)?,
            position: tensors.take("position", FRAME_TOKENS * width)?,
            blocks: (0..stack.layers).map(|i| block(&mut tensors, i)).collect::<Result<_, _>>()?,
            to_codes: tensors.linear("to_codes", width, CODES_PER_TOKEN * CODE_LOGITS)?,
            persistence: tensors.take("persistence", TOKEN_LOGITS)?,
            to_readout: side_by_side(&mut tensors, &readouts, width)?,
            refiner: match &config.refiner {
                Some(refiner) => Some(RefinerWeights::new(&mut tensors, refiner.layers, stack)?),
                None => None,
            },
        })
    }
}

fn side_by_side(
    tensors: &mut Tensors,
    heads: &[(&str, usize)],
    width: usize,
) -> Result<Linear, MissingWeight> {
    let mut weights = Vec::new();
    let mut bias = Vec::new();
    for (name, columns) in heads {
        weights.push((tensors.take(&format!("{name}.weight"), width * columns)?, *columns));
        bias.extend(tensors.take(&format!("{name}.bias"), *columns)?);
    }
    let parts: Vec<_> = weights.iter().map(|(values, columns)| (values.as_slice(), *columns)).collect();
    Ok(Linear { weight: Packed::beside(&parts, width), bias })
}

/// The decoder of [`Tokenizer`](crate::tokenizer::Tokenizer).
pub struct DecoderWeights {
    /// `CODE_VALUES × width`.
    pub embed_code: Vec<f32>,
    pub embed_code_bias: Vec<f32>,
    pub position: Vec<f32>,
    pub blocks: Vec<BlockWeights>,
    pub to_patch: Linear,
}

impl DecoderWeights {
    /// The weights of `module`, which has the sizes of `config`.
    pub fn new(module: &impl ModuleSnapshot, config: &ModelConfig) -> Result<Self, MissingWeight> {
        let mut tensors = Tensors::of(module);
        let (stack, width) = (&config.decoder, config.decoder.width);
        let block = |tensors: &mut Tensors, i: usize| {
            tensors
                .block(&format!("decoder.{i}"), &BlockConfig { stack, spatial: true, temporal_context: None })
        };
        Ok(Self {
            embed_code: tensors.take("embed_code.weight", CODE_VALUES * width)?,
            embed_code_bias: tensors.take("embed_code.bias", width)?,
            position: tensors.take("decoder_position", FRAME_CODES * width)?,
            blocks: (0..stack.layers).map(|i| block(&mut tensors, i)).collect::<Result<_, _>>()?,
            to_patch: tensors.linear("to_patch", width, config.frame.patch_values())?,
        })
    }
}

/// The encoder of [`Tokenizer`](crate::tokenizer::Tokenizer).
pub struct EncoderWeights {
    pub embed_patch: Packed,
    /// `FRAME_CODES × width`: what a patch's row starts from, its place and the bias of its embedding.
    pub start: Vec<f32>,
    pub blocks: Vec<BlockWeights>,
    pub to_code: Linear,
}

impl EncoderWeights {
    /// The weights of `module`, which has the sizes of `config`.
    pub fn new(module: &impl ModuleSnapshot, config: &ModelConfig) -> Result<Self, MissingWeight> {
        let mut tensors = Tensors::of(module);
        let (stack, width) = (&config.encoder, config.encoder.width);
        let block = |tensors: &mut Tensors, i: usize| {
            tensors.block(
                &format!("encoder.{i}"),
                &BlockConfig { stack, spatial: false, temporal_context: None },
            )
        };
        let embed = tensors.linear("embed_patch", config.frame.patch_values(), width)?;
        let mut start = tensors.take("encoder_position", FRAME_CODES * width)?;
        for row in start.chunks_exact_mut(width) {
            row.iter_mut().zip(&embed.bias).for_each(|(value, bias)| *value += bias);
        }
        Ok(Self {
            embed_patch: embed.weight,
            start,
            blocks: (0..stack.layers).map(|i| block(&mut tensors, i)).collect::<Result<_, _>>()?,
            to_code: tensors.linear("to_code", width, CODE_VALUES)?,
        })
    }
}
