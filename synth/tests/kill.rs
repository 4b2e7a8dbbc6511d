//! A run that is killed at any moment loses what was not finished, and nothing else.
#![allow(clippy::unwrap_used)]

mod folders;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use folders::{assert_same_dataset, files};
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{SynthOptions, write_dataset};

const FOLDER: &str = "WORLDSTEP_TEST_FOLDER";

fn options(out: &Path) -> SynthOptions {
    let channels = vec![ImageChannel::Rgb, ImageChannel::Instance];
    SynthOptions {
        frame_size: 8,
        channels,
        resume: true,
        ..SynthOptions::new("CatchBehindScreen-v0", 130, out)
    }
}

/// Killed again and again, each time a little later, in all phases: start, first file, its `meta`, second file, …
#[test]
fn killed_at_many_moments_it_ends_with_the_undisturbed_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    write_dataset(&options(&whole), &mut |_| {}).unwrap();
    let (mut kills, mut unfinished) = (0, 0);
    for wait_ms in (0..).map(|i: u64| 100 + 173 * i) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "records_until_killed"])
            .env(FOLDER, &parts)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        let left = if parts.exists() { files(&parts) } else { Default::default() };
        unfinished += usize::from(left.keys().any(|name| name.ends_with(".part")));
    }
    assert!(kills >= 4 && unfinished >= 1, "{kills} kills, {unfinished} amid a file");
    assert_same_dataset(&whole, &parts);
}

#[test]
#[ignore = "run by killed_at_many_moments_it_ends_with_the_undisturbed_dataset"]
fn records_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    write_dataset(&options(Path::new(&folder)), &mut |_| {}).unwrap();
}
