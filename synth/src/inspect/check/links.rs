use std::collections::BTreeMap;

use super::super::dataset::Dataset;
use super::super::fault::{Code, Fault};
use crate::lerobot::{Clip, Column, EpisodeEntry, Source};

/// Names of the splits.
const SPLITS: [&str; 5] = ["train", "val", "test_combination", "test_horizon", "violation"];
/// Where possible/impossible pairs are kept.
const VIOLATION: &str = "violation";

/// Splits and links of all clips, from `meta` alone.
pub fn check(dataset: &Dataset) -> Vec<(Option<usize>, Fault)> {
    let mut faults = Vec::new();
    let mut units: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
    for (index, entry) in dataset.episodes.iter().enumerate() {
        let split = entry.facts.split.as_str();
        let mut add = |code, message: String| faults.push((Some(index), Fault::new(code, message)));
        if !SPLITS.contains(&split) {
            add(Code::Split, format!("split {split:?}, expected one of {}", SPLITS.join(", ")));
        }
        let links = &entry.facts.links;
        let of_pair = links.pair.is_some() || !links.violation.is_empty();
        if of_pair != (split == VIOLATION) {
            let what =
                if of_pair { "one of a possible/impossible pair" } else { "no possible/impossible pair" };
            add(Code::Split, format!("it is {what}, but in split {split:?}"));
        }
        let (first, of_unit) = *units.entry(entry.facts.unit).or_insert((index, split));
        if of_unit != split {
            add(
                Code::Split,
                format!("split {split:?}, but episode {first} of the same unit is in {of_unit:?}"),
            );
        }
        for message in broken_links(dataset, index, entry) {
            add(Code::Link, message);
        }
        let outcomes = &dataset.scenario().outcomes;
        let outcome = &entry.facts.outcome;
        // An impossible clip need not end in any of its family's ways.
        let may_be_none = outcomes.is_empty() || !entry.facts.links.violation.is_empty();
        if !(outcomes.contains(outcome) || may_be_none && outcome.is_empty()) {
            add(Code::Schema, format!("outcome {outcome:?}, expected one of {outcomes:?}"));
        }
    }
    faults
}

fn broken_links(dataset: &Dataset, index: usize, entry: &EpisodeEntry) -> Vec<String> {
    let links = &entry.facts.links;
    let mut broken = Vec::new();
    if let Some(pair) = links.pair {
        match dataset.episodes.get(pair).map(|twin| &twin.facts.links) {
            None => broken.push(format!("its twin is episode {pair}, of {}", dataset.episodes.len())),
            Some(twin) if twin.pair != Some(index) => {
                broken.push(format!("its twin is episode {pair}, whose own twin is {:?}", twin.pair));
            }
            Some(twin) if twin.violation.is_empty() == links.violation.is_empty() => {
                broken.push(format!("of it and its twin, episode {pair}, exactly one has to be impossible"));
            }
            Some(_) => {}
        }
    } else if !links.violation.is_empty() {
        broken.push(format!("it is impossible ({}), but has no possible twin", links.violation));
    }
    match (links.branch_parent, links.branch_frame) {
        (None, _) => {}
        (Some(parent), None) => broken.push(format!("it branches off episode {parent}, but at no frame")),
        (Some(parent), Some(frame)) => match dataset.episodes.get(parent) {
            None => broken.push(format!("its parent is episode {parent}, of {}", dataset.episodes.len())),
            Some(other) if parent == index || other.facts.unit != entry.facts.unit => {
                broken.push(format!("its parent is episode {parent}, of another unit or itself"));
            }
            Some(other) if frame as usize >= other.length.min(entry.length) => {
                broken.push(format!("it branches at frame {frame}, of {}", other.length.min(entry.length)));
            }
            Some(_) => {}
        },
    }
    broken
}

/// A branch and its parent share every state and action before the branch, and part there.
pub fn check_branches(dataset: &Dataset) -> Vec<(Option<usize>, Fault)> {
    let mut faults = Vec::new();
    let mut last: Option<(usize, Clip)> = None;
    for (index, entry) in dataset.episodes.iter().enumerate() {
        let links = &entry.facts.links;
        let (Some(parent), Some(frame)) = (links.branch_parent, links.branch_frame) else { continue };
        if !broken_links(dataset, index, entry).is_empty() {
            continue;
        }
        if last.as_ref().is_none_or(|(known, _)| *known != parent) {
            last = dataset.numbers(parent).ok().map(|clip| (parent, clip));
        }
        // What cannot be read has been found before.
        let (Some((_, parent_clip)), Ok(clip)) = (&last, dataset.numbers(index)) else { continue };
        let message = different_start(dataset, parent_clip, &clip, frame as usize);
        faults.extend(message.map(|message| (Some(index), Fault::new(Code::Link, message))));
    }
    faults
}

fn different_start(dataset: &Dataset, parent: &Clip, clip: &Clip, frame: usize) -> Option<String> {
    let (a, b) = (dataset.number_rows(parent), dataset.number_rows(clip));
    for (source, name) in [(Source::Action, "action"), (Source::Pose, "poses"), (Source::State, "state")] {
        if let Some(t) = (0..frame).find(|t| a.row(source, *t) != b.row(source, *t)) {
            let parent = parent.facts.index;
            return Some(format!("{name} of frame {t} differ from those of its parent, episode {parent}"));
        }
    }
    let parted =
        [Source::Pose, Source::State].iter().all(|source| a.row(*source, frame) == b.row(*source, frame));
    let same_action = matches!(a.column(Source::Action), Some(Column::F32(_)))
        && a.row(Source::Action, frame) == b.row(Source::Action, frame);
    if !parted {
        return Some(format!("frame {frame}, where it branches, does not show what its parent shows there"));
    }
    same_action.then(|| format!("its action at frame {frame}, where it branches, is its parent's"))
}
