//! Messages as bytes, and back: one header of fixed size, then raw tensors or one MessagePack map.
//!
//! A message is a list of ZeroMQ parts: the [`Header`] and the frames that it counts. Requests and replies to `reset`,
//! `step` and `load` carry tensors, row-major and little-endian, exactly as the engine holds them; only what happens
//! once per session (hello, make, spaces, errors, metrics) is MessagePack. No sockets here, and nothing panics on
//! bytes from a peer.

mod header;
mod refusal;
mod reply;
mod request;
mod rows;
mod tensor;

pub use header::{HEADER_LEN, Header, MAGIC, Op, VERSION};
pub use refusal::{ErrorCode, Refusal};
pub use reply::{CatalogueEntry, MakeReply, Reply, ServerInfo, SharedSlots};
pub use request::{Autoreset, Engine, MAKE_BYTES_MAX, MakeRequest, Observation, Request};
pub use rows::{FinalRows, LaneRows};
pub use tensor::{
    buffer_from_bytes, bytes_from_buffer, bytes_from_f32, bytes_from_masks, rows_as_bytes, write_rows,
};

/// One message: the header and its frames.
pub type Parts = Vec<Vec<u8>>;

/// Most frames that a message may carry after its header.
pub const FRAMES_MAX: usize = 4;
