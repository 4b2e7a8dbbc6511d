use rand::{Rng as _, RngExt as _};
use serde::{Deserialize, Serialize};

use crate::{Buffer, EnvError};

/// Element type of a [`BoxSpace`] on the wire and in buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// 32-bit float: states and continuous actions.
    Float32,
    /// 8-bit unsigned: images.
    Uint8,
    /// 16-bit unsigned: codes.
    Uint16,
    /// 64-bit signed: discrete actions.
    Int64,
}

impl DType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::Uint8 => 1,
            Self::Uint16 => 2,
            Self::Float32 => 4,
            Self::Int64 => 8,
        }
    }
}

/// An n-dimensional box `[low, high]`, bounds given per element or once for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoxSpace {
    /// Lower bound of each element, or a single one for all.
    pub low: Vec<f32>,
    /// Upper bound of each element, or a single one for all.
    pub high: Vec<f32>,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
}

/// What an observation or an action may be; the semantics are Gymnasium's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Space {
    /// A bounded array.
    Box(BoxSpace),
    /// An integer in `start..start + n`.
    Discrete {
        /// Number of values.
        n: i64,
        /// Smallest value.
        start: i64,
    },
    /// One integer in `0..nvec[i]` for each `i`.
    MultiDiscrete {
        /// Number of values of each element.
        nvec: Vec<i64>,
    },
    /// `n` bits.
    MultiBinary {
        /// Number of bits.
        n: usize,
    },
    /// Named parts, in this order.
    Dict {
        /// Name and space of each part.
        spaces: Vec<(String, Space)>,
    },
    /// Unnamed parts, in this order.
    Tuple {
        /// Space of each part.
        spaces: Vec<Space>,
    },
}

impl Space {
    /// A float32 box of one dimension with bounds per element.
    pub fn bounded(low: &[f32], high: &[f32]) -> Self {
        Self::Box(BoxSpace {
            low: low.to_vec(),
            high: high.to_vec(),
            shape: vec![low.len()],
            dtype: DType::Float32,
        })
    }

    /// A `uint8` image, height × width × channels.
    pub fn image(height: usize, width: usize, channels: usize) -> Self {
        Self::Box(BoxSpace {
            low: vec![0.0],
            high: vec![255.0],
            shape: vec![height, width, channels],
            dtype: DType::Uint8,
        })
    }

    /// Elements of one value of this space when laid out flat.
    pub fn flat_len(&self) -> usize {
        match self {
            Self::Box(space) => space.shape.iter().product(),
            Self::Discrete { .. } => 1,
            Self::MultiDiscrete { nvec } => nvec.len(),
            Self::MultiBinary { n } => *n,
            Self::Dict { spaces } => spaces.iter().map(|(_, space)| space.flat_len()).sum(),
            Self::Tuple { spaces } => spaces.iter().map(Self::flat_len).sum(),
        }
    }

