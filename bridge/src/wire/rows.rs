use super::tensor::{f32_from_bytes, masks_from_bytes};
use super::{Header, Refusal, bytes_from_f32, bytes_from_masks};

/// Bytes of a row's numbers: reward and two flags.
const ROW_BYTES: usize = 6;
/// Bytes of a value of an info column, with its mask.
const INFO_BYTES: usize = 5;

/// Rows of a session's environments after `reset`, `step` or `load`: of all of them, or of those that a masked step has
/// stepped.
///
/// On the wire they are two frames: the observations, and everything else (`rewards`, `info_values`, `terminated`,
/// `truncated`, `info_masks`, one after the other). Two more say how episodes ended that have been followed by the next
/// one in the same step: their observations, and everything else (`info_values`, `info_masks`, which environments).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneRows {
    /// Observations as bytes, row-major, in the observation space's layout; the number of their slot, as u32, if they are
    /// in shared memory.
    pub observations: Vec<u8>,
    /// Whether the observations are in shared memory.
    pub shared: bool,
    /// Rewards.
    pub rewards: Vec<f32>,
    /// Ended by the task's rules.
    pub terminated: Vec<bool>,
    /// Cut off.
    pub truncated: Vec<bool>,
    /// Info values, column after column.
    pub info_values: Vec<f32>,
    /// Where they are set, column after column.
    pub info_masks: Vec<bool>,
    /// What the episodes that ended in this step ended with, if others have begun in it.
    pub finals: Option<FinalRows>,
}

/// The last rows of episodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinalRows {
    /// Which of the rows have a last one.
    pub mask: Vec<bool>,
    /// Observations of these, one after the other.
    pub observations: Vec<u8>,
    /// Their info values, column after column.
    pub info_values: Vec<f32>,
    /// Where they are set.
    pub info_masks: Vec<bool>,
}

impl LaneRows {
    /// Makes the rows of environment `i` those of one that was never reset: zeros.
    pub fn blank_env(&mut self, i: usize) {
        let count = self.rewards.len();
        let width = self.observations.len() / count;
        self.observations[i * width..(i + 1) * width].fill(0);
        (self.rewards[i], self.terminated[i], self.truncated[i]) = (0.0, false, false);
        for at in (i..self.info_values.len()).step_by(count) {
            (self.info_values[at], self.info_masks[at]) = (0.0, false);
        }
    }

    /// Copies the rows of environment `i` from those of the same session at another time.
    pub fn copy_env(&mut self, other: &Self, i: usize) {
        self.rewards[i] = other.rewards[i];
        self.terminated[i] = other.terminated[i];
        self.truncated[i] = other.truncated[i];
        let count = self.rewards.len();
        let width = self.observations.len() / count;
        let bytes = i * width..(i + 1) * width;
        self.observations[bytes.clone()].copy_from_slice(&other.observations[bytes]);
        for at in (i..self.info_values.len()).step_by(count) {
            self.info_values[at] = other.info_values[at];
            self.info_masks[at] = other.info_masks[at];
        }
    }

    /// The rows where `mask` is true.
    #[must_use]
    pub fn select(&self, mask: &[bool]) -> Self {
        Self {
            observations: select_rows(&self.observations, mask),
            shared: self.shared,
            rewards: select(&self.rewards, mask),
            terminated: select(&self.terminated, mask),
            truncated: select(&self.truncated, mask),
            info_values: select(&self.info_values, mask),
            info_masks: select(&self.info_masks, mask),
            finals: self.finals.clone(),
        }
    }

    /// These rows as the last ones of the episodes of `mask`, which has as many.
    pub fn into_finals(self, mask: Vec<bool>) -> FinalRows {
        let Self { observations, info_values, info_masks, .. } = self;
        FinalRows { mask, observations, info_values, info_masks }
    }

