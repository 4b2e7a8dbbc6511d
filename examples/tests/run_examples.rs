//! Every example runs to its end and says what it did.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use worldstep_env::registry::TASKS;

/// Runs an example that `cargo test` has built, from the repository's root; returns its standard output.
fn run(name: &str) -> String {
    run_with(name, &[])
}

fn run_with(name: &str, arguments: &[&str]) -> String {
    // target/debug/deps/run_examples-… → target/debug/examples/NAME
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output =
        Command::new(&example).args(arguments).current_dir(root).output().expect("the example is built");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn step_truth_ends_episodes() {
    let said = run("step_truth");
    let episodes: u32 = said.split_whitespace().next().unwrap().parse().unwrap();
    assert!(episodes >= 64, "200 steps end at least one episode in each of 64 lanes, got: {said}");
}

#[test]
fn step_dream_steps_the_shipped_model() {
    assert!(run("step_dream").contains("960 steps"));
}

#[test]
fn render_frames_writes_three_pictures_a_task() {
    assert!(run("render_frames").contains(&format!("{} frames", 3 * TASKS.len())));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let picture = image::open(root.join("out/frames/PushCube-v0.png")).unwrap().to_rgb8();
    let first = *picture.get_pixel(0, 0);
    assert!(picture.pixels().any(|pixel| *pixel != first), "the picture shows more than one colour");
}

#[test]
fn a_task_of_ones_own_is_checked_and_done_and_the_guide_shows_it() {
    let said = run("own_task");
    assert!(said.starts_with("SlideToMark-v0: the expert succeeds in 100 % of episodes"), "{said}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("docs/write-a-task.md")).unwrap();
    for (language, file) in [
        ("rust", "examples/rust/own_task.rs"),
        ("python", "bridge/python/examples/own_robot.py"),
        ("xml", "bridge/python/examples/pointer.urdf"),
    ] {
        let code = fs::read_to_string(root.join(file)).unwrap();
        let fence = format!("```{language}\n");
        let parts: Vec<_> = guide.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!parts.is_empty(), "the guide shows nothing of {file}");
        for part in parts {
            // Parts that belong together, as they stand in the file.
            assert!(code.contains(part), "the guide shows what is not in {file}:\n{part}");
        }
    }
}

#[test]
fn the_pages_of_the_tasks_are_up_to_date() {
    run_with("task_pages", &["out/tasks"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = |folder: &str, name: &str| fs::read_to_string(root.join(folder).join(name)).unwrap();
    for name in TASKS.iter().map(|task| format!("{}.md", task.id)).chain(["README.md".to_owned()]) {
        assert!(
            page("docs/tasks", &name) == page("out/tasks", &name),
            "{name} is old; `make docs` writes it anew"
        );
    }
}

#[test]
fn annotations_differ_from_each_other() {
    assert!(run("annotations").contains("8 annotations of 4 clips"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sheet = image::open(root.join("out/annotations.png")).unwrap().to_rgb8();
    let picture = |column: u32| image::imageops::crop_imm(&sheet, column * 100, 0, 96, 96).to_image();
    for column in 1..8 {
        assert_ne!(picture(column), picture(column - 1), "columns {} and {column} are the same", column - 1);
    }
}

#[test]
fn gallery_draws_every_scenario() {
    assert!(run("gallery").contains("scenarios in out/gallery.png"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sheet = image::open(root.join("out/gallery.png")).unwrap().to_rgb8();
    let drawn = sheet.pixels().filter(|pixel| pixel.0 != [255; 3]).count();
    assert!(drawn * 4 > sheet.pixels().len() * 3, "{drawn} of {} pixels are drawn", sheet.pixels().len());
}
