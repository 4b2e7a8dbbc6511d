use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use worldstep_env::{Buffer, Space};

/// How an action of the task becomes the vector that the network reads.
///
/// A discrete action is one-hot; a box is scaled by its bounds to ±1 (unbounded elements pass as they are).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionCoding {
    space: Space,
}

impl ActionCoding {
    /// The coding for actions of `space`.
    pub fn new(space: &Space) -> Self {
        Self { space: space.clone() }
    }

    /// Values of one coded action.
    pub fn values(&self) -> usize {
        match &self.space {
            Space::Discrete { n, .. } => *n as usize,
            space => space.flat_len(),
        }
    }

    /// What actions look like, for messages.
    pub fn describe(&self) -> String {
        match &self.space {
            Space::Discrete { n, start } => format!("one of {start}..{}", start + n),
            Space::Box(space) => {
                format!("{} numbers in {:?}..={:?}", self.space.flat_len(), space.low, space.high)
            }
            space => format!("{} numbers", space.flat_len()),
        }
    }

    /// Appends the code of one action, given as the numbers that the dataset stores.
    ///
    /// # Errors
    /// A line that says what was expected.
    pub fn encode(&self, action: &[f32], out: &mut Vec<f32>) -> Result<(), String> {
        let expected = self.space.flat_len();
        if action.len() != expected {
            return Err(format!("holds {} values, expected {expected}", action.len()));
        }
        match &self.space {
            Space::Discrete { n, start } => {
                let choice = action[0] as i64 - start;
                if !(0..*n).contains(&choice) {
                    return Err(format!("holds {}, not in {start}..{}", action[0], start + n));
                }
                out.extend((0..*n).map(|i| if i == choice { 1.0 } else { 0.0 }));
            }
            Space::Box(space) => out.extend(action.iter().enumerate().map(|(i, value)| {
                let (low, high) = space.bounds(i);
                if (high - low).is_finite() && high > low {
                    (value - low) / (high - low) * 2.0 - 1.0
                } else {
                    *value
                }
            })),
            _ => out.extend_from_slice(action),
        }
        Ok(())
    }

    /// Codes row `lane` of `actions`.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_lane(&self, actions: &Buffer, lane: usize, out: &mut Vec<f32>) -> Result<(), String> {
        let len = self.space.flat_len();
        let range = lane * len..(lane + 1) * len;
        match actions {
            Buffer::F32(values) => self.encode(&values[range], out),
            Buffer::I64(values) => self.encode(&numbers(&values[range], |value| value as f32), out),
            Buffer::U8(values) => self.encode(&numbers(&values[range], f32::from), out),
            Buffer::U16(values) => self.encode(&numbers(&values[range], f32::from), out),
        }
    }
}

/// The numbers of one action, without an allocation if they are few.
fn numbers<T: Copy>(values: &[T], number: impl Fn(T) -> f32) -> SmallVec<[f32; 8]> {
    values.iter().map(|value| number(*value)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn discrete_actions_are_one_hot() {
        let coding = ActionCoding::new(&Space::Discrete { n: 3, start: 0 });
        let mut out = Vec::new();
        coding.encode(&[2.0], &mut out).unwrap();
        assert_eq!(out, [0.0, 0.0, 1.0]);
        assert!(coding.encode(&[3.0], &mut out).is_err());
    }

    #[test]
    fn boxes_are_scaled_by_their_bounds() {
        let coding = ActionCoding::new(&Space::bounded(&[-10.0, 0.0], &[10.0, 4.0]));
        let mut out = Vec::new();
        coding.encode_lane(&Buffer::F32(vec![0.0, 0.0, 5.0, 4.0]), 1, &mut out).unwrap();
        assert_eq!(out, [0.5, 1.0]);
    }
}