    /// The frames that follow the header.
    pub(super) fn into_frames(self) -> Vec<Vec<u8>> {
        let flags = [&self.terminated[..], &self.truncated, &self.info_masks];
        let mut rest = bytes_from_f32(&self.rewards);
        rest.extend(bytes_from_f32(&self.info_values));
        flags.iter().for_each(|flags| rest.extend(bytes_from_masks(flags)));
        let mut frames = vec![self.observations, rest];
        if let Some(finals) = self.finals {
            let mut rest = bytes_from_f32(&finals.info_values);
            rest.extend(bytes_from_masks(&finals.info_masks));
            rest.extend(bytes_from_masks(&finals.mask));
            frames.extend([finals.observations, rest]);
        }
        frames
    }

    /// Reads the frames that follow `header`.
    pub(super) fn decode(header: &Header, frames: &[Vec<u8>]) -> Result<Self, Refusal> {
        let (observations, rest, finals) = match frames {
            [observations, rest] => (observations, rest, None),
            [observations, rest, last, last_rest] => (observations, rest, Some((last, last_rest))),
            _ => {
                let message = format!("rows came in {} frames, expected 2 or 4", frames.len());
                return Err(Refusal::bad_message(message));
            }
        };
        let count = header.num_envs as usize;
        let columns = columns(rest.len(), count)?;
        let (numbers, flags) = rest.split_at(4 * count * (1 + columns));
        let numbers = f32_from_bytes(numbers)?;
        let flags = masks_from_bytes("flags", flags, count * (2 + columns))?;
        let (rewards, info_values) = numbers.split_at(count);
        let (terminated, rest) = flags.split_at(count);
        let (truncated, info_masks) = rest.split_at(count);
        let finals = finals.map(|(last, rest)| FinalRows::decode(last, rest, (count, columns)));
        Ok(Self {
            observations: observations.clone(),
            shared: header.shared,
            rewards: rewards.to_vec(),
            terminated: terminated.to_vec(),
            truncated: truncated.to_vec(),
            info_values: info_values.to_vec(),
            info_masks: info_masks.to_vec(),
            finals: finals.transpose()?,
        })
    }
}

impl FinalRows {
    fn decode(observations: &[u8], rest: &[u8], (count, columns): (usize, usize)) -> Result<Self, Refusal> {
        let wrong = || Refusal::bad_message(format!("{} bytes of last rows", rest.len()));
        let (infos, mask) = rest.split_at_checked(rest.len().wrapping_sub(count)).ok_or_else(wrong)?;
        let mask = masks_from_bytes("final mask", mask, count)?;
        let ended = mask.iter().filter(|ended| **ended).count();
        let (values, masks) = infos.split_at_checked(4 * ended * columns).ok_or_else(wrong)?;
        Ok(Self {
            mask,
            observations: observations.to_vec(),
            info_values: f32_from_bytes(values)?,
            info_masks: masks_from_bytes("final info masks", masks, ended * columns)?,
        })
    }
}

/// How many info columns there are in `len` bytes of `count` rows.
fn columns(len: usize, count: usize) -> Result<usize, Refusal> {
    let infos = len.checked_sub(ROW_BYTES * count);
    match infos {
        Some(0) => Ok(0),
        Some(bytes) if count > 0 && bytes % (INFO_BYTES * count) == 0 => Ok(bytes / (INFO_BYTES * count)),
        _ => Err(Refusal::bad_message(format!("{len} bytes of {count} rows"))),
    }
}

/// The values of the rows where `mask` is true, in each of the columns of `values`.
fn select<T: Copy>(values: &[T], mask: &[bool]) -> Vec<T> {
    values.iter().zip(mask.iter().cycle()).filter(|(_, masked)| **masked).map(|(value, _)| *value).collect()
}

fn select_rows(bytes: &[u8], mask: &[bool]) -> Vec<u8> {
    let rows = bytes.chunks((bytes.len() / mask.len()).max(1));
    rows.zip(mask).filter(|(_, masked)| **masked).flat_map(|(row, _)| row).copied().collect()
}
