//! The network's weights in a device's memory.

use burn::store::ModuleSnapshot;

use super::context::{Buffer, Context, Stored};
use super::fp8::narrowed;
use super::layout::Heads;
use super::memory::padded;
use crate::config::{FRAME_CODES, FRAME_TOKENS, ModelConfig, NOISE_LEVELS, SPATIAL_TOKENS, StackConfig};
use crate::dynamics::TOKEN_LOGITS;
use crate::engine::tensors::{MissingWeight, Tensors};
use crate::fsq::CODE_VALUES;
use crate::reward::REWARD_BINS;

/// Reads weights and puts them onto the device.
struct Loader<'a> {
    context: &'a Context,
    tensors: Tensors,
    /// Whether the matrices of blocks are stored in eight bits.
    is_narrow: bool,
}

/// A matrix of a block.
pub enum Matrix<S> {
    /// As it is, `[rows, columns]`.
    Wide(Buffer<S>),
    /// In [eight bits](super::fp8), transposed, and what its numbers are to be multiplied by.
    Narrow(Buffer<u8>, f32),
}

impl Loader<'_> {
    /// An operand of products.
    fn matrix<S: Stored>(&mut self, name: &str, len: usize) -> Result<Buffer<S>, MissingWeight> {
        let values = self.tensors.take(name, len)?;
        Ok(stored(self.context, &values))
    }

    /// A matrix of a block.
    fn block_matrix<S: Stored>(&self, values: &[f32], columns: usize) -> Matrix<S> {
        if self.is_narrow {
            let (bytes, scale) = narrowed(values, columns);
            return Matrix::Narrow(Buffer::of(self.context, &bytes), scale);
        }
        Matrix::Wide(stored(self.context, values))
    }

    /// As [`block_matrix`](Self::block_matrix), by its name.
    fn named_matrix<S: Stored>(
        &mut self,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Matrix<S>, MissingWeight> {
        let values = self.tensors.take(name, rows * columns)?;
        Ok(self.block_matrix(&values, columns))
    }

    /// Anything else.
    fn vector(&mut self, name: &str, len: usize) -> Result<Buffer<f32>, MissingWeight> {
        Ok(Buffer::of(self.context, &self.tensors.take(name, len)?))
    }

    fn attention<S: Stored>(
        &mut self,
        name: &str,
        stack: &StackConfig,
    ) -> Result<Attention<S>, MissingWeight> {
        let row = Heads::new(stack).row();
        Ok(Attention {
            qkv: self.named_matrix(&format!("{name}.qkv.weight"), [stack.width, row])?,
            out: self.named_matrix(&format!("{name}.out.weight"), [stack.width, stack.width])?,
            gain: self.vector(&format!("{name}.q_gain"), stack.head_dim())?,
        })
    }

    fn block<S: Stored>(
        &mut self,
        name: &str,
        stack: &StackConfig,
        (spatial, temporal_context): (bool, Option<usize>),
    ) -> Result<Block<S>, MissingWeight> {
        let spatial = spatial.then(|| self.attention(&format!("{name}.spatial"), stack)).transpose()?;
        let temporal = match temporal_context {
            Some(context) => Some(Temporal {
                attention: self.attention(&format!("{name}.temporal.attention"), stack)?,
                distance_bias: self
                    .vector(&format!("{name}.temporal.distance_bias"), stack.heads * context)?,
            }),
            None => None,
        };
        let size = stack.width * stack.hidden;
        let gate = self.tensors.take(&format!("{name}.feed_forward.gate.weight"), size)?;
        let value = self.tensors.take(&format!("{name}.feed_forward.value.weight"), size)?;
        let parts = [(gate.as_slice(), stack.hidden), (value.as_slice(), stack.hidden)];
        let gate_value = self.block_matrix(&side_by_side(&parts, stack.width), 2 * stack.hidden);
        let out =
            self.named_matrix(&format!("{name}.feed_forward.out.weight"), [stack.hidden, stack.width])?;
        Ok(Block { spatial, temporal, gate_value, out })
    }

    /// Linear layers that read the same rows, as one; zeros fill its columns up to `columns`.
    fn heads<S: Stored>(
        &mut self,
        heads: &[(&str, usize)],
        [width, columns]: [usize; 2],
    ) -> Result<(Buffer<S>, Buffer<f32>), MissingWeight> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for (name, own) in heads {
            weights.push((self.tensors.take(&format!("{name}.weight"), width * own)?, *own));
            bias.extend(self.tensors.take(&format!("{name}.bias"), *own)?);
        }
        bias.resize(columns, 0.0);
        let parts: Vec<_> = weights.iter().map(|(values, columns)| (values.as_slice(), *columns)).collect();
        let weights = stored(self.context, &filled_up(&parts, [width, columns]));
        Ok((weights, Buffer::of(self.context, &bias)))
    }
}

