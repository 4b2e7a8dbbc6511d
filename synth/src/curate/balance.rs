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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use worldstep_env::record::Event;

    use super::*;
    use crate::scenario::{ScenarioOptions, UnitKind, UnitRequest};

    const UNITS: usize = 400;

    #[test]
    fn outcomes_and_events_have_as_many_turns_each_in_training_and_in_validation() {
        let scenario = Scenario::find("toss").unwrap();
        for validation in [false, true] {
            // By outcome: turns in all, and those with and without an event.
            let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
            for unit in (0..UNITS).filter(|unit| (unit % VAL_EVERY == VAL_EVERY - 1) == validation) {
                let turn = Turn::of(&scenario, unit, &Curation::default()).unwrap();
                let [all, with, without] = counts.entry(turn.outcome).or_default();
                *all += 1;
                *with += usize::from(turn.event.is_some_and(|(_, wanted)| wanted));
                *without += usize::from(turn.event.is_some_and(|(_, wanted)| !wanted));
            }
            assert_eq!(counts.len(), scenario.outcomes().len());
            let even = |a: usize, b: usize| a.abs_diff(b) <= 2;
            let fewest = counts.values().map(|[all, ..]| *all).min().unwrap();
            assert!(counts.values().all(|[all, ..]| even(*all, fewest)), "{counts:?}");
            assert!(counts.values().all(|[_, with, without]| even(*with, *without)), "{counts:?}");
            assert!(counts.values().any(|[_, with, _]| *with > 0), "{counts:?}");
        }
    }

    #[test]
    fn a_clip_fits_the_turn_of_what_happened_in_it() {
        let scenario = Scenario::find("toss").unwrap();
        let options = ScenarioOptions::default();
        let request = UnitRequest { seed: 0, kind: UnitKind::Single, options: &options };
        let mut clip = scenario.simulate(&request).unwrap().remove(0);
        let outcome = clip.outcome.clone();
        let turn = |event| Turn { outcome: &outcome, event };
        let kind = EventKind::OutOfView;
        clip.events.clear();
        assert_eq!(turn(None).fit(&clip), Fit::Full);
        assert_eq!(turn(Some((kind, true))).fit(&clip), Fit::Outcome);
        assert_eq!(turn(Some((kind, false))).fit(&clip), Fit::Full);
        clip.events.push(Event { frame: 1, kind, a: 1, b: 0, value: 0.0 });
        assert_eq!(turn(Some((kind, true))).fit(&clip), Fit::Full);
        assert_eq!(turn(Some((kind, false))).fit(&clip), Fit::Outcome);
        assert_eq!(Turn { outcome: "another", event: None }.fit(&clip), Fit::Other);
    }
}
