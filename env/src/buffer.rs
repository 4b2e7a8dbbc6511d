use serde::{Deserialize, Serialize};

use crate::DType;

/// A flat, row-major array of one element type; its shape comes from a [`Space`](crate::Space).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Buffer {
    /// Float32 values.
    F32(Vec<f32>),
    /// Uint8 values.
    U8(Vec<u8>),
    /// Uint16 values.
    U16(Vec<u16>),
    /// Int64 values.
    I64(Vec<i64>),
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::Float32 => Self::F32(vec![0.0; len]),
            DType::Uint8 => Self::U8(vec![0; len]),
            DType::Uint16 => Self::U16(vec![0; len]),
            DType::Int64 => Self::I64(vec![0; len]),
        }
    }

    /// An empty buffer of the same element type.
    pub fn empty(dtype: DType) -> Self {
        Self::zeros(dtype, 0)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Element type.
    pub fn dtype(&self) -> DType {
        match self {
            Self::F32(_) => DType::Float32,
            Self::U8(_) => DType::Uint8,
            Self::U16(_) => DType::Uint16,
            Self::I64(_) => DType::Int64,
        }
    }

    /// The values if they are float32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Self::F32(values) = self { Some(values) } else { None }
    }

    /// The values if they are uint8.
    pub fn as_u8(&self) -> Option<&[u8]> {
        if let Self::U8(values) = self { Some(values) } else { None }
    }

    /// The values if they are uint16.
    pub fn as_u16(&self) -> Option<&[u16]> {
        if let Self::U16(values) = self { Some(values) } else { None }
    }

    /// The values if they are int64.
    pub fn as_i64(&self) -> Option<&[i64]> {
        if let Self::I64(values) = self { Some(values) } else { None }
    }

    /// Appends all of `other`.
    ///
    /// # Panics
    /// If the element types differ.
    pub fn append(&mut self, other: &Self) {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.extend_from_slice(b),
            (Self::U8(a), Self::U8(b)) => a.extend_from_slice(b),
            (Self::U16(a), Self::U16(b)) => a.extend_from_slice(b),
            (Self::I64(a), Self::I64(b)) => a.extend_from_slice(b),
            _ => panic!("append between buffers of different element types"),
        }
    }

    /// Copies `count` rows of `row_len` elements from row `from` of `source` to row `to` of `self`.
    ///
    /// # Panics
    /// If the element types differ or a row is out of range.
    pub fn copy_rows(&mut self, to: usize, source: &Self, from: usize, count: usize, row_len: usize) {
        let target = to * row_len..(to + count) * row_len;
        let origin = from * row_len..(from + count) * row_len;
        match (self, source) {
            (Self::F32(a), Self::F32(b)) => a[target].copy_from_slice(&b[origin]),
            (Self::U8(a), Self::U8(b)) => a[target].copy_from_slice(&b[origin]),
            (Self::U16(a), Self::U16(b)) => a[target].copy_from_slice(&b[origin]),
            (Self::I64(a), Self::I64(b)) => a[target].copy_from_slice(&b[origin]),
            _ => panic!("copy_rows between buffers of different element types"),
        }
    }
}