fn stored<S: Stored>(context: &Context, values: &[f32]) -> Buffer<S> {
    let values: Vec<S> = values.iter().map(|value| S::nearest(*value)).collect();
    Buffer::of(context, &values)
}

/// Matrices of `rows` rows beside one another.
fn side_by_side(parts: &[(&[f32], usize)], rows: usize) -> Vec<f32> {
    let row = |i: usize| parts.iter().flat_map(move |(values, n)| &values[i * n..(i + 1) * n]);
    (0..rows).flat_map(row).copied().collect()
}

/// As [`side_by_side`], and zeros up to `columns`.
fn filled_up(parts: &[(&[f32], usize)], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let missing = columns - parts.iter().map(|(_, columns)| columns).sum::<usize>();
    let zeros = vec![0.0; rows * missing];
    side_by_side(&[parts, &[(&zeros, missing)]].concat(), rows)
}

/// `bias` added to each row of `rows`.
fn added_to_rows(mut rows: Vec<f32>, bias: &[f32]) -> Vec<f32> {
    for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
    }
    rows
}

/// See [`Attention`](crate::attention::Attention).
pub struct Attention<S> {
    /// `[width, heads.row()]`.
    pub qkv: Matrix<S>,
    /// `[width, width]`.
    pub out: Matrix<S>,
    /// `[head_dim]`.
    pub gain: Buffer<f32>,
}

/// See [`TemporalAttention`](crate::block::TemporalAttention).
pub struct Temporal<S> {
    pub attention: Attention<S>,
    /// `[query heads, context frames]`.
    pub distance_bias: Buffer<f32>,
}

/// See [`Block`](crate::block::Block).
pub struct Block<S> {
    pub spatial: Option<Attention<S>>,
    pub temporal: Option<Temporal<S>>,
    /// `[width, 2 * hidden]`: gate and value side by side.
    pub gate_value: Matrix<S>,
    /// `[hidden, width]`.
    pub out: Matrix<S>,
}

/// See [`Refiner`](crate::refiner::Refiner).
pub struct Refiner<S> {
    /// `[TOKEN_LOGITS, width]`.
    pub known_rows: Buffer<S>,
    /// `[SPATIAL_TOKENS, width]`: a token's place, and the bias of its embedding.
    pub start: Buffer<f32>,
    pub blocks: Vec<Block<S>>,
    /// `[width, padded(TOKEN_LOGITS)]`.
    pub to_codes: Buffer<S>,
}

impl<S: Stored> Refiner<S> {
    fn new(loader: &mut Loader<'_>, layers: usize, stack: &StackConfig) -> Result<Self, MissingWeight> {
        let width = stack.width;
        let bias = loader.tensors.take("refiner.embed_known.bias", width)?;
        let start = loader.tensors.take("refiner.position", SPATIAL_TOKENS * width)?;
        let start = added_to_rows(start, &bias);
        let blocks = (0..layers).map(|i| loader.block(&format!("refiner.blocks.{i}"), stack, (true, None)));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let to_codes = loader.tensors.take("refiner.to_codes.weight", width * TOKEN_LOGITS)?;
        Ok(Self {
            known_rows: loader.matrix("refiner.embed_known.weight", TOKEN_LOGITS * width)?,
            start: Buffer::of(loader.context, &start),
            blocks,
            to_codes: stored(
                loader.context,
                &filled_up(&[(&to_codes, TOKEN_LOGITS)], [width, padded(TOKEN_LOGITS)]),
            ),
        })
    }
}

/// See [`Dynamics`](crate::dynamics::Dynamics).
pub struct Dynamics<S> {
    pub code_rows: Buffer<S>,
    pub code_bias: Buffer<f32>,
    pub action_rows: Buffer<S>,
    pub action_bias: Buffer<f32>,
    pub position: Buffer<f32>,
    pub blocks: Vec<Block<S>>,
    pub to_codes: (Buffer<S>, Buffer<f32>),
    pub persistence: Buffer<f32>,
    /// Reward, termination and objects side by side.
    pub to_readout: (Buffer<S>, Buffer<f32>),
    pub refiner: Option<Refiner<S>>,
}

