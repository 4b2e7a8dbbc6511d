use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worldstep_env::{AutoresetMode, Randomisation};

use super::tensor::{masks_from_bytes, u64_from_bytes};
use super::{Header, Op, Parts, Refusal, bytes_from_masks};

/// Bytes of the map in a request to open a session, or with a reset; what it says is kept and repeated in messages.
pub const MAKE_BYTES_MAX: usize = 4096;

/// Which engine steps the environments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Rapier physics.
    Truth,
    /// The learned world model.
    Dream,
}

/// What is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observation {
    /// The task's state table; of a dream, where its tracked objects are.
    State,
    /// Pixels.
    Rgb,
    /// Metric depth along the camera's axis; truth only.
    Depth,
    /// What a dream's frames are made of.
    Codes,
    /// What a dream's dynamics makes of the frames so far; its features.
    Latent,
}

/// When ended episodes start anew; Gymnasium's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autoreset {
    /// In the step after the end, which ignores its action.
    #[default]
    NextStep,
    /// In the step that ends them; the last rows come beside the first ones of the next episode.
    SameStep,
    /// When the client says so.
    Disabled,
}

impl Autoreset {
    /// What the engine behind it does by itself.
    pub fn of_engine(self) -> AutoresetMode {
        match self {
            Self::NextStep => AutoresetMode::NextStep,
            Self::SameStep | Self::Disabled => AutoresetMode::Disabled,
        }
    }
}

/// What a session is to consist of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MakeRequest {
    /// Task id, for instance `PushCube-v0`.
    pub id: String,
    /// Engine behind it.
    pub engine: Engine,
    /// What is observed.
    pub obs: Observation,
    /// Environments in the session.
    pub num_envs: usize,
    /// When ended episodes start anew.
    pub autoreset_mode: Autoreset,
    /// Sampling temperature of a dream; 0, the likeliest codes, if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f32>,
    /// Ranges that truth draws the physics of its episodes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub randomisation: Option<Randomisation>,
    /// Name of the client's machine (see [`host_id`](crate::shared_memory::host_id)), if it would take observations in
    /// shared memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory_host: Option<String>,
    /// Name of the graphics card (see [`Card::name`](worldstep_model::on_card::Card::name)) that the client's policy runs on,
    /// if it would take observations there; `shared_memory_host` must say where that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
}

/// What a client can ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// What server is this?
    Hello,
    /// Open a session.
    Make(MakeRequest),
    /// Start episodes where `mask` is true.
    Reset {
        /// Seed of each environment; `None` goes on with its random stream.
        seeds: Vec<Option<u64>>,
        /// Which environments.
        mask: Vec<bool>,
        /// What episodes from this reset on are to be like, by name; the rest is as the session was made.
        options: BTreeMap<String, f32>,
    },
    /// Step the environments where `mask` is true; all of them without a mask.
    Step {
        /// Actions of all environments, in the action space's layout; none if they are on the card, in slot `seq` modulo
        /// the number of slots.
        actions: Vec<u8>,
        /// Which environments.
        mask: Option<Vec<bool>>,
    },
    /// Give every environment's state.
    Save,
    /// Restore every environment's state.
    Load {
        /// One state an environment.
        states: Vec<Vec<u8>>,
    },
    /// Counters and waits.
    Metrics,
    /// End the session.
    Close,
}

impl Request {
    /// What the header says about it.
    pub fn op(&self) -> Op {
        match self {
            Self::Hello => Op::Hello,
            Self::Make(_) => Op::Make,
            Self::Reset { .. } => Op::Reset,
            Self::Step { .. } => Op::Step,
            Self::Save => Op::Save,
            Self::Load { .. } => Op::Load,
            Self::Metrics => Op::Metrics,
            Self::Close => Op::Close,
        }
    }

    /// The message; `header` gives session, epoch, seq and environments, the rest of it is filled in.
    pub fn encode(&self, header: Header) -> Parts {
        let frames = match self {
            Self::Hello | Self::Save | Self::Metrics | Self::Close => Vec::new(),
            Self::Make(request) => vec![pack(request)],
            Self::Reset { seeds, mask, options } => {
                let seeded: Vec<_> = seeds.iter().map(Option::is_some).collect();
                let seeds = seeds.iter().flat_map(|seed| seed.unwrap_or(0).to_le_bytes()).collect();
                let mut frames = vec![bytes_from_masks(mask), bytes_from_masks(&seeded), seeds];
                if !options.is_empty() {
                    frames.push(pack(options));
                }
                frames
            }
            Self::Step { actions, mask: None } => vec![actions.clone()],
            Self::Step { actions, mask: Some(mask) } => vec![actions.clone(), bytes_from_masks(mask)],
            Self::Load { states } => states_to_frames(states),
        };
        message(Header { op: self.op(), reply: false, ..header }, frames)
    }

