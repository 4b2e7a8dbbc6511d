//! Units of families in a dataset: balanced, curated, linked, split, and the same however they are recorded.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folders;

use std::collections::BTreeMap;
use std::path::Path;

use folders::assert_same_dataset;
use worldstep_env::dataset::file_path;
use worldstep_env::record::EventKind;
use worldstep_synth::clips::VAL_EVERY;
use worldstep_synth::curate::{Curation, Turn};
use worldstep_synth::inspect::Dataset;
use worldstep_synth::lerobot::{
    EpisodeEntry, ImageChannel, features, merge_shards, read_episodes, read_info,
};
use worldstep_synth::scenario::Family;
use worldstep_synth::{
    Scenario, SynthError, SynthOptions, SynthProgress, SynthSummary, UnitKind, write_dataset,
};

const FAMILY: &str = "roll-behind-screen";
/// Clips of more than one file.
const CLIPS: usize = 96;

fn options(clips: usize, out: &Path) -> SynthOptions {
    let channels = vec![ImageChannel::Rgb, ImageChannel::Instance];
    SynthOptions { frame_size: 16, seed: 5, channels, ..SynthOptions::new(FAMILY, clips, out) }
}

fn write(options: &SynthOptions) -> SynthSummary {
    write_dataset(options, &mut |_| {}).unwrap()
}

fn entries(dir: &Path) -> Vec<EpisodeEntry> {
    let (info, episodes) = read_info(dir).unwrap().unwrap();
    let features = features(&info).unwrap();
    let files = 0..episodes.div_ceil(64);
    files
        .flat_map(|file| read_episodes(&dir.join(file_path("meta/episodes", file)), &features).unwrap())
        .collect()
}

#[test]
fn outcomes_take_turns_and_workers_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let summary = write(&SynthOptions { workers: 1, ..options(12, &a) });
    assert_eq!(summary, {
        let mut other = write(&SynthOptions { workers: 3, ..options(12, &b) });
        other.datasets[0].path.clone_from(&a);
        other
    });
    assert_same_dataset(&a, &b);
    let dataset = &summary.datasets[0];
    assert!(dataset.outcomes.len() >= 2, "{dataset:?}");
    assert!(dataset.outcomes.values().all(|count| *count <= 6), "{dataset:?}");
    // With three outcomes, not every first attempt can have come to the one that was its turn; none had a fault.
    assert!(dataset.redrawn_for_balance > 0, "{dataset:?}");
    assert_eq!((dataset.rejected.values().sum::<u64>(), dataset.accept_rate()), (0, 1.0));
    let entries = entries(&a);
    let redrawn: u64 = entries.iter().map(|entry| entry.facts.redrawn).sum();
    assert_eq!(redrawn, dataset.redrawn_for_balance);
    for entry in &entries {
        let facts = &entry.facts;
        assert!(!facts.outcome.is_empty() && facts.parameters.contains("speed"), "{facts:?}");
        assert_eq!(facts.physical[0].len(), facts.physical[2].len());
        let held_out =
            serde_json::from_str::<serde_json::Value>(&facts.parameters).unwrap()["held_out"] == 1.0;
        let expected = match (held_out, facts.unit % 10) {
            (true, _) => "test_combination",
            (false, 9) => "val",
            (false, _) => "train",
        };
        assert_eq!(facts.split, expected);
    }
}

