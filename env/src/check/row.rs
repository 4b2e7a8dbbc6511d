use crate::{Buffer, VectorEnv};

/// A lane's part of a batch.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) observation: Buffer,
    reward: f32,
    terminated: bool,
    truncated: bool,
    info: Vec<Option<f32>>,
}

impl Row {
    pub(super) fn of(env: &dyn VectorEnv, lane: usize) -> Self {
        let batch = env.batch();
        let len = env.spec().observation_space.flat_len();
        let mut observation = Buffer::zeros(batch.observations.dtype(), len);
        observation.copy_rows(0, &batch.observations, lane, 1, len);
        Self {
            observation,
            reward: batch.rewards[lane],
            terminated: batch.terminated[lane],
            truncated: batch.truncated[lane],
            info: batch.info.iter().map(|column| column.mask[lane].then_some(column.values[lane])).collect(),
        }
    }

    pub(super) fn all(env: &dyn VectorEnv) -> Vec<Self> {
        (0..env.num_envs()).map(|lane| Self::of(env, lane)).collect()
    }

    /// What differs by more than `tolerance`, if anything does; a tolerance of 0 compares bits.
    pub(super) fn difference(&self, other: &Self, tolerance: f32) -> Option<String> {
        let (a, b) = (numbers(&self.observation), numbers(&other.observation));
        if a.len() != b.len() {
            return Some(format!("observations of {} and {} values", a.len(), b.len()));
        }
        if let Some(i) = (0..a.len()).find(|i| differ(a[*i], b[*i], tolerance)) {
            return Some(format!("observation[{i}] is {} and {}", a[i], b[i]));
        }
        if differ(self.reward, other.reward, tolerance) {
            return Some(format!("reward is {} and {}", self.reward, other.reward));
        }
        let flags = |row: &Self| (row.terminated, row.truncated);
        if flags(self) != flags(other) {
            let [a, b] = [flags(self), flags(other)];
            return Some(format!("(terminated, truncated) is {a:?} and {b:?}"));
        }
        let same = |(a, b): (&Option<f32>, &Option<f32>)| match (a, b) {
            (Some(a), Some(b)) => !differ(*a, *b, tolerance),
            (None, None) => true,
            _ => false,
        };
        let equal = self.info.len() == other.info.len() && self.info.iter().zip(&other.info).all(same);
        (!equal).then(|| format!("info is {:?} and {:?}", self.info, other.info))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.difference(other, 0.0).is_none()
    }
}

fn differ(a: f32, b: f32, tolerance: f32) -> bool {
    if tolerance == 0.0 {
        a.to_bits() != b.to_bits()
    } else {
        (a - b).abs() > tolerance || a.is_nan() != b.is_nan()
    }
}

/// The values as float32, exact for every type that observations have.
fn numbers(buffer: &Buffer) -> Vec<f32> {
    match buffer {
        Buffer::F32(values) => values.clone(),
        Buffer::U8(values) => values.iter().map(|value| f32::from(*value)).collect(),
        Buffer::U16(values) => values.iter().map(|value| f32::from(*value)).collect(),
        Buffer::I64(values) => values.iter().map(|value| *value as f32).collect(),
    }
}
