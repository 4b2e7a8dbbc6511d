use serde::{Deserialize, Serialize};
use worldstep_env::{BoxSpace, Buffer, DType, Space};

use crate::config::{GRID_SIDE, ModelConfig};
use crate::dynamics::OBJECT_VALUES;
use crate::fsq::CODES;

/// What a dream shows.
///
/// | Observation | Layout | Bytes |
/// |---|---|---|
/// | `Rgb` | `uint8`, 64 × 64 × 3, or 128 × 128 × 3 where the [model's frames](crate::config::FrameSize) are | 12,288 or 49,152 |
/// | `Codes` | `uint16`, 8 × 8: each patch's code, 0 to 999, as [`code_index`](crate::fsq::code_index) numbers them | 128 |
/// | `Latent` | `float32`, the width of the dynamics: features of the frames so far, which the readouts are made of | 384 of `nano` |
/// | `State` | `float32`, x, y, z in m and their velocities in m/s for each tracked object, one after the other | 24 an object |
///
/// Codes, features and states spare the pixel decoder; features and states take a second pass over the frame, as the
/// first one told of the frame before it. `State` is what the model's privileged head reads out of its own frame, not
/// the task's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DreamObservation {
    /// Frames.
    #[default]
    Rgb,
    /// What frames are made of.
    Codes,
    /// What the dynamics makes of the frames so far.
    Latent,
    /// Where the tracked objects are, as far as the model knows.
    State,
}

impl DreamObservation {
    /// The space of one observation of a model of these sizes that tracks `objects` objects of the task.
    pub fn space(self, config: &ModelConfig, objects: usize) -> Space {
        let unbounded = |len: usize| {
            Space::Box(BoxSpace {
                low: vec![f32::NEG_INFINITY],
                high: vec![f32::INFINITY],
                shape: vec![len],
                dtype: DType::Float32,
            })
        };
        match self {
            Self::Rgb => Space::image(config.frame.side(), config.frame.side(), 3),
            Self::Codes => Space::Box(BoxSpace {
                low: vec![0.0],
                high: vec![(CODES - 1) as f32],
                shape: vec![GRID_SIDE, GRID_SIDE],
                dtype: DType::Uint16,
            }),
            Self::Latent => unbounded(config.dynamics.width),
            Self::State => unbounded(objects * OBJECT_VALUES),
        }
    }

    /// Its name in requests and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Codes => "codes",
            Self::Latent => "latent",
            Self::State => "state",
        }
    }
}

/// Row `lane` of `rows`, `len` values wide, as little-endian bytes.
pub fn row_bytes(rows: &Buffer, lane: usize, len: usize) -> Vec<u8> {
    let range = lane * len..(lane + 1) * len;
    match rows {
        Buffer::U8(values) => values[range].to_vec(),
        Buffer::U16(values) => values[range].iter().flat_map(|value| value.to_le_bytes()).collect(),
        Buffer::F32(values) => values[range].iter().flat_map(|value| value.to_le_bytes()).collect(),
        Buffer::I64(values) => values[range].iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// Puts back what [`row_bytes`] gave, of a row of the same length.
pub fn put_row_bytes(rows: &mut Buffer, lane: usize, bytes: &[u8]) {
    match rows {
        Buffer::U8(values) => values[lane * bytes.len()..(lane + 1) * bytes.len()].copy_from_slice(bytes),
        Buffer::U16(values) => put_words(values, lane, bytes, u16::from_le_bytes),
        Buffer::F32(values) => put_words(values, lane, bytes, f32::from_le_bytes),
        Buffer::I64(values) => put_words(values, lane, bytes, i64::from_le_bytes),
    }
}

fn put_words<T, const N: usize>(rows: &mut [T], lane: usize, bytes: &[u8], read: fn([u8; N]) -> T) {
    let (words, _) = bytes.as_chunks::<N>();
    for (value, word) in rows[lane * words.len()..].iter_mut().zip(words) {
        *value = read(*word);
    }
}

/// Little-endian float32 values.
pub fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|word| f32::from_le_bytes(*word))
}

/// Bytes of one row of `space`.
pub fn row_len_bytes(space: &Space) -> usize {
    space.dtype().size() * space.flat_len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FrameSize, Preset};

    #[test]
    fn sizes_are_those_of_the_table() {
        let mut config = ModelConfig::new(Preset::Nano, 3, 2);
        config.frame = FrameSize::Px128;
        assert_eq!(row_len_bytes(&DreamObservation::Rgb.space(&config, 2)), 49_152);
        config.frame = FrameSize::Px64;
        let bytes = |observation: DreamObservation| row_len_bytes(&observation.space(&config, 2));
        assert_eq!(bytes(DreamObservation::Rgb), 12_288);
        assert_eq!(bytes(DreamObservation::Codes), 128);
        assert_eq!(bytes(DreamObservation::Latent), 384);
        assert_eq!(bytes(DreamObservation::State), 48);
    }

    #[test]
    fn rows_go_to_bytes_and_back() {
        let from = Buffer::F32(vec![1.0, -2.5, 3.25, f32::MIN_POSITIVE]);
        let mut to = Buffer::F32(vec![0.0; 4]);
        put_row_bytes(&mut to, 0, &row_bytes(&from, 1, 2));
        put_row_bytes(&mut to, 1, &row_bytes(&from, 0, 2));
        assert_eq!(to, Buffer::F32(vec![3.25, f32::MIN_POSITIVE, 1.0, -2.5]));
        let from = Buffer::U8(vec![1, 2, 3, 4]);
        let mut to = Buffer::U8(vec![0; 4]);
        put_row_bytes(&mut to, 1, &row_bytes(&from, 0, 2));
        assert_eq!(to, Buffer::U8(vec![0, 0, 1, 2]));
    }
}
