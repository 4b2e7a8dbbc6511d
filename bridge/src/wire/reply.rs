use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worldstep_env::Space;
use worldstep_model::on_card::SlotHandles;

use super::request::{message, pack, states_from_frames, states_to_frames, unpack};
use super::{Engine, Header, LaneRows, Observation, Op, Parts, Refusal};

/// One task that the server can make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueEntry {
    /// Task id.
    pub id: String,
    /// One line on what is to be done.
    pub summary: String,
    /// What can be asked for: engine and observation.
    pub modes: Vec<(Engine, Observation)>,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Version of the server.
    pub version: String,
    /// Number of this run of the server.
    pub epoch: u64,
    /// How long a session lives without a message, milliseconds.
    pub lease_ms: u64,
    /// What can be made.
    pub envs: Vec<CatalogueEntry>,
}

/// What a new session consists of; its token is in the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MakeReply {
    /// Space of one observation.
    pub observation_space: Space,
    /// Space of one action.
    pub action_space: Space,
    /// Steps after which an episode is truncated.
    pub max_episode_steps: u32,
    /// Control steps in a simulated second.
    pub fps: u32,
    /// Names of the info columns, in the order of the rows' info values.
    pub info_names: Vec<String>,
    /// How long the session lives without a message, milliseconds.
    pub lease_ms: u64,
    /// Where observations can be had without a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory: Option<SharedSlots>,
    /// Where observations can be had on the client's card, and actions be put; then there is no other shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<SlotHandles>,
    /// Why they can not, if that was asked for, and what would make it work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_refused: Option<String>,
}

/// Memory of the server's that a client on the same machine may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedSlots {
    /// A file without a name, through the server's process; only its owner's processes can open it.
    pub path: String,
    /// First bytes of the file, drawn at random: the client has opened the right one.
    pub key: [u8; 16],
    /// Bytes from the file's start to the first slot.
    pub offset: u64,
    /// Slots, one after the other, written in turn; a reply says in which of them its observations are.
    pub slots: u32,
    /// Bytes of a slot.
    pub slot_len: u64,
}

/// What a server can answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To `hello`.
    Hello(ServerInfo),
    /// To `make`.
    Make(MakeReply),
    /// To `reset`, `step` and `load`.
    Rows(LaneRows),
    /// To `save`: one state an environment.
    Save(Vec<Vec<u8>>),
    /// To `metrics`.
    Metrics(BTreeMap<String, f64>),
    /// To `close`.
    Close,
    /// To anything that is refused.
    Error(Refusal),
}

impl Reply {
    /// The message that answers `request`.
    pub fn encode(&self, request: &Header) -> Parts {
        self.clone().into_parts(request)
    }

    /// As [`encode`](Self::encode), without a copy of the observations.
    pub fn into_parts(self, request: &Header) -> Parts {
        let (mut op, mut num_envs, mut shared) = (request.op, request.num_envs, false);
        let frames = match self {
            Self::Hello(info) => vec![pack(&info)],
            Self::Make(reply) => vec![pack(&reply)],
            Self::Rows(rows) => {
                (num_envs, shared) = (rows.rewards.len() as u32, rows.shared);
                rows.into_frames()
            }
            Self::Save(states) => states_to_frames(&states),
            Self::Metrics(metrics) => vec![pack(&metrics)],
            Self::Close => Vec::new(),
            Self::Error(refusal) => {
                op = Op::Error;
                vec![pack(&refusal)]
            }
        };
        message(Header { op, reply: true, num_envs, shared, after: false, ..*request }, frames)
    }

    /// Reads the frames that follow `header`.
    ///
    /// # Errors
    /// [`BadMessage`](super::ErrorCode::BadMessage) says which frame and what was expected.
    pub fn decode(header: &Header, frames: &[Vec<u8>]) -> Result<Self, Refusal> {
        if !header.reply {
            return Err(Refusal::bad_message("a request came where a reply was expected"));
        }
        let count = header.num_envs as usize;
        Ok(match (header.op, frames) {
            (Op::Hello, [bytes]) => Self::Hello(unpack(bytes)?),
            (Op::Make, [bytes]) => Self::Make(unpack(bytes)?),
            (Op::Reset | Op::Step | Op::Load, frames) => Self::Rows(LaneRows::decode(header, frames)?),
            (Op::Save, [lengths, blob]) => Self::Save(states_from_frames(lengths, blob, count)?),
            (Op::Metrics, [bytes]) => Self::Metrics(unpack(bytes)?),
            (Op::Close, []) => Self::Close,
            (Op::Error, [bytes]) => Self::Error(unpack(bytes)?),
            _ => {
                let message = format!("{:?} came with {} frames", header.op, frames.len());
                return Err(Refusal::bad_message(message));
            }
        })
    }
}
