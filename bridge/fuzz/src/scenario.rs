//! What clients do, in a form that a fuzzer can make up.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Clients' doings, in order, and the bounds of the server that they meet.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Sessions that the server takes, 1 to 4.
    pub sessions_max: u8,
    /// Environments in a session, 1 to 8.
    pub envs_per_session_max: u8,
    /// Environments that wait for nobody, 1 to 16.
    pub batch_max: u8,
    /// Whether nothing is wrong with any message: some states are reached by clients that behave.
    pub is_polite: bool,
    /// What happens.
    pub operations: Vec<Operation>,
}

/// By hand, since derived lists end after every element with even odds: here the bytes last as long as they last.
impl<'a> Arbitrary<'a> for Scenario {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let [sessions_max, envs_per_session_max, batch_max] = bytes.arbitrary()?;
        let is_polite = bytes.arbitrary()?;
        let mut operations = Vec::new();
        while !bytes.is_empty() {
            operations.push(bytes.arbitrary()?);
        }
        Ok(Self { sessions_max, envs_per_session_max, batch_max, is_polite, operations })
    }
}

/// One thing that happens.
#[derive(Arbitrary, Clone, Debug)]
pub enum Operation {
    /// A client asks for a session; sessions of one kind share an engine.
    Make {
        /// Which client.
        client: u8,
        /// Whether of a dream: its steps wait for one another.
        dream: bool,
        /// How many environments.
        num_envs: u8,
        /// When ended episodes start anew, one of three; higher digits say whether observations are wide, and whether
        /// the client shares memory.
        form: u8,
        /// What the client calls the request: one of three names of its own, or nothing; higher digits say where it
        /// comes from, and whether the client asks though it has a session.
        nonce: u8,
    },
    /// The next few messages come all at once.
    Hold(u8),
    /// A client asks something of its session.
    Ask {
        /// Which client.
        client: u8,
        /// What.
        ask: Ask,
        /// What is wrong with the message.
        spoil: Spoil,
    },
    /// A client resets all its environments or none, and steps them for a while, each time with time to be answered.
    Run {
        /// Which client.
        client: u8,
        /// Action of all environments.
        action: i8,
        /// How many steps; higher digits say whether all are reset before.
        steps: u8,
        /// Which environments are stepped; all of them if its last bit is set.
        mask: u8,
    },
    /// Bytes from somewhere.
    Raw {
        /// Frames of the message.
        parts: Vec<Vec<u8>>,
    },
    /// Time passes: a few milliseconds, now and then more, seldom so much that every lease runs out.
    Wait(u8),
}

/// What a session is asked.
#[derive(Arbitrary, Clone, Debug)]
pub enum Ask {
    /// Episodes start where the bit of an environment is set, with seeds where its bit is set.
    Reset {
        /// Which environments.
        mask: u8,
        /// Which of them with a seed.
        seeded: u8,
        /// The first seed.
        seed: u64,
    },
    /// A step of all environments.
    Step(i8),
    /// A step of some.
    StepSome {
        /// Action of all of them.
        action: i8,
        /// Which environments.
        mask: u8,
    },
    /// A step with an action that no space holds.
    StepBadly,
    /// The states, which are kept for `Load`.
    Save,
    /// The states that were saved last, one of them damaged or not.
    Load {
        /// Environment whose state is damaged, if it is one of the session's.
        damaged: u8,
    },
    /// Figures of the server.
    Metrics,
    /// The end.
    Close,
}

/// How a message differs from what a well-behaved client sends.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Spoil {
    /// Not at all: the next number.
    No,
    /// It is the latest request again, with the same number, from another route.
    Repeat,
    /// It has a number so far from the latest one.
    Number(i8),
    /// It comes from another run of the server.
    Epoch,
    /// It counts other environments.
    Count(u8),
    /// Another client's session on this client's route.
    Stolen(u8),
    /// It takes observations from shared memory, if there is any.
    Shared,
    /// One byte of one part is another.
    Byte {
        /// Which part.
        part: u8,
        /// Where in it.
        at: u16,
        /// What it becomes.
        byte: u8,
    },
    /// A part ends early.
    Cut {
        /// Which part.
        part: u8,
        /// Where it ends.
        at: u16,
    },
}
