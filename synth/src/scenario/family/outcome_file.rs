//! How a family's file says what clips come to, and what of that cannot be.

use serde::{Deserialize, Deserializer};
use worldstep_env::record::EventKind;

use crate::scenario::expression::Expression;

/// A way for a clip to end.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct OutcomeFile {
    pub name: String,
    /// Over the whole clip; plain names of bodies are their state at its end.
    pub when: Option<Expression>,
    /// Kinds of events that happen in some of its clips and not in others; clips with and without take turns.
    #[serde(default)]
    pub events: Vec<EventKind>,
}

/// Something impossible that this family can show.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct ViolationFile {
    pub kind: ViolationKind,
    /// What it happens to.
    pub body: String,
    /// Swap: the other body. Pass-through: the wall.
    pub with: Option<String>,
    /// Vanish, swap: what hides it; several bodies together, or whichever it is under.
    #[serde(default, deserialize_with = "one_or_more")]
    pub behind: Vec<String>,
}

/// A name, or a list of names.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a body's name, or a list of names")]
    enum Names {
        One(String),
        More(Vec<String>),
    }
    Ok(match Names::deserialize(deserializer)? {
        Names::One(name) => vec![name],
        Names::More(names) => names,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum ViolationKind {
    Vanish,
    PassThrough,
    Swap,
}
