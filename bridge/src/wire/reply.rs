use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worldstep_env::Space;

use super::request::{message, pack, states_from_frames, states_to_frames, unpack};
use super::tensor::{f32_from_bytes, masks_from_bytes};
use super::{Engine, Header, Observation, Op, Parts, Refusal, bytes_from_f32, bytes_from_masks};

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
}

/// The rows of a session's environments after `reset`, `step` or `load`.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneRows {
    /// Observations as bytes, row-major, in the observation space's layout.
    pub observations: Vec<u8>,
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
        let count = self.rewards.len();
        let width = self.observations.len() / count;
        let bytes = i * width..(i + 1) * width;
        self.observations[bytes.clone()].copy_from_slice(&other.observations[bytes]);
        self.rewards[i] = other.rewards[i];
        self.terminated[i] = other.terminated[i];
        self.truncated[i] = other.truncated[i];
        for at in (i..self.info_values.len()).step_by(count) {
            self.info_values[at] = other.info_values[at];
            self.info_masks[at] = other.info_masks[at];
        }
    }
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
        let frames = match self {
            Self::Hello(info) => vec![pack(info)],
            Self::Make(reply) => vec![pack(reply)],
            Self::Rows(rows) => vec![
                rows.observations.clone(),
                bytes_from_f32(&rows.rewards),
                bytes_from_masks(&rows.terminated),
                bytes_from_masks(&rows.truncated),
                bytes_from_f32(&rows.info_values),
                bytes_from_masks(&rows.info_masks),
            ],
            Self::Save(states) => states_to_frames(states),
            Self::Metrics(metrics) => vec![pack(metrics)],
            Self::Close => Vec::new(),
            Self::Error(refusal) => vec![pack(refusal)],
        };
        let op = if let Self::Error(_) = self { Op::Error } else { request.op };
        message(Header { op, reply: true, ..*request }, frames)
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
            (
                Op::Reset | Op::Step | Op::Load,
                [observations, rewards, terminated, truncated, info, masks],
            ) => {
                let info_values = f32_from_bytes(info)?;
                let columns = info_values.len();
                Self::Rows(LaneRows {
                    observations: observations.clone(),
                    rewards: f32_from_bytes(rewards)?,
                    terminated: masks_from_bytes("terminated", terminated, count)?,
                    truncated: masks_from_bytes("truncated", truncated, count)?,
                    info_values,
                    info_masks: masks_from_bytes("info masks", masks, columns)?,
                })
            }
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
