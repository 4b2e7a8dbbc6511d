use std::collections::BTreeMap;

use worldstep_env::record::{AppliedForce, Contact, Event};

/// Everything that is recorded of one clip, as raw values: what the writer encodes and a reader decodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// What holds for the whole clip.
    pub facts: Facts,
    /// Rows.
    pub len: usize,
    /// One for each feature that does not follow from a row's position, in the features' order.
    pub columns: Vec<Column>,
    /// By frame.
    pub contacts: Vec<(u32, Contact)>,
    /// By frame.
    pub forces: Vec<(u32, AppliedForce)>,
    /// By frame.
    pub events: Vec<Event>,
}

/// Raw values of one feature, `len` rows of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Colour images.
    U8(Vec<u8>),
    /// Images of ids.
    U16(Vec<u16>),
    /// Numbers, or images of them.
    F32(Vec<f32>),
    /// Whole numbers.
    I64(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// What `meta/episodes` says of a clip beside its place and statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Position in the dataset.
    pub index: usize,
    /// Task id or family name.
    pub scenario: String,
    /// Seed that world, policy and looks were drawn from.
    pub seed: u64,
    /// Name of the behaviour.
    pub policy: String,
    /// `train`, `val`, …
    pub split: String,
    /// Which of the family's outcomes it is.
    pub outcome: String,
    /// What it shows, in words.
    pub caption: String,
    /// Every sampled value, as a JSON object.
    pub parameters: String,
    /// Shapes, looks and cameras, as JSON of [`worldstep_env::Scene`]: with the poses, all that was drawn.
    pub scene: String,
    /// What holds bodies together, as JSON of a list of [`worldstep_env::record::Joint`].
    pub joints: String,
    /// World gravity, m/s².
    pub gravity: [f32; 3],
    /// Mass, friction and restitution coefficients of each slot.
    pub physical: [Vec<f32>; 3],
    /// The unit that it belongs to, over all shards.
    pub unit: usize,
    /// Attempts of its unit that were rejected for a fault, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Sound attempts of its unit that were passed over for balance.
    pub redrawn: u64,
    /// How it is linked with other clips.
    pub links: Links,
}

/// Other clips that a clip belongs with, by their position in the dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The clip whose first rows this one shares.
    pub branch_parent: Option<usize>,
    /// First row whose action differs from the parent's.
    pub branch_frame: Option<u32>,
    /// What is physically impossible about it; empty if nothing is.
    pub violation: String,
    /// Its possible or impossible twin.
    pub pair: Option<usize>,
}

impl Links {
    /// The same links when episode `from`, and all that it is linked with, is episode `to`.
    pub fn moved(&self, from: usize, to: usize) -> Self {
        let moved = |index: Option<usize>| index.map(|index| index + to - from);
        Self { branch_parent: moved(self.branch_parent), pair: moved(self.pair), ..self.clone() }
    }
}
