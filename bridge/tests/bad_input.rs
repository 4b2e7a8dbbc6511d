//! What a user gets wrong at the command line: one clear line, a non-zero status, nothing lost.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TASK: &str = "CatchBehindScreen-v0";

fn worldstep() -> Command {
    Command::new(env!("CARGO_BIN_EXE_worldstep"))
}

fn run(arguments: &[&str]) -> Output {
    worldstep().args(arguments).output().unwrap()
}

/// Asserts that the command failed with one line on stderr that contains all of `parts`.
fn assert_one_line(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "expected a failure, stderr: {said}");
    assert!(
        output.stdout.is_empty(),
        "nothing belongs on stdout, got {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("worldstep: ")).collect();
    assert_eq!(lines.len(), 1, "one line of error expected, stderr: {said}");
    assert!(!said.contains("panicked"), "stderr: {said}");
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} is not in {:?}", lines[0]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Three short clips in a folder of their own.
fn small_dataset() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("clips");
    let output = run(&["synth", "--scenario", TASK, "--clips", "3", "--out", text(&data)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (folder, data)
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn unknown_task_lists_the_known_ones() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    let output = run(&["synth", "--scenario", "Catch-v9", "--clips", "1", "--out", text(&out)]);
    assert_one_line(&output, &["Catch-v9", TASK, "CartPole-v0", "PushCube-v0"]);
}

#[test]
fn a_number_of_threads_that_no_machine_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    for workers in ["0", "100000000"] {
        let output =
            run(&["synth", "--scenario", "toss", "--clips", "1", "--out", text(&out), "--workers", workers]);
        assert_one_line(&output, &[workers, "1 to 256"]);
    }
    assert!(!out.exists());
}

#[test]
fn a_file_with_a_mistake_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    let wrong = folder.path().join("wrong.toml");
    std::fs::write(&wrong, "# thresholds\nstatic_distance = \"far\"\n").unwrap();
    let drop = ["synth", "--scenario", "drop", "--clips", "1", "--out", text(&out)];
    let output = run(&[&drop[..], &["--curation", text(&wrong)]].concat());
    assert_one_line(&output, &["wrong.toml", "line 2", "expected f64"]);
    assert_eq!(output.stderr.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(output.status.code(), Some(2), "it is wrong on every machine");
    let output = run(&["synth", "--scenario", text(&wrong), "--clips", "1", "--out", text(&out)]);
    assert_one_line(&output, &["wrong.toml", "line 2", "static_distance"]);
    assert!(!out.exists());
}

#[test]
fn a_file_is_no_folder_for_a_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("notes.txt");
    std::fs::write(&out, "mine").unwrap();
    let output = run(&["synth", "--scenario", "drop", "--clips", "1", "--out", text(&out)]);
    assert_one_line(&output, &["notes.txt", "is a file"]);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "mine");
}

#[test]
fn missing_checkpoint_names_the_file_and_what_to_do() {
    let output = run(&["eval", "--model", "/nonexistent/model", "--data", "/nonexistent/data"]);
    assert_one_line(&output, &["/nonexistent/model", "worldstep train"]);
}

#[test]
fn truncated_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = repository().join("models/nano").join(TASK);
    for file in std::fs::read_dir(&shipped).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let weights = folder.path().join("dynamics.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let output = run(&["eval", "--model", text(folder.path()), "--data", "/nonexistent/data"]);
    assert_one_line(&output, &["dynamics.safetensors", "damaged"]);
}

#[test]
fn dataset_of_another_version_is_refused() {
    let (_folder, data) = small_dataset();
    let info = data.join("meta/info.json");
    let mut parsed: serde_json::Value = serde_json::from_slice(&std::fs::read(&info).unwrap()).unwrap();
    parsed["worldstep"]["format"] = 99.into();
    std::fs::write(&info, parsed.to_string()).unwrap();
    let out = data.join("model");
    let output = run(&["train", "--data", text(&data), "--out", text(&out), "--minutes", "0.1"]);
    assert_one_line(&output, &["99", "format"]);
}

#[test]
fn no_vulkan_driver_says_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let output = worldstep()
        .args(["synth", "--scenario", TASK, "--clips", "1", "--out", text(&folder.path().join("clips"))])
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .output()
        .unwrap();
    assert_one_line(&output, &["Vulkan", "mesa-vulkan-drivers"]);
}

#[test]
fn port_in_use_names_the_address() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    assert_one_line(&run(&["serve", "--bind", &address]), &[&address, "in use"]);
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let (_folder, data) = small_dataset();
    let before = std::fs::read(data.join("meta/info.json")).unwrap();
    let output = run(&["synth", "--scenario", TASK, "--clips", "9", "--out", text(&data)]);
    assert_one_line(&output, &["--resume"]);
    assert_eq!(std::fs::read(data.join("meta/info.json")).unwrap(), before);
}

/// A real full disk: a tmpfs of 3 MB in a mount namespace of its own. What was finished before stays readable, and with
/// room again `--resume` ends with the dataset that an undisturbed run gives.
#[test]
fn full_disk_keeps_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        mount -t tmpfs -o size=3m tmpfs "$1"
        set +e
        "$2" synth --scenario CatchBehindScreen-v0 --clips 200 --seed 5 --out "$1/clips" 2>"$1.err"
        echo "status $?"
        mount -o remount,size=64m "$1"
        "$2" synth --scenario CatchBehindScreen-v0 --clips 70 --seed 5 --out "$1/clips" --resume --json 2>>"$1.err2"
    "#;
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "bash", "-c", script, "bash", text(&disk)])
        .arg(env!("CARGO_BIN_EXE_worldstep"))
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED full_disk_keeps_what_was_written: no unshare(1) here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("status") {
        eprintln!("SKIPPED full_disk_keeps_what_was_written: mount namespaces are not allowed here");
        return;
    }
    let error = std::fs::read_to_string(disk.with_extension("err")).unwrap();
    assert!(said.starts_with("status 1"), "{said}{error}");
    let line = error.lines().find(|line| line.starts_with("worldstep: ")).expect("a line of error");
    let names_both = line.contains("more clips need about") && line.contains("MB are free");
    assert!(names_both && line.contains("--resume"), "{line}");
    let resumed: serde_json::Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let undisturbed = folder.path().join("undisturbed");
    let output = run(&[
        "synth",
        "--scenario",
        TASK,
        "--clips",
        "70",
        "--seed",
        "5",
        "--out",
        text(&undisturbed),
        "--json",
    ]);
    let undisturbed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(resumed["content_hash"], undisturbed["content_hash"]);
}