impl<S: Stored> Dynamics<S> {
    /// The weights of `module`, which has the sizes of `config`.
    pub fn new(
        context: &Context,
        module: &impl ModuleSnapshot,
        (config, is_narrow): (&ModelConfig, bool),
    ) -> Result<Self, MissingWeight> {
        let mut loader = Loader { context, tensors: Tensors::of(module), is_narrow };
        let (stack, width) = (&config.dynamics, config.dynamics.width);
        let blocks = (0..stack.layers).map(|i| {
            let time = i.is_multiple_of(config.temporal_every).then_some(config.context_frames);
            loader.block(&format!("blocks.{i}"), stack, (true, time))
        });
        let blocks = blocks.collect::<Result<_, _>>()?;
        let refiner = match &config.refiner {
            Some(refiner) => Some(Refiner::new(&mut loader, refiner.layers, stack)?),
            None => None,
        };
        let readouts =
            [("to_reward", REWARD_BINS), ("to_terminated", 1), ("to_objects", config.object_values())];
        Ok(Self {
            code_rows: loader.matrix("embed_codes.weight", TOKEN_LOGITS * width)?,
            code_bias: loader.vector("embed_codes.bias", width)?,
            action_rows: loader
                .matrix("embed_action.weight", (config.action_values + NOISE_LEVELS) * width)?,
            action_bias: loader.vector("embed_action.bias", width)?,
            position: loader.vector("position", FRAME_TOKENS * width)?,
            blocks,
            to_codes: loader.heads(&[("to_codes", TOKEN_LOGITS)], [width, padded(TOKEN_LOGITS)])?,
            persistence: loader.vector("persistence", TOKEN_LOGITS)?,
            to_readout: loader.heads(&readouts, [width, padded(REWARD_BINS + 1 + config.object_values())])?,
            refiner,
        })
    }
}

/// One side of [`Tokenizer`](crate::tokenizer::Tokenizer).
pub struct Codec<S> {
    /// `[patch values, width]` of the encoder, `[CODE_VALUES, width]` of the decoder.
    pub embed: Buffer<S>,
    /// `[FRAME_CODES, width]`: a code's place, and the bias of its embedding.
    pub start: Buffer<f32>,
    pub blocks: Vec<Block<S>>,
    /// To code values, or to pixels.
    pub to_rows: (Buffer<S>, Buffer<f32>),
}

impl<S: Stored> Codec<S> {
    /// The encoder of `module`.
    pub fn encoder(
        context: &Context,
        module: &impl ModuleSnapshot,
        (config, is_narrow): (&ModelConfig, bool),
    ) -> Result<Self, MissingWeight> {
        let names = ["embed_patch", "encoder_position", "encoder", "to_code"];
        Self::new(
            context,
            module,
            (&config.encoder, names, false),
            ([config.frame.patch_values(), CODE_VALUES], is_narrow),
        )
    }

    /// The decoder of `module`.
    pub fn decoder(
        context: &Context,
        module: &impl ModuleSnapshot,
        (config, is_narrow): (&ModelConfig, bool),
    ) -> Result<Self, MissingWeight> {
        let names = ["embed_code", "decoder_position", "decoder", "to_patch"];
        let ends = [CODE_VALUES, config.frame.patch_values()];
        Self::new(context, module, (&config.decoder, names, true), (ends, is_narrow))
    }

    fn new(
        context: &Context,
        module: &impl ModuleSnapshot,
        (stack, [embed, position, blocks, out], spatial): (&StackConfig, [&str; 4], bool),
        ([input, output], is_narrow): ([usize; 2], bool),
    ) -> Result<Self, MissingWeight> {
        let mut loader = Loader { context, tensors: Tensors::of(module), is_narrow };
        let width = stack.width;
        let bias = loader.tensors.take(&format!("{embed}.bias"), width)?;
        let start = added_to_rows(loader.tensors.take(position, FRAME_CODES * width)?, &bias);
        let made = (0..stack.layers).map(|i| loader.block(&format!("{blocks}.{i}"), stack, (spatial, None)));
        let made = made.collect::<Result<_, _>>()?;
        Ok(Self {
            embed: loader.matrix(&format!("{embed}.weight"), input * width)?,
            start: Buffer::of(context, &start),
            blocks: made,
            to_rows: loader.heads(&[(out, output)], [width, output])?,
        })
    }
}
