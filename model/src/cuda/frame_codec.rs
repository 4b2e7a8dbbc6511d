//! Frames to codes and back on the device.

use burn::store::ModuleSnapshot;

use super::context::{Arriving, Buffer, Context, Stored};
use super::kernels::{
    Factor, Product, begin_codes, embed_codes, frames_of_patches, patches_of_frames, product, quantise,
};
use super::memory::{FRAMES_MAX, tile_rows};
use super::stack::{Pass, Work};
use super::weights::Codec;
use crate::config::{FRAME_CODES, ModelConfig};
use crate::engine::MissingWeight;
use crate::fsq::CODE_VALUES;
use crate::on_card::Part;
use crate::packing::FRAME_CODE_BYTES;

/// Passes of decoding that are launched before the frames of the first are waited for: what they take of page-locked memory.
const PASSES_AHEAD: usize = 32;

/// Both sides of the tokenizer, and what they work in.
pub struct FrameCodec<S> {
    config: ModelConfig,
    encoder: Codec<S>,
    decoder: Codec<S>,
    encoder_work: Work<S>,
    decoder_work: Work<S>,
    frames: Buffer<u8>,
    codes: Buffer<u8>,
    patches: Buffer<S>,
    pixels: Buffer<f32>,
    values: Buffer<f32>,
    /// Frames of one pass at most.
    frames_max: usize,
}

impl<S: Stored> FrameCodec<S> {
    /// The weights of `module`, which has the sizes of `config`, and room for the frames of as many lanes.
    pub fn new(
        context: &Context,
        module: &impl ModuleSnapshot,
        (config, is_narrow): (&ModelConfig, bool),
        lanes: usize,
    ) -> Result<Self, MissingWeight> {
        let frames_max = lanes.clamp(1, FRAMES_MAX);
        let (rows, size) = (tile_rows(frames_max * FRAME_CODES), config.frame);
        Ok(Self {
            encoder: Codec::encoder(context, module, (config, is_narrow))?,
            decoder: Codec::decoder(context, module, (config, is_narrow))?,
            encoder_work: Work::new(context, &config.encoder, (rows, is_narrow)),
            decoder_work: Work::new(context, &config.decoder, (rows, is_narrow)),
            frames: Buffer::empty(context, frames_max * size.bytes()),
            codes: Buffer::empty(context, frames_max * FRAME_CODE_BYTES),
            patches: Buffer::empty(context, rows * size.patch_values()),
            pixels: Buffer::empty(context, rows * size.patch_values()),
            values: Buffer::empty(context, rows * CODE_VALUES),
            frames_max,
            config: config.clone(),
        })
    }

    /// Codes of frames (HWC `uint8`), any number of them.
    pub fn encode(&self, context: &Context, frames: &[u8], codes: &mut [u8]) {
        let most = self.frames_max;
        let some =
            frames.chunks(most * self.config.frame.bytes()).zip(codes.chunks_mut(most * FRAME_CODE_BYTES));
        some.for_each(|(frames, codes)| self.encode_some(context, frames, codes));
    }

    /// Frames (HWC `uint8`) of codes, any number of them.
    pub fn decode(&self, context: &Context, codes: &[u8], frames: &mut [u8]) {
        let (most, bytes) = (self.frames_max, self.config.frame.bytes());
        let (codes_max, frames_max) = (PASSES_AHEAD * most * FRAME_CODE_BYTES, PASSES_AHEAD * most * bytes);
        for (codes, frames) in codes.chunks(codes_max).zip(frames.chunks_mut(frames_max)) {
            let passes = codes.chunks(most * FRAME_CODE_BYTES).map(|codes| {
                self.decode_in_place(context, codes);
                self.frames.first_later(context, codes.len() / FRAME_CODE_BYTES * bytes)
            });
            // All are under way before the first is waited for.
            let arriving: Vec<Arriving<'_>> = passes.collect();
            for (arriving, frames) in arriving.into_iter().zip(frames.chunks_mut(most * bytes)) {
                frames.copy_from_slice(&arriving.wait());
            }
        }
    }