/// Within an outcome, as many clips have the event that the family looks for there as have it not.
#[test]
fn clips_with_and_without_an_event_take_turns_and_shards_and_resumed_runs_agree() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Some turns are rare: patience, so that each can be met.
    let curation = Curation { balance_attempts: 40, ..Curation::default() };
    let asked = |out: &Path| {
        let (scenario, curation) = ("toss".to_owned(), curation.clone());
        SynthOptions { scenario, curation, ..options(CLIPS, out) }
    };
    let whole = write(&asked(&at("whole")));
    let outcomes_only = Curation { balance_events: false, ..curation.clone() };
    write(&SynthOptions { curation: outcomes_only, ..asked(&at("outcomes-only")) });
    let lopsided = |dir: &Path| event_lopsidedness("toss", dir);
    let (balanced, before) = (lopsided(&at("whole")), lopsided(&at("outcomes-only")));
    assert!(balanced < 0.1 && before > 0.15, "{balanced}, without balance {before}");
    assert!(whole.datasets[0].redrawn_for_balance > 0);

    let parts: Vec<_> = (0..2).map(|index| at(&format!("shard-{index}"))).collect();
    for (index, part) in parts.iter().enumerate() {
        write(&SynthOptions { shard: Some((index, 2)), ..asked(part) });
    }
    let totals = merge_shards(&parts, &at("merged")).unwrap();
    assert_eq!(totals.redrawn, whole.datasets[0].redrawn_for_balance);
    assert_same_dataset(&at("whole"), &at("merged"));

    let first = SynthOptions { workers: 2, ..asked(&at("resumed")) };
    let flag = first.stop.clone();
    let stop_after = &mut |progress: &SynthProgress| {
        flag.store(progress.clips_done >= 70, std::sync::atomic::Ordering::Relaxed);
    };
    assert!(write_dataset(&first, stop_after).unwrap().interrupted);
    write(&SynthOptions { resume: true, ..asked(&at("resumed")) });
    assert_same_dataset(&at("whole"), &at("resumed"));
}

/// The greatest distance of the share of clips with an event from one half, over what `family` looks for.
fn event_lopsidedness(family: &str, dir: &Path) -> f64 {
    let scenario = Scenario::find(family).unwrap();
    let dataset = Dataset::open(dir).unwrap();
    let mut counts: BTreeMap<(String, EventKind), [usize; 2]> = BTreeMap::new();
    for index in 0..dataset.episodes.len() {
        let clip = dataset.numbers(index).unwrap();
        let outcome = scenario.outcomes().iter().position(|name| *name == clip.facts.outcome).unwrap();
        for kind in scenario.events_looked_for(outcome) {
            let has = clip.events.iter().any(|event| event.kind == *kind);
            counts.entry((clip.facts.outcome.clone(), *kind)).or_default()[usize::from(has)] += 1;
        }
    }
    assert!(!counts.is_empty());
    let off = |[without, with]: &[usize; 2]| (*with as f64 / (with + without) as f64 - 0.5).abs();
    counts.values().map(off).fold(0.0, f64::max)
}

#[test]
fn every_turn_comes_in_training_and_in_validation() {
    for scenario in Family::built_in().unwrap().into_iter().map(Scenario::Family) {
        let turns = |units: &mut dyn Iterator<Item = usize>| {
            let mut counts: BTreeMap<Turn<'_>, usize> = BTreeMap::new();
            for unit in units {
                *counts.entry(Turn::of(&scenario, unit, &Curation::default()).unwrap()).or_default() += 1;
            }
            // Each outcome as often as the others, and within it each of its turns.
            let outcomes: Vec<usize> = scenario
                .outcomes()
                .iter()
                .map(|name| counts.iter().filter(|(turn, _)| turn.outcome == name).map(|(_, n)| n).sum())
                .collect();
            let even = |counts: &[usize]| {
                *counts.iter().max().unwrap() as f64 <= 1.1 * *counts.iter().min().unwrap() as f64
            };
            assert!(even(&outcomes), "{counts:?}");
            for name in scenario.outcomes() {
                let within: Vec<_> =
                    counts.iter().filter(|(turn, _)| turn.outcome == name).map(|(_, n)| *n).collect();
                assert!(even(&within), "{counts:?}");
            }
            counts.into_keys().collect::<Vec<_>>()
        };
        let training = turns(&mut (0..2400).filter(|unit| unit % VAL_EVERY != VAL_EVERY - 1));
        let validation = turns(&mut (0..2400).filter(|unit| unit % VAL_EVERY == VAL_EVERY - 1));
        assert_eq!(training, validation, "{}", scenario.name());
        assert!(
            scenario.outcomes().iter().all(|outcome| training.iter().any(|turn| turn.outcome == outcome))
        );
    }
}

