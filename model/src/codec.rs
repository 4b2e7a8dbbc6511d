//! Frames to codes and back, many at a time, on plain arrays.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::config::FRAME_CODES;
use crate::fsq::{self, CODE_VALUES};
use crate::packing::FRAME_CODE_BYTES;
use crate::tokenizer::{self, Tokenizer};

/// Frames in one pass: enough for large products, few enough that a batch of environments keeps several cores busy.
const CHUNK: usize = 32;

/// Codes of frames (HWC `uint8`): `frames × FRAME_CODE_BYTES` level indices.
pub fn encode_frames(tokenizer: &Tokenizer, frames: &[u8]) -> Vec<u8> {
    let size = tokenizer.frame_size();
    let encode = |frames: &[u8]| {
        let codes = tokenizer.encode(tokenizer::patches(frames, size, &tokenizer.device()));
        fsq::codes(&plain(codes))
    };
    frames.par_chunks(CHUNK * size.bytes()).flat_map_iter(encode).collect()
}

/// Frames (HWC `uint8`) of codes, the inverse of [`encode_frames`] as far as the tokenizer goes.
pub fn decode_frames(tokenizer: &Tokenizer, codes: &[u8]) -> Vec<u8> {
    let decode = |codes: &[u8]| {
        let rows = codes.len() / FRAME_CODE_BYTES * FRAME_CODES;
        let values = TensorData::new(fsq::values(codes), [rows, CODE_VALUES]);
        let patches = tokenizer.decode(Tensor::from_data(values, &tokenizer.device()));
        tokenizer::frames(&plain(patches), tokenizer.frame_size())
    };
    codes.par_chunks(CHUNK * FRAME_CODE_BYTES).flat_map_iter(decode).collect()
}

/// The values of a tensor, row-major.
pub fn plain<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as::<f32>().unwrap_or_default()
}
