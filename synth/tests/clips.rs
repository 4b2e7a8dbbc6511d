//! Datasets: the same seed gives the same clips however they are recorded, and nothing finished is ever lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod folders;

use std::path::Path;
use std::sync::atomic::Ordering;

use folders::{assert_same_dataset, files};
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{SynthError, SynthOptions, SynthSummary, write_dataset};

const TASK: &str = "CatchBehindScreen-v0";

/// Small frames and few channels: what is tested here depends on neither.
fn options(clips: usize, out: &Path) -> SynthOptions {
    let channels = vec![ImageChannel::Rgb, ImageChannel::Instance];
    SynthOptions { frame_size: 16, seed: 40, channels, ..SynthOptions::new(TASK, clips, out) }
}

fn write(options: &SynthOptions) -> SynthSummary {
    write_dataset(options, &mut |_| {}).unwrap()
}

#[test]
fn workers_do_not_change_what_is_recorded_and_the_seed_does() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, workers, seed| {
        let options = SynthOptions { workers, seed, ..options(6, &folder.path().join(name)) };
        write(&options).datasets[0].hash.clone()
    };
    let hash = run("a", 1, 7);
    assert_eq!(hash, run("b", 5, 7));
    assert_ne!(hash, run("c", 5, 8));
    assert_same_dataset(&folder.path().join("a"), &folder.path().join("b"));
}

#[test]
fn a_stopped_run_is_valid_and_resumes_to_the_undisturbed_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let undisturbed = write(&options(70, &whole));
    let stopped = options(70, &parts);
    let flag = stopped.stop.clone();
    let stop_at_66 = &mut |progress: &worldstep_synth::SynthProgress| {
        if progress.clips_done == 66 {
            flag.store(true, Ordering::Relaxed);
        }
    };
    let summary = write_dataset(&stopped, stop_at_66).unwrap();
    assert!(summary.interrupted && (64..70).contains(&summary.clips()), "{summary:?}");
    assert!(parts.join("data/chunk-000/file-001.parquet").exists());
    // Stopped again at once, nothing is lost either.
    let again = SynthOptions { resume: true, ..stopped };
    assert_eq!(write(&again), summary);
    let resumed = write(&SynthOptions { resume: true, ..options(70, &parts) });
    assert_eq!(resumed.datasets[0].hash, undisturbed.datasets[0].hash);
    assert_same_dataset(&whole, &parts);
    // Nothing is left to do.
    assert_eq!(write(&SynthOptions { resume: true, ..options(70, &parts) }), resumed);
}

#[test]
fn a_full_disk_is_one_clear_line_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, out) = (folder.path().join("whole"), folder.path().join("out"));
    write(&options(64, &out));
    let before = files(&out);
    // The file that comes next is on a full disk.
    let part = out.join("data/chunk-000/file-001.parquet.part");
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let more = SynthOptions { resume: true, ..options(66, &out) };
    let error = write_dataset(&more, &mut |_| {}).unwrap_err();
    let line = error.to_string();
    assert!(matches!(error, SynthError::Write { .. }), "{line}");
    assert!(line.contains("No space left") && line.contains("--resume") && !line.contains('\n'), "{line}");
    assert!(line.contains("file-001.parquet"), "{line}");
    assert!(files(&out) == before, "finished files changed");
    write(&more);
    write(&options(66, &whole));
    assert_same_dataset(&whole, &out);
}

#[test]
fn what_the_disk_can_never_hold_is_refused_after_the_first_clip() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut clips_done = 0;
    let error = write_dataset(&options(1 << 50, &out), &mut |at| clips_done = at.clips_done).unwrap_err();
    assert!(matches!(error, SynthError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("MB are free"), "{error}");
    assert!(clips_done <= 1, "{clips_done} clips were recorded first");
    assert!(files(&out).is_empty(), "an unfinished file is left");
}

#[test]
fn a_folder_with_something_in_it_and_another_dataset_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    write(&options(2, &out));
    let error = write_dataset(&options(4, &out), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, SynthError::NotEmpty { .. }) && error.to_string().contains("--resume"),
        "{error}"
    );
    let other_seed = SynthOptions { seed: 41, resume: true, ..options(4, &out) };
    let error = write_dataset(&other_seed, &mut |_| {}).unwrap_err();
    assert!(matches!(error, SynthError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains("seed is 40, asked for 41"), "{error}");
    let more_channels =
        SynthOptions { channels: ImageChannel::ALL.to_vec(), resume: true, ..options(4, &out) };
    let error = write_dataset(&more_channels, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("channels") && error.contains("coordinates"), "{error}");
    let unknown = SynthOptions::new("toss-nothing", 1, folder.path().join("new"));
    let error = write_dataset(&unknown, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("toss-nothing") && error.contains(TASK), "{error}");
}

#[test]
fn several_scenarios_make_a_dataset_each() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("several");
    let several = "cart-pole, CatchBehindScreen-v0,toss".to_owned();
    let summary = write(&SynthOptions { scenario: several, ..options(4, &out) });
    assert_eq!(summary.datasets.iter().map(|dataset| dataset.clips).collect::<Vec<_>>(), [2, 1, 1]);
    for (dataset, name) in summary.datasets.iter().zip(["cart-pole", "catch-behind-screen", "toss"]) {
        assert_eq!(dataset.path, out.join(name));
        assert!(dataset.path.join("meta/info.json").exists(), "{dataset:?}");
    }
    let twice = SynthOptions::new("toss,toss", 4, folder.path().join("twice"));
    assert!(write_dataset(&twice, &mut |_| {}).unwrap_err().to_string().contains("twice"));
}
