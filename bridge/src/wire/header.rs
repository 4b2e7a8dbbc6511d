use super::{ErrorCode, Refusal};

/// First bytes of every message.
pub const MAGIC: [u8; 4] = *b"WSTP";
/// Version of the protocol; another one is refused.
pub const VERSION: u16 = 2;
/// Bytes of a header.
pub const HEADER_LEN: usize = 48;
/// Bit of `flags` that marks a reply.
const REPLY: u8 = 1;
/// Bit of `flags` for observations in shared memory.
const SHARED: u8 = 2;
/// Bit of `flags` of a request whose predecessor is unanswered.
const AFTER: u8 = 4;

/// What a message asks for, or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// What server is this?
    Hello = 1,
    /// Open a session with its environments.
    Make = 2,
    /// Start episodes.
    Reset = 3,
    /// Step environments.
    Step = 4,
    /// Give the environments' states.
    Save = 5,
    /// Restore the environments' states.
    Load = 6,
    /// Counters and waits.
    Metrics = 7,
    /// End the session.
    Close = 8,
    /// A refusal; replies only.
    Error = 9,
}

impl Op {
    const ALL: [Self; 9] = [
        Self::Hello,
        Self::Make,
        Self::Reset,
        Self::Step,
        Self::Save,
        Self::Load,
        Self::Metrics,
        Self::Close,
        Self::Error,
    ];

    fn from_byte(byte: u8) -> Result<Self, Refusal> {
        Self::ALL
            .into_iter()
            .find(|op| *op as u8 == byte)
            .ok_or_else(|| Refusal::bad_message(format!("op {byte} is unknown, expected 1 to 8")))
    }
}

/// The fixed part of every message, 48 bytes little-endian.
///
/// | Offset | Bytes | Field |
/// |---|---|---|
/// | 0 | 4 | magic `WSTP` |
/// | 4 | 2 | version |
/// | 6 | 1 | op |
/// | 7 | 1 | flags: bit 0 marks a reply; bit 1 asks for observations in shared memory, or says that they are there; bit 2: not before request `seq − 1` has come |
/// | 8 | 16 | session token; in a request to `make`, a number drawn at random by the client, or 0 |
/// | 24 | 8 | epoch of the server that gave the token |
/// | 32 | 8 | seq: number of the request in its session, from 1 |
/// | 40 | 4 | environments in the session; in a reply with rows, the rows |
/// | 44 | 4 | frames that follow |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What is asked, or answered.
    pub op: Op,
    /// Whether this is a reply.
    pub reply: bool,
    /// Whether observations come, or are, in shared memory.
    pub shared: bool,
    /// Whether request `seq − 1` is unanswered, so that this one must not be served before it has come.
    pub after: bool,
    /// Session token.
    pub session: u128,
    /// Epoch of the server.
    pub epoch: u64,
    /// Number of the request in its session.
    pub seq: u64,
    /// Environments in the session, or rows that follow.
    pub num_envs: u32,
    /// Parts after this one.
    pub frames: u32,
}

impl Header {
    /// A request without a session.
    pub fn request(op: Op) -> Self {
        Self {
            op,
            reply: false,
            shared: false,
            after: false,
            session: 0,
            epoch: 0,
            seq: 0,
            num_envs: 0,
            frames: 0,
        }
    }

    /// The header as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.push(self.op as u8);
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        bytes.push(flag(self.reply, REPLY) | flag(self.shared, SHARED) | flag(self.after, AFTER));
        bytes.extend_from_slice(&self.session.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.num_envs.to_le_bytes());
        bytes.extend_from_slice(&self.frames.to_le_bytes());
        bytes
    }

    /// Reads the header of `parts` and checks that the frames it counts are there.
    ///
    /// # Errors
    /// [`ErrorCode::BadMessage`], or [`ErrorCode::BadVersion`] for another protocol version.
    pub fn decode(parts: &[Vec<u8>]) -> Result<Self, Refusal> {
        let bytes = parts.first().map_or(&[][..], Vec::as_slice);
        if bytes.len() != HEADER_LEN {
            let message = format!("header has {} bytes, expected {HEADER_LEN}", bytes.len());
            return Err(Refusal::bad_message(message));
        }
        if bytes[..4] != MAGIC {
            return Err(Refusal::bad_message("header does not start with WSTP: not a Worldstep client"));
        }
        let version = u16::from_le_bytes(array(bytes, 4));
        if version != VERSION {
            let message =
                format!("protocol version {version}, this server speaks {VERSION}: update the older side");
            return Err(Refusal::new(ErrorCode::BadVersion, message));
        }
        if bytes[7] & !(REPLY | SHARED | AFTER) != 0 {
            return Err(Refusal::bad_message(format!("flags {:#x} are unknown", bytes[7])));
        }
        let header = Self {
            op: Op::from_byte(bytes[6])?,
            reply: bytes[7] & REPLY != 0,
            shared: bytes[7] & SHARED != 0,
            after: bytes[7] & AFTER != 0,
            session: u128::from_le_bytes(array(bytes, 8)),
            epoch: u64::from_le_bytes(array(bytes, 24)),
            seq: u64::from_le_bytes(array(bytes, 32)),
            num_envs: u32::from_le_bytes(array(bytes, 40)),
            frames: u32::from_le_bytes(array(bytes, 44)),
        };
        if header.frames as usize != parts.len() - 1 {
            let message = format!("header counts {} frames, {} came", header.frames, parts.len() - 1);
            return Err(Refusal::bad_message(message));
        }
        Ok(header)
    }

    /// What can be told of a header that [`decode`](Self::decode) refused, so that its sender can match the answer.
    pub fn salvage(parts: &[Vec<u8>]) -> Self {
        let mut header = Self::request(Op::Error);
        if let Some(bytes) = parts.first().filter(|bytes| bytes.len() == HEADER_LEN && bytes[..4] == MAGIC) {
            header.session = u128::from_le_bytes(array(bytes, 8));
            header.seq = u64::from_le_bytes(array(bytes, 32));
        }
        header
    }
}

/// `N` bytes from `offset`; the caller has checked the length.
fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}
