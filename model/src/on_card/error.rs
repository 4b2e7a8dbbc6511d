use std::time::Duration;

use thiserror::Error;

/// Why something on a card could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CardError {
    /// The driver refused.
    #[error("{call} failed on {card}: {message}")]
    Driver {
        /// Name of the card.
        card: String,
        /// What was asked of the driver.
        call: &'static str,
        /// What it says.
        message: String,
    },
    /// There is no room for it where it should go.
    #[error("{bytes} bytes in slot {slot}, expected at most {bytes_max} in one of {slots}")]
    Size {
        /// Bytes that were to be read or written.
        bytes: usize,
        /// Bytes of a slot.
        bytes_max: usize,
        /// Number of the slot.
        slot: u32,
        /// Slots that there are.
        slots: usize,
    },
    /// Actions were announced, but did not come.
    #[error("the actions on the card were not there after {} ms (ACTION_WAIT_MAX)", waited.as_millis())]
    Late {
        /// How long was waited.
        waited: Duration,
    },
    /// The observations are in host memory.
    #[error("the observations are on no card")]
    NotOnCard,
}