    /// Element type of the flat layout; compound spaces are laid out as float32.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Box(space) => space.dtype,
            Self::Discrete { .. } | Self::MultiDiscrete { .. } => DType::Int64,
            Self::MultiBinary { .. } => DType::Uint8,
            Self::Dict { .. } | Self::Tuple { .. } => DType::Float32,
        }
    }

    /// A zeroed buffer for `count` values of this space.
    pub fn buffer(&self, count: usize) -> Buffer {
        Buffer::zeros(self.dtype(), count * self.flat_len())
    }

    /// `count` members that ask for nothing: zero, or the nearest to it; "stay" or "no force" in every task.
    pub fn neutral(&self, count: usize) -> Buffer {
        let mut values = self.buffer(count);
        match (self, &mut values) {
            (Self::Box(space), Buffer::F32(values)) => {
                for (i, value) in values.iter_mut().enumerate() {
                    let (low, high) = space.bounds(i % self.flat_len());
                    *value = 0_f32.clamp(low, high);
                }
            }
            (Self::Discrete { start, .. }, Buffer::I64(values)) => values.fill(*start),
            _ => {}
        }
        values
    }

    /// Checks that `values` holds `count` members of this space.
    ///
    /// # Errors
    /// [`EnvError::Action`] names the first value that is not a member and what would have been accepted.
    pub fn check(&self, values: &Buffer, count: usize) -> Result<(), EnvError> {
        let wrong = |message: String| Err(EnvError::Action { message });
        let expected = count * self.flat_len();
        if values.dtype() != self.dtype() || values.len() != expected {
            return wrong(format!(
                "got {} values of {:?}, expected {expected} of {:?} ({count} × {})",
                values.len(),
                values.dtype(),
                self.dtype(),
                self.flat_len(),
            ));
        }
        match (self, values) {
            (Self::Box(space), Buffer::F32(values)) => {
                for (i, value) in values.iter().enumerate() {
                    let (low, high) = space.bounds(i % self.flat_len());
                    if !(*value >= low && *value <= high) {
                        return wrong(format!("value {value} at index {i} is outside [{low}, {high}]"));
                    }
                }
            }
            (Self::Discrete { n, start }, Buffer::I64(values)) => {
                for (i, value) in values.iter().enumerate() {
                    if *value < *start || *value >= start + n {
                        return wrong(format!("value {value} at index {i} is not in {start}..{}", start + n));
                    }
                }
            }
            (Self::MultiDiscrete { nvec }, Buffer::I64(values)) => {
                for (i, value) in values.iter().enumerate() {
                    let n = nvec[i % nvec.len()];
                    if *value < 0 || *value >= n {
                        return wrong(format!("value {value} at index {i} is not in 0..{n}"));
                    }
                }
            }
            (Self::MultiBinary { .. }, Buffer::U8(values)) => {
                if let Some(i) = values.iter().position(|value| *value > 1) {
                    return wrong(format!("value {} at index {i} is not 0 or 1", values[i]));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Appends one uniform sample to `out`; elements without bounds (infinite, or the largest number) are drawn from
    /// ±1.
    pub fn sample(&self, rng: &mut crate::Rng, out: &mut Buffer) {
        match (self, out) {
            (Self::Box(space), Buffer::F32(out)) => {
                for i in 0..self.flat_len() {
                    let (low, high) = space.bounds(i);
                    let low = if low > f32::MIN { low } else { -1.0 };
                    let high = if high < f32::MAX { high } else { 1.0 };
                    out.push(rng.random_range(low..=high));
                }
            }
            (Self::Box(_), Buffer::U8(out)) => {
                out.extend((0..self.flat_len()).map(|_| (rng.next_u32() >> 24) as u8));
            }
            (Self::Box(space), Buffer::U16(out)) => {
                for i in 0..self.flat_len() {
                    let (low, high) = space.bounds(i);
                    out.push(rng.random_range(low as u16..=high as u16));
                }
            }
            (Self::Discrete { n, start }, Buffer::I64(out)) => {
                out.push(rng.random_range(*start..start + n));
            }
            (Self::MultiDiscrete { nvec }, Buffer::I64(out)) => {
                for n in nvec {
                    out.push(rng.random_range(0..*n));
                }
            }
            (Self::MultiBinary { n }, Buffer::U8(out)) => {
                out.extend((0..*n).map(|_| (rng.next_u32() >> 31) as u8));
            }
            (Self::Dict { spaces }, out) => spaces.iter().for_each(|(_, space)| space.sample(rng, out)),
            (Self::Tuple { spaces }, out) => spaces.iter().for_each(|space| space.sample(rng, out)),
            _ => {}
        }
    }
}

impl BoxSpace {
    /// Bounds of flat element `i`.
    pub fn bounds(&self, i: usize) -> (f32, f32) {
        let pick = |bounds: &[f32]| if bounds.len() == 1 { bounds[0] } else { bounds[i] };
        (pick(&self.low), pick(&self.high))
    }
}