#[test]
fn branches_point_to_their_parent_and_share_a_split() {
    let folder = tempfile::tempdir().unwrap();
    write(&SynthOptions { unit: UnitKind::Branches(4), ..options(8, folder.path()) });
    let entries = entries(folder.path());
    for (index, entry) in entries.iter().enumerate() {
        let (facts, parent) = (&entry.facts, index / 4 * 4);
        assert_eq!((facts.index, facts.unit), (index, index / 4));
        let is_parent = index == parent;
        assert_eq!(facts.links.branch_parent, (!is_parent).then_some(parent));
        assert_eq!(facts.links.branch_frame.is_none(), is_parent);
        assert_eq!((facts.seed, &facts.split), (entries[parent].facts.seed, &entries[parent].facts.split));
    }
    assert_ne!(entries[0].hash, entries[1].hash);
}

#[test]
fn impossible_twins_are_marked_and_out_of_training() {
    let folder = tempfile::tempdir().unwrap();
    write(&SynthOptions { unit: UnitKind::Pair, ..options(4, folder.path()) });
    for pair in entries(folder.path()).chunks(2) {
        let [possible, impossible] = pair else { panic!("half a pair") };
        assert_eq!(possible.facts.links.violation, "");
        assert!(["vanish", "swap"].contains(&&*impossible.facts.links.violation));
        assert_eq!(possible.facts.links.pair, Some(impossible.facts.index));
        assert_eq!(impossible.facts.links.pair, Some(possible.facts.index));
        assert!(pair.iter().all(|entry| entry.facts.split == "violation"));
    }
}

#[test]
fn longer_clips_are_a_test_split() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(2, folder.path());
    options.scenarios.horizon = 1.25;
    write(&options);
    let splits: Vec<_> = entries(folder.path()).iter().map(|entry| entry.facts.split.clone()).collect();
    assert!(
        splits.iter().all(|split| ["test_horizon", "test_combination"].contains(&&**split)),
        "{splits:?}"
    );
}

#[test]
fn a_unit_that_nothing_is_good_enough_for_ends_the_run_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    // Nothing moves by a kilometre.
    let curation = Curation { static_distance: 1e3, still_outcomes: Vec::new(), ..Curation::default() };
    let error =
        write_dataset(&SynthOptions { curation, ..options(2, folder.path()) }, &mut |_| {}).unwrap_err();
    let line = error.to_string();
    assert!(matches!(error, SynthError::Rejected { .. }), "{line}");
    assert!(line.contains(FAMILY) && line.contains("\"static\"") && line.contains("64 attempts"), "{line}");
}

#[test]
fn all_pairs_are_those_of_families_that_have_some_and_others_are_refused_before_anything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (all, some) = (folder.path().join("all"), folder.path().join("some"));
    let pairs = |out: &Path| SynthOptions { unit: UnitKind::Pair, ..options(6, out) };
    let summary = write(&SynthOptions { scenario: "all".to_owned(), ..pairs(&all) });
    assert_eq!(summary.clips(), 6);
    assert!(summary.datasets.iter().all(|dataset| dataset.redrawn_for_balance == 0));
    let mixed = SynthOptions { scenario: "toss,drop".to_owned(), ..pairs(&some) };
    let error = write_dataset(&mixed, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("drop has no impossible twins"), "{error}");
    assert!(!some.exists(), "toss was recorded before drop was looked at");
}

#[test]
fn pictures_and_the_folder_they_come_from_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut asks = options(2, &out);
    asks.scenarios.randomisation = asks.scenarios.randomisation.with_pictures();
    let error = write_dataset(&asks, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("\"image\"") && error.contains("folder"), "{error}");
    assert!(!out.exists());
}
