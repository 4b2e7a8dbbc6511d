//! Observations that stay on a graphics card, for policies that run there.
//!
//! The pipeline: **codes → frames on the card ([`CardRows`]) → slots ([`Slots`]) → tensors of the policy's framework**, in
//! this process as [DLPack](dlpack), in another one of the same machine by the slots' [handles](SlotHandles). No frame
//! crosses to host memory unless somebody asks for it there.

#[cfg(feature = "cuda")]
mod cuda;
pub mod dlpack;
mod error;
mod part;

#[cfg(feature = "cuda")]
pub use cuda::CudaCard;
pub use error::CardError;
pub use part::Part;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use worldstep_env::{DType, EnvError, VectorEnv};

use dlpack::ManagedTensor;

/// How large a session's slots are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSizes {
    /// Slots for observations, written in turn.
    pub slots: usize,
    /// Bytes that the observations of all environments take.
    pub slot_len: usize,
    /// Slots for actions.
    pub action_slots: usize,
    /// Bytes that the actions of all environments take.
    pub action_len: usize,
}

/// What another process of the machine finds a session's slots by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotHandles {
    /// Name of the card, as [`Card::name`] has it.
    pub card: String,
    /// Handle of the memory: 64 bytes of CUDA's (`CUipcMemHandle`), or what the card knows its memory by.
    pub memory: Vec<u8>,
    /// First bytes of the memory, drawn at random: the right one has been opened.
    pub key: [u8; 16],
    /// Bytes from the memory's start to the first slot.
    pub offset: u64,
    /// Slots, one after the other.
    pub slots: u32,
    /// Bytes of a slot.
    pub slot_len: u64,
    /// Handle of each slot's event (`CUipcEventHandle`), recorded when its observations are there; none if they always are.
    pub events: Vec<Vec<u8>>,
    /// Bytes from the memory's start to the first slot for actions.
    pub actions_offset: u64,
    /// Slots for actions, one after the other.
    pub action_slots: u32,
    /// Bytes of such a slot.
    pub action_slot_len: u64,
    /// Handle of each such slot's event, which the client records when its actions are there; none if they always are.
    pub action_events: Vec<Vec<u8>>,
}

/// A graphics card whose memory other processes of the machine can open.
pub trait Card: Send {
    /// What both sides know it by: `cuda:` and the 32 hexadecimal digits of its UUID.
    fn name(&self) -> String;

    /// Room for `rows` rows of `row_len` bytes, zeros at first.
    ///
    /// # Errors
    /// If the card has no memory left, or has failed.
    fn rows(&self, rows: usize, row_len: usize) -> Result<Box<dyn CardRows>, CardError>;

    /// Slots of these sizes, behind `key`.
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError>;
}

/// Rows of bytes on a card, one for each environment.
pub trait CardRows: Send {
    /// Copies the rows that `part` holds to those from `first` on.
    ///
    /// # Errors
    /// If the card has failed, as with the others.
    fn put(&mut self, first: usize, part: Part<'_>) -> Result<(), CardError>;

    /// Where `rows` are.
    fn part(&self, rows: Range<usize>) -> Part<'_>;

    /// Copies `row` to host memory, when it is there.
    ///
    /// # Errors
    /// If the card has failed.
    fn read(&self, row: usize, out: &mut [u8]) -> Result<(), CardError>;
}

/// Slots on a card that one client takes observations from and puts actions into.
///
/// Slots are written in turn: one stays as it is until [`SlotSizes::slots`] − 1 later ones have been written.
pub trait Slots: Send {
    /// How another process finds them.
    fn handles(&self) -> SlotHandles;

    /// Copies `parts`, one after the other, to the beginning of the slot whose turn it is, and records its event; gives its
    /// number.
    ///
    /// # Errors
    /// [`CardError::Size`] if they are longer than a slot; else if the card has failed.
    fn publish(&mut self, parts: &[Part<'_>]) -> Result<u32, CardError>;

    /// Waits for the actions of the step with number `seq`, which are in slot `seq` modulo their number, and copies them to
    /// `out`.
    ///
    /// # Errors
    /// [`CardError::Late`] if that does not come within [`ACTION_WAIT_MAX`]; else if the card has failed.
    fn actions(&mut self, seq: u64, out: &mut [u8]) -> Result<(), CardError>;

    /// The beginning of slot `slot`, for the consumers of this process: as [`publish`](Self::publish) left it, once the work
    /// is done that `stream` (a `CUstream` as a number; 0 is CUDA's default) has been made to wait for. The tensor keeps the
    /// memory, not what is in it: work of the card that reads it must be done (or the card's other streams wait for it) before the
    /// last write to another slot that leaves this one as it is.
    ///
    /// # Errors
    /// [`CardError::Size`] if there is no such slot or the tensor is larger; else if the card has failed.
    fn tensor(
        &self,
        slot: u32,
        shape: &[usize],
        dtype: DType,
        stream: u64,
    ) -> Result<ManagedTensor, CardError>;
}

/// How long an engine waits for actions that a client has announced before they were computed. Others share that engine.
pub const ACTION_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(1);

/// Environments whose observations stay on a card: those in [`batch`](VectorEnv::batch) are what was last fetched.
pub trait CardVectorEnv: VectorEnv {
    /// Slots on the same card.
    ///
    /// # Errors
    /// As [`Card::slots`].
    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError>;

    /// Copies the observations of `lanes`, one after the other, to the slot whose turn it is; gives its number.
    ///
    /// # Errors
    /// As [`Slots::publish`].
    fn show(&self, lanes: &[usize], slots: &mut dyn Slots) -> Result<u32, CardError>;

    /// Copies the observations of the lanes of `mask` to [`batch`](VectorEnv::batch).
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the card has failed.
    fn fetch(&mut self, mask: &[bool]) -> Result<(), EnvError>;
}

/// The runs of numbers that follow one another in `lanes`.
pub fn runs(lanes: &[usize]) -> impl Iterator<Item = Range<usize>> + '_ {
    lanes.chunk_by(|a, b| a + 1 == *b).map(|run| run[0]..run[0] + run.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_that_follow_one_another_are_one_run() {
        let found = |lanes: &[usize]| runs(lanes).collect::<Vec<_>>();
        assert_eq!(found(&[0, 1, 2, 5, 7, 8]), [0..3, 5..6, 7..9]);
        assert!(found(&[]).is_empty());
    }
}