    /// As [`decode`](Self::decode), with `put` given runs of the frames where they are, on a CUDA card; elsewhere in `room`.
    pub fn decode_on_card(
        &self,
        context: &Context,
        codes: &[u8],
        room: &mut [u8],
        put: &mut dyn FnMut(usize, Part<'_>),
    ) {
        let (most, bytes) = (self.frames_max, self.config.frame.bytes());
        for (i, codes) in codes.chunks(most * FRAME_CODE_BYTES).enumerate() {
            let len = codes.len() / FRAME_CODE_BYTES * bytes;
            self.decode_in_place(context, codes);
            match self.frames.address_once_launched(context) {
                Some(address) => put(i * most, Part::Card { address, len }),
                // Host memory would be copied to a card within this turn, which waits for itself.
                None if !context.is_processor() => panic!("the device has failed: frames have no address"),
                None => {
                    self.frames.read(context, &mut room[..len]);
                    put(i * most, Part::Host(&room[..len]));
                }
            }
        }
    }

    fn encode_some(&self, context: &Context, frames: &[u8], codes: &mut [u8]) {
        let weights = &self.encoder;
        let (stack, frame) = (&self.config.encoder, self.config.frame);
        let count = frames.len() / frame.bytes();
        let (rows, work) = (count * FRAME_CODES, &self.encoder_work);
        self.frames.write(context, frames.to_vec());
        patches_of_frames(context, &self.frames, &self.patches, (count, frame));
        begin_codes(context, &weights.start, &work.stream, [count, stack.width]);
        let pass = Pass { context, work, stack, tokens: FRAME_CODES, rows };
        pass.add(&self.patches, Factor::Wide(&weights.embed), frame.patch_values());
        self.finish(&pass, weights, (&self.values, CODE_VALUES));
        quantise(context, &self.values, &self.codes, rows * CODE_VALUES);
        self.codes.read(context, codes);
    }

    /// Decodes as many frames as there is room for on the device, and leaves them there.
    fn decode_in_place(&self, context: &Context, codes: &[u8]) {
        self.codes.write(context, codes.to_vec());
        self.make_frames(context, codes.len() / FRAME_CODE_BYTES);
    }

    /// The launches of decoding what it was last told, over and over where `lanes` are more than one pass takes.
    pub fn rehearse(&self, context: &Context, lanes: usize) {
        for first in (0..lanes).step_by(self.frames_max) {
            self.make_frames(context, self.frames_max.min(lanes - first));
        }
    }

    /// Frames of the codes that were sent.
    fn make_frames(&self, context: &Context, count: usize) {
        let weights = &self.decoder;
        let stack = &self.config.decoder;
        let (rows, work) = (count * FRAME_CODES, &self.decoder_work);
        let embedding = (&weights.embed, &weights.start);
        embed_codes(context, &self.codes, embedding, &work.stream, [count, stack.width]);
        let pass = Pass { context, work, stack, tokens: FRAME_CODES, rows };
        pass.norm();
        self.finish(&pass, weights, (&self.pixels, self.config.frame.patch_values()));
        frames_of_patches(context, &self.pixels, &self.frames, (count, self.config.frame));
    }

    /// The blocks of a codec, and what its last layer makes of them.
    fn finish(&self, pass: &Pass<'_, S>, weights: &Codec<S>, (c, columns): (&Buffer<f32>, usize)) {
        weights.blocks.iter().for_each(|block| pass.block(block, None));
        let (b, bias) = &weights.to_rows;
        let b = Factor::Wide(b);
        let (a, bias, size) = (&pass.work.normed, Some(bias), [pass.rows, pass.stack.width, columns]);
        product(pass.context, &Product { a, b, bias, c, size });
    }
}
