use std::path::PathBuf;

/// What kind of thing is wrong with a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A file is missing, cut short, or no parquet.
    Unreadable,
    /// Features, columns, types, shapes, row groups, the pandas index: what LeRobot expects of a v3.0 dataset.
    Schema,
    /// Episode, frame or row indices that do not count on, or totals that are not their sum.
    Index,
    /// A timestamp that is not its frame's.
    Timestamp,
    /// Statistics that are not those of the values.
    Stats,
    /// An image that cannot be decoded, or has another size or kind.
    Image,
    /// A clip whose content hash is not the one written down, or a set whose hash is not the expected one.
    Hash,
    /// A value that is not finite.
    NotFinite,
    /// A value outside of what it can be.
    Range,
    /// An orientation that is no unit quaternion.
    Quaternion,
    /// An instance or class that the scenario does not have.
    UnknownId,
    /// An action outside of the action space.
    Action,
    /// Poses that do not move as velocities say.
    Velocity,
    /// A change of momentum that neither contacts, forces nor gravity explain.
    Momentum,
    /// Depth, intrinsics and poses that do not lead to the object coordinates.
    Coordinates,
    /// Flow that does not lead to where poses say that a point goes.
    Flow,
    /// Instance and semantic images, and depth, that contradict each other.
    Labels,
    /// An event of something, or at a time, that is not in the clip.
    Event,
    /// A clip in a split where it must not be.
    Split,
    /// Links between clips that do not hold.
    Link,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::Unreadable,
        Self::Schema,
        Self::Index,
        Self::Timestamp,
        Self::Stats,
        Self::Image,
        Self::Hash,
        Self::NotFinite,
        Self::Range,
        Self::Quaternion,
        Self::UnknownId,
        Self::Action,
        Self::Velocity,
        Self::Momentum,
        Self::Coordinates,
        Self::Flow,
        Self::Labels,
        Self::Event,
        Self::Split,
        Self::Link,
    ];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Schema => "schema",
            Self::Index => "index",
            Self::Timestamp => "timestamp",
            Self::Stats => "stats",
            Self::Image => "image",
            Self::Hash => "hash",
            Self::NotFinite => "not_finite",
            Self::Range => "range",
            Self::Quaternion => "quaternion",
            Self::UnknownId => "unknown_id",
            Self::Action => "action",
            Self::Velocity => "velocity",
            Self::Momentum => "momentum",
            Self::Coordinates => "coordinates",
            Self::Flow => "flow",
            Self::Labels => "labels",
            Self::Event => "event",
            Self::Split => "split",
            Self::Link => "link",
        }
    }
}

/// What is wrong within one clip or file.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Kind.
    pub code: Code,
    /// Row of the clip, if it is about one.
    pub frame: Option<usize>,
    /// One line.
    pub message: String,
}

impl Fault {
    /// A fault of a whole clip or file.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, frame: None, message: message.into() }
    }

    /// A fault of one row.
    pub fn at(code: Code, frame: usize, message: impl Into<String>) -> Self {
        Self { code, frame: Some(frame), message: message.into() }
    }
}

/// A [`Fault`] and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The dataset's folder.
    pub dataset: PathBuf,
    /// Episode, if it is about one.
    pub episode: Option<usize>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:11} {}", self.fault.code.name(), self.dataset.display())?;
        if let Some(episode) = self.episode {
            write!(f, " episode {episode}")?;
        }
        if let Some(frame) = self.fault.frame {
            write!(f, " frame {frame}")?;
        }
        write!(f, ": {}", self.fault.message)
    }
}
