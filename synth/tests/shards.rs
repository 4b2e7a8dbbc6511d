//! Shards: recorded apart, merged they are the undivided dataset, bit for bit.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folders;

use std::path::{Path, PathBuf};

use folders::assert_same_dataset;
use worldstep_env::dataset::file_path;
use worldstep_synth::lerobot::{ImageChannel, merge_shards};
use worldstep_synth::{SynthOptions, UnitKind, write_dataset};

fn options(clips: usize, out: PathBuf) -> SynthOptions {
    let channels = vec![ImageChannel::Rgb, ImageChannel::Depth, ImageChannel::Instance];
    SynthOptions { frame_size: 8, seed: 3, channels, ..SynthOptions::new("CatchBehindScreen-v0", clips, out) }
}

fn record(options: &SynthOptions) -> String {
    write_dataset(options, &mut |_| {}).unwrap().datasets[0].hash.clone()
}

/// Shards `0..of` of a job in `folder`.
fn shards(folder: &Path, clips: usize, of: usize, unit: UnitKind) -> Vec<PathBuf> {
    let shard = |index| {
        let out = folder.join(format!("shard-{index}"));
        record(&SynthOptions { shard: Some((index, of)), unit, ..options(clips, out.clone()) });
        out
    };
    (0..of).map(shard).collect()
}

#[test]
fn a_merge_that_fails_half_way_leaves_nothing_that_looks_whole() {
    let folder = tempfile::tempdir().unwrap();
    let parts = shards(folder.path(), 65, 2, UnitKind::Single);
    let cut = parts[1].join(file_path("data", 0));
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let merged = folder.path().join("merged");
    merge_shards(&parts, &merged).unwrap_err();
    let left = std::fs::read_dir(&merged).map_or(0, Iterator::count);
    assert_eq!(left, 0, "the first shard's file was merged before");
    std::fs::write(&cut, &bytes).unwrap();
    assert_eq!(merge_shards(&parts, &merged).unwrap().episodes, 65);
}

#[test]
fn three_uneven_shards_make_the_undivided_dataset() {
    let folder = tempfile::tempdir().unwrap();
    // Four files, the last of 8 clips: shards of 1, 1 and 2 files.
    let mut parts = shards(folder.path(), 200, 3, UnitKind::Branches(2));
    let whole = folder.path().join("whole");
    let hash = record(&SynthOptions { unit: UnitKind::Branches(2), ..options(200, whole.clone()) });
    let merged = folder.path().join("merged");
    parts.rotate_left(1);
    let totals = merge_shards(&parts, &merged).unwrap();
    assert_eq!((totals.episodes, totals.units, totals.hash()), (200, 100, hash));
    assert_same_dataset(&whole, &merged);
}

#[test]
fn more_shards_than_files_leave_some_empty_and_merge_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let parts = shards(folder.path(), 3, 2, UnitKind::Single);
    let whole = folder.path().join("whole");
    record(&options(3, whole.clone()));
    let merged = folder.path().join("merged");
    merge_shards(&parts, &merged).unwrap();
    assert_same_dataset(&whole, &merged);
}

#[test]
fn shards_that_do_not_belong_together_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = shards(folder.path(), 65, 2, UnitKind::Single);
    let refused =
        |parts: &[PathBuf]| merge_shards(parts, &folder.path().join("merged")).unwrap_err().to_string();
    assert!(refused(&parts[..1]).contains("missing: 1/2"), "{}", refused(&parts[..1]));
    assert!(refused(&[parts[0].clone(), parts[0].clone()]).contains("it is shard 0/2 like"));
    let other = folder.path().join("other");
    record(&SynthOptions { shard: Some((1, 2)), seed: 4, ..options(65, other.clone()) });
    let error = refused(&[parts[0].clone(), other.clone()]);
    assert!(error.contains("another job") && error.contains("seed is 4"), "{error}");
    let whole = folder.path().join("whole");
    record(&options(2, whole.clone()));
    assert!(refused(std::slice::from_ref(&whole)).contains("not a shard"));
    // One that was stopped early.
    let short = SynthOptions { shard: Some((0, 2)), ..options(65, folder.path().join("short")) };
    let flag = short.stop.clone();
    let stop = &mut |_: &_| flag.store(true, std::sync::atomic::Ordering::Relaxed);
    write_dataset(&short, stop).unwrap();
    std::fs::create_dir_all(short.out.join("meta")).unwrap();
    parts[0] = short.out;
    let error = refused(&parts);
    assert!(error.contains("short"), "{error}");
    assert!(!folder.path().join("merged").exists(), "nothing is left behind");
}
