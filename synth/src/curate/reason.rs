use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The rules, by the names that they have in datasets and configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A number that is none.
    NonFinite,
    /// Solid bodies deep within each other.
    Penetration,
    /// Energy from nowhere.
    Energy,
    /// A joint that did not hold.
    JointLimit,
    /// Nothing happens.
    Static,
    /// What moves is not in the picture.
    OutOfFrame,
    /// Too like another clip.
    NearDuplicate,
}

impl Code {
    /// Every rule.
    pub const ALL: [Self; 7] = [
        Self::NonFinite,
        Self::Penetration,
        Self::Energy,
        Self::JointLimit,
        Self::Static,
        Self::OutOfFrame,
        Self::NearDuplicate,
    ];

    /// Its name in datasets.
    pub fn name(self) -> &'static str {
        match self {
            Self::NonFinite => "non_finite",
            Self::Penetration => "penetration",
            Self::Energy => "energy",
            Self::JointLimit => "joint_limit",
            Self::Static => "static",
            Self::OutOfFrame => "out_of_frame",
            Self::NearDuplicate => "near_duplicate",
        }
    }
}

/// Why a clip was rejected.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Reason {
    /// See [`Code::NonFinite`].
    #[error("{what} of row {row} is not a finite number")]
    NonFinite {
        /// Where.
        row: usize,
        /// Which quantity.
        what: &'static str,
    },
    /// See [`Code::Penetration`].
    #[error(
        "bodies {a} and {b} are {depth:.4} m within each other in row {row}; {allowed:.4} m would be accepted"
    )]
    Penetration {
        /// Where it has lasted too long.
        row: usize,
        /// Id.
        a: u16,
        /// Id, 0 for something unseen.
        b: u16,
        /// Metres.
        depth: f64,
        /// Metres.
        allowed: f64,
    },
    /// See [`Code::Energy`].
    #[error(
        "mechanical energy has risen by {gain:.4} J from nowhere by row {row}; {allowed:.4} J would be accepted"
    )]
    Energy {
        /// Where it is too much.
        row: usize,
        /// Joules.
        gain: f64,
        /// Joules.
        allowed: f64,
    },
    /// See [`Code::JointLimit`].
    #[error("the joint of bodies {a} and {b} is off by {excess:.3} {unit} in row {row}")]
    JointLimit {
        /// Where it has lasted too long.
        row: usize,
        /// Id, 0 for the world.
        a: u16,
        /// Id.
        b: u16,
        /// How far beyond what it should hold.
        excess: f64,
        /// `m` or `rad`.
        unit: &'static str,
    },
    /// See [`Code::Static`].
    #[error("nothing moves by more than {moved:.4} m")]
    Static {
        /// Metres.
        moved: f64,
    },
    /// See [`Code::OutOfFrame`].
    #[error("nothing that moves is in the picture for {share:.2} of the clip")]
    OutOfFrame {
        /// Share of the rows.
        share: f64,
    },
    /// See [`Code::NearDuplicate`].
    #[error("it differs by {distance:.4} m from another clip")]
    NearDuplicate {
        /// See [`Signature::distance`](super::Signature::distance).
        distance: f64,
    },
}

impl Reason {
    /// The rule.
    pub fn code(&self) -> Code {
        match self {
            Self::NonFinite { .. } => Code::NonFinite,
            Self::Penetration { .. } => Code::Penetration,
            Self::Energy { .. } => Code::Energy,
            Self::JointLimit { .. } => Code::JointLimit,
            Self::Static { .. } => Code::Static,
            Self::OutOfFrame { .. } => Code::OutOfFrame,
            Self::NearDuplicate { .. } => Code::NearDuplicate,
        }
    }
}