    /// Reads the frames that follow `header`.
    ///
    /// # Errors
    /// [`BadMessage`](super::ErrorCode::BadMessage) says which frame and what was expected.
    pub fn decode(header: &Header, frames: &[Vec<u8>]) -> Result<Self, Refusal> {
        if header.reply || header.op == Op::Error {
            return Err(Refusal::bad_message("a reply came where a request was expected"));
        }
        let count = header.num_envs as usize;
        let wrong = || Refusal::bad_message(format!("{:?} came with {} frames", header.op, frames.len()));
        Ok(match (header.op, frames) {
            (Op::Hello, []) => Self::Hello,
            (Op::Make, [bytes]) => Self::Make(unpack(within_bounds(header.op, bytes)?)?),
            (Op::Reset, [mask, seeded, seeds, more @ ..]) if more.len() <= 1 => {
                let mask = masks_from_bytes("reset mask", mask, count)?;
                let seeded = masks_from_bytes("seed mask", seeded, count)?;
                let seeds = u64_from_bytes(seeds)?;
                if seeds.len() != count {
                    let message = format!("{} seeds, expected {count}", seeds.len());
                    return Err(Refusal::bad_message(message));
                }
                let seeds = seeds.into_iter().zip(seeded).map(|(seed, given)| given.then_some(seed));
                let options = match more.first() {
                    Some(bytes) => unpack(within_bounds(header.op, bytes)?)?,
                    None => BTreeMap::new(),
                };
                Self::Reset { seeds: seeds.collect(), mask, options }
            }
            (Op::Step, [actions]) => Self::Step { actions: actions.clone(), mask: None },
            (Op::Step, [actions, mask]) => {
                let mask = masks_from_bytes("step mask", mask, count)?;
                Self::Step { actions: actions.clone(), mask: Some(mask) }
            }
            (Op::Save, []) => Self::Save,
            (Op::Load, [lengths, blob]) => Self::Load { states: states_from_frames(lengths, blob, count)? },
            (Op::Metrics, []) => Self::Metrics,
            (Op::Close, []) => Self::Close,
            _ => return Err(wrong()),
        })
    }
}

/// A map's bytes, if they are not too many.
fn within_bounds(op: Op, bytes: &[u8]) -> Result<&[u8], Refusal> {
    if bytes.len() <= MAKE_BYTES_MAX {
        return Ok(bytes);
    }
    let message = format!("the map of {op:?} has {} bytes, expected at most {MAKE_BYTES_MAX}", bytes.len());
    Err(Refusal::bad_message(message))
}

/// Header and frames as one message.
pub(super) fn message(header: Header, frames: Vec<Vec<u8>>) -> Parts {
    let header = Header { frames: frames.len() as u32, ..header };
    std::iter::once(header.encode()).chain(frames).collect()
}

/// MessagePack with field names.
pub(super) fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    // Plain structs of numbers, strings and lists: there is nothing here that MessagePack cannot hold.
    rmp_serde::to_vec_named(value).unwrap_or_default()
}

pub(super) fn unpack<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, Refusal> {
    rmp_serde::from_slice(bytes).map_err(|error| Refusal::bad_message(format!("MessagePack frame: {error}")))
}

/// Lengths as u64, then all states end to end.
pub(super) fn states_to_frames(states: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![states.iter().flat_map(|state| (state.len() as u64).to_le_bytes()).collect(), states.concat()]
}

pub(super) fn states_from_frames(
    lengths: &[u8],
    mut blob: &[u8],
    count: usize,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let lengths = u64_from_bytes(lengths)?;
    if lengths.len() != count {
        return Err(Refusal::bad_message(format!("{} states, expected {count}", lengths.len())));
    }
    let mut states = Vec::with_capacity(count);
    for length in lengths {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((state, rest)) = blob.split_at_checked(length) else {
            let message = format!("a state of {length} bytes, {} are left", blob.len());
            return Err(Refusal::bad_message(message));
        };
        states.push(state.to_vec());
        blob = rest;
    }
    if blob.is_empty() {
        return Ok(states);
    }
    Err(Refusal::bad_message(format!("{} bytes follow the last state", blob.len())))
}
