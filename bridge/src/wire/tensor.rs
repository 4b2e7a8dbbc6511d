use worldstep_env::{Buffer, DType};

use super::Refusal;

/// A buffer as little-endian bytes.
pub fn bytes_from_buffer(buffer: &Buffer) -> Vec<u8> {
    rows_as_bytes(buffer, 0, buffer.len(), 1)
}

/// `count` rows of `row_len` elements, from row `from`, as little-endian bytes.
pub fn rows_as_bytes(buffer: &Buffer, from: usize, count: usize, row_len: usize) -> Vec<u8> {
    let mut bytes = vec![0; count * row_len * buffer.dtype().size()];
    write_rows(buffer, from, count, row_len, &mut bytes);
    bytes
}

/// Writes `count` rows of `row_len` elements, from row `from`, as little-endian bytes to the beginning of `out`.
pub fn write_rows(buffer: &Buffer, from: usize, count: usize, row_len: usize, out: &mut [u8]) {
    let range = from * row_len..(from + count) * row_len;
    match buffer {
        Buffer::U8(values) => out[..range.len()].copy_from_slice(&values[range]),
        Buffer::U16(values) => write_words(&values[range], out, u16::to_le_bytes),
        Buffer::F32(values) => write_words(&values[range], out, f32::to_le_bytes),
        Buffer::I64(values) => write_words(&values[range], out, i64::to_le_bytes),
    }
}

fn write_words<T: Copy, const N: usize>(values: &[T], out: &mut [u8], bytes: fn(T) -> [u8; N]) {
    let (words, _) = out.as_chunks_mut::<N>();
    words.iter_mut().zip(values).for_each(|(word, value)| *word = bytes(*value));
}

/// Float32 values as little-endian bytes.
pub fn bytes_from_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Flags as bytes 0 and 1.
pub fn bytes_from_masks(values: &[bool]) -> Vec<u8> {
    values.iter().map(|value| u8::from(*value)).collect()
}

/// The inverse of [`bytes_from_buffer`].
///
/// # Errors
/// [`BadMessage`](super::ErrorCode::BadMessage) if the bytes are no whole number of elements.
pub fn buffer_from_bytes(dtype: DType, bytes: &[u8]) -> Result<Buffer, Refusal> {
    Ok(match dtype {
        DType::Float32 => Buffer::F32(f32_from_bytes(bytes)?),
        DType::Uint8 => Buffer::U8(bytes.to_vec()),
        DType::Uint16 => Buffer::U16(words(bytes)?.iter().map(|word| u16::from_le_bytes(*word)).collect()),
        DType::Int64 => Buffer::I64(words(bytes)?.iter().map(|word| i64::from_le_bytes(*word)).collect()),
    })
}

pub(super) fn f32_from_bytes(bytes: &[u8]) -> Result<Vec<f32>, Refusal> {
    Ok(words(bytes)?.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

pub(super) fn u64_from_bytes(bytes: &[u8]) -> Result<Vec<u64>, Refusal> {
    Ok(words(bytes)?.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

/// Flags from bytes, `count` of them.
pub(super) fn masks_from_bytes(what: &str, bytes: &[u8], count: usize) -> Result<Vec<bool>, Refusal> {
    if bytes.len() != count {
        return Err(Refusal::bad_message(format!("{what} has {} entries, expected {count}", bytes.len())));
    }
    match bytes.iter().position(|byte| *byte > 1) {
        Some(i) => Err(Refusal::bad_message(format!("{what} is {} at index {i}, expected 0 or 1", bytes[i]))),
        None => Ok(bytes.iter().map(|byte| *byte == 1).collect()),
    }
}

fn words<const N: usize>(bytes: &[u8]) -> Result<&[[u8; N]], Refusal> {
    let (words, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() {
        return Ok(words);
    }
    Err(Refusal::bad_message(format!("frame of {} bytes, expected a multiple of {N}", bytes.len())))
}
