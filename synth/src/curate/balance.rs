//! Balance by outcome × event: what a unit's clip should come to follows from the unit's number alone, so that
//! workers and shards need not know of each other.

use worldstep_env::record::EventKind;

use super::Curation;
use crate::clips::{Trajectory, VAL_EVERY};
use crate::scenario::Scenario;

/// What a unit should come to: outcomes take turns, and within each outcome clips with and without the events that the
/// family looks for there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn<'a> {
    /// One of the family's outcomes.
    pub outcome: &'a str,
    /// A kind of event, and whether it is to happen; `None` if there is none to look for.
    pub event: Option<(EventKind, bool)>,
}

/// How well a clip meets a [`Turn`], worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Another outcome.
    Other,
    /// The outcome, without the event or with the one that should not happen.
    Outcome,
    /// All of it.
    Full,
}

impl<'a> Turn<'a> {
    /// The turn of unit `unit` of `scenario`; `None` if it has no outcomes, as tasks have none.
    pub fn of(scenario: &'a Scenario, unit: usize, curation: &Curation) -> Option<Self> {
        let outcomes = scenario.outcomes();
        // Every so many-th unit is for validation: with a step at each of those, both splits see every turn.
        let turn = unit + unit / VAL_EVERY;
        let (outcome, round) =
            (turn.checked_rem(outcomes.len())?, turn.checked_div(outcomes.len()).unwrap_or_default());
        let kinds = if curation.balance_events { scenario.events_looked_for(outcome) } else { &[] };
        let event = (round / 2).checked_rem(kinds.len()).map(|kind| (kinds[kind], round.is_multiple_of(2)));
        Some(Self { outcome: &outcomes[outcome], event })
    }

    /// How well `clip`, whose events are known, meets this.
    pub fn fit(&self, clip: &Trajectory) -> Fit {
        if self.outcome != clip.outcome {
            return Fit::Other;
        }
        let meets = |(kind, wanted)| clip.events.iter().any(|event| event.kind == kind) == wanted;
        if self.event.is_none_or(meets) { Fit::Full } else { Fit::Outcome }
    }
}
