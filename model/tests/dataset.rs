//! What is read from disk is what was written, row for row; what cannot be read is named.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
mod toy;

use std::path::Path;

use worldstep_model::config::FrameSize;
use worldstep_model::data::{Clips, DataError, PIXEL_MOVING};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

/// The message of the error that loading must give: one line.
fn refusal(dir: &Path) -> String {
    let message = Clips::load(dir, None).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn edit_info(dir: &Path, edit: impl Fn(&mut serde_json::Value)) {
    let path = dir.join("meta/info.json");
    let mut info = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    edit(&mut info);
    std::fs::write(path, info.to_string()).unwrap();
}

#[test]
fn what_was_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let written = toy::clips(5, 12, 1);
    disk::write(&written, dir.path());
    let read = Clips::load(dir.path(), Some("Toy-v0")).unwrap();
    assert_eq!(read.frames, written.frames);
    assert_eq!(read.pixel_class, written.pixel_class);
    assert_eq!(read.actions, written.actions);
    assert_eq!(read.rewards, written.rewards);
    assert_eq!(read.terminated, written.terminated);
    assert_eq!(read.objects, written.objects);
    let shape =
        |clips: &Clips| clips.ranges.iter().map(|r| (r.start, r.len, r.split, r.seed)).collect::<Vec<_>>();
    assert_eq!(shape(&read), shape(&written));
}

/// A clip of a family need not have all objects that the family can have; such a slot holds id 0.
#[test]
fn an_object_that_a_clip_lacks_is_known_to_be_lacking() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = toy::clips(2, 6, 4);
    for row in 0..6 {
        written.object_known[row * 2] = false;
        written.objects[row * 12..row * 12 + 6].fill(0.0);
    }
    disk::write(&written, dir.path());
    let read = Clips::load(dir.path(), None).unwrap();
    assert_eq!(read.object_known, written.object_known);
    assert_eq!(read.objects, written.objects);
}

/// The timing rule: the reward of row `t` is what the action of row `t` caused, here known from the frame that follows.
#[test]
fn rewards_belong_to_the_action_of_their_row() {
    let dir = tempfile::tempdir().unwrap();
    let mut written = toy::clips(3, 20, 2);
    let moving = |clips: &Clips, row: usize| {
        clips.classes(row).iter().filter(|class| **class & PIXEL_MOVING != 0).count() as f32 / 100.0
    };
    for row in 0..written.rows() - 1 {
        written.rewards[row] = moving(&written, row + 1);
    }
    disk::write(&written, dir.path());
    let read = Clips::load(dir.path(), None).unwrap();
    for range in &read.ranges {
        for row in range.start..range.start + range.len - 1 {
            assert_eq!(read.rewards[row], moving(&read, row + 1), "row {row}");
        }
    }
    assert!(read.rewards.windows(2).any(|pair| pair[0] != pair[1]), "a constant reward would show nothing");
    assert_eq!(read.frame(4).len(), FRAME_BYTES);
}

#[test]
fn a_missing_folder_is_named() {
    let message = refusal(Path::new("/nowhere/clips"));
    assert!(message.contains("/nowhere/clips") && message.contains("worldstep synth"), "{message}");
}

#[test]
fn other_versions_are_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, 4, 3), dir.path());
    edit_info(dir.path(), |info| info["worldstep"]["format"] = 99.into());
    let message = refusal(dir.path());
    assert!(message.contains("99") && message.contains("reads 2"), "{message}");
    edit_info(dir.path(), |info| info["codebase_version"] = "v2.1".into());
    let message = refusal(dir.path());
    assert!(message.contains("v2.1") && message.contains("v3.0"), "{message}");
}

#[test]
fn a_dataset_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, 4, 3), dir.path());
    edit_info(dir.path(), |info| info["worldstep"] = serde_json::Value::Null);
    assert!(matches!(Clips::load(dir.path(), None).unwrap_err(), DataError::Version { .. }));
    std::fs::write(dir.path().join("meta/info.json"), "{").unwrap();
    assert!(matches!(Clips::load(dir.path(), None).unwrap_err(), DataError::Info { .. }));
}

#[test]
fn another_frame_size_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, 4, 3), dir.path());
    edit_info(dir.path(), |info| info["worldstep"]["frame_size"] = 128.into());
    let message = refusal(dir.path());
    assert!(message.contains("128 × 128") && message.contains("64 × 64"), "{message}");
}

#[test]
fn a_truncated_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, 4, 3), dir.path());
    let path = dir.path().join("data/chunk-000/file-000.parquet");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = refusal(dir.path());
    assert!(message.contains("file-000.parquet") && message.contains("damaged"), "{message}");
}

#[test]
fn an_unknown_task_lists_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    disk::write(&toy::clips(2, 4, 3), dir.path());
    let message = Clips::load(dir.path(), Some("Chess-v0")).unwrap_err().to_string();
    assert!(message.contains("Chess-v0") && message.contains("Toy-v0"), "{message}");
}
