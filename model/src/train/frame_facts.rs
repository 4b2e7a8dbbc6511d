use burn::tensor::{Device, Tensor, TensorData};

/// What the dynamics is to tell of some frames beside their codes, and what each of it weighs: a column `T` of numbers for
/// each kind.
#[derive(Clone, Debug)]
pub struct FrameFacts<T> {
    /// `[frames, REWARD_BINS]`, two-hot, times its weight.
    pub rewards: T,
    /// `[frames, 1]`.
    pub reward_weights: T,
    /// `[frames, 1]`, 0 or 1.
    pub terminated: T,
    /// `[frames, 1]`.
    pub terminated_weights: T,
    /// `[frames, object_values]`, normalised.
    pub objects: T,
    /// As `objects`: 1 where there is such an object, 0 where there is none.
    pub object_weights: T,
    /// `[frames, 1]`: 1 for a frame of a clip, 0 beyond its end.
    pub real: T,
}

impl<T> FrameFacts<T> {
    /// Each column as `to` makes it.
    pub fn map<U>(&self, mut to: impl FnMut(&T) -> U) -> FrameFacts<U> {
        FrameFacts {
            rewards: to(&self.rewards),
            reward_weights: to(&self.reward_weights),
            terminated: to(&self.terminated),
            terminated_weights: to(&self.terminated_weights),
            objects: to(&self.objects),
            object_weights: to(&self.object_weights),
            real: to(&self.real),
        }
    }
}

/// Rows of numbers, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Numbers of a row, at least 1.
    width: usize,
    values: Vec<f32>,
}

impl Column {
    /// `rows` rows of zeros.
    pub fn zeros(rows: usize, width: usize) -> Self {
        Self { width, values: vec![0.0; rows * width] }
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.width..(row + 1) * self.width]
    }

    /// These rows, in this order.
    pub fn gather(&self, rows: &[u32]) -> Self {
        let values = rows.iter().flat_map(|row| self.row(*row as usize)).copied().collect();
        Self { width: self.width, values }
    }

    /// `[rows, width]`.
    pub fn tensor(self, device: &Device) -> Tensor<2> {
        let rows = self.values.len() / self.width;
        Tensor::from_data(TensorData::new(self.values, [rows, self.width]), device)
    }

    pub fn bytes(&self) -> u64 {
        size_of_val(&self.values[..]) as u64
    }
}
