//! Writes a page for each task into `docs/tasks`, or the folder that is named: its table, what random actions and its expert earn, and pictures.
//! Shows: the registry, an expert at work, and the renderer. `cargo run -p worldstep-examples --example task_pages`
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use image::RgbImage;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{AutoresetMode, Buffer, TruthSource as _, VectorEnv as _, make_truth, published_returns};
use worldstep_synth::{Channels, Frames, Moment, RenderConfig, Renderer, View};

const SIDE: u32 = 192;
/// Pictures of one episode: at its start and after each quarter of it.
const MOMENTS: usize = 4;
const SEED: u64 = 7;

fn main() -> Result<()> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the examples lie in the repository")?;
    let folder = root.join(std::env::args().nth(1).as_deref().unwrap_or("docs/tasks"));
    fs::create_dir_all(&folder)?;
    let sources = sources(&root.join("env/src/tasks"))?;
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: SIDE, height: SIDE })?;
    let mut index = INDEX.to_owned();
    for task in &TASKS {
        let table = table(&sources, task).with_context(|| format!("{} has no table", task.id))?;
        draw(&mut renderer, task)?.save(folder.join(format!("{}.png", task.id)))?;
        fs::write(folder.join(format!("{}.md", task.id)), page(task, &table))?;
        let earned = published_returns(task.id).context("every task's returns are measured")?.returns;
        writeln!(
            index,
            "| [`{0}`]({0}.md) | {1} | {2:.1} | {3:.1} | {4:.0} % |",
            task.id,
            task.summary,
            earned.random_return,
            earned.expert_return,
            100.0 * earned.expert_success,
        )?;
    }
    fs::write(folder.join("README.md"), index)?;
    poster(&folder)?.save(folder.with_extension("png"))?;
    println!("{} pages in {}", TASKS.len(), folder.display());
    Ok(())
}

const INDEX: &str = "\
# Tasks

Every task runs on Rapier, takes the same calls and has a scripted expert that proves that it can be done. Returns are
means of 100 episodes (`worldstep envs --measure 100`); success is what the task's page says it is.

| Task | What is to be done | Random | Expert | Expert succeeds |
|---|---|---|---|---|
";

/// Tasks on the poster, in rows.
const POSTER: [[&str; 6]; 2] = [
    ["HumanoidWalk-v0", "QuadrupedRough-v0", "Ant-v0", "Walker-v0", "Navigate-v0", "ShellGame-v0"],
    ["ArmStack-v0", "PegInHole-v0", "OpenDrawer-v0", "TurnKnob-v0", "Billiards-v0", "Pour-v0"],
];

/// The last picture of each of some tasks.
fn poster(folder: &Path) -> Result<RgbImage> {
    let mut poster = RgbImage::new(SIDE * POSTER[0].len() as u32, SIDE * POSTER.len() as u32);
    for (y, row) in POSTER.iter().enumerate() {
        for (x, id) in row.iter().enumerate() {
            let pictures = image::open(folder.join(format!("{id}.png")))?.to_rgb8();
            let last =
                image::imageops::crop_imm(&pictures, SIDE * (MOMENTS as u32 - 1), 0, SIDE, SIDE).to_image();
            let [x, y] = [x, y].map(|place| place as i64 * i64::from(SIDE));
            image::imageops::replace(&mut poster, &last, x, y);
        }
    }
    Ok(poster)
}

/// The texts of all files below `folder`.
fn sources(folder: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                texts.push(fs::read_to_string(path)?);
            }
        }
    }
    Ok(texts)
}

/// The documentation of the task's type: the doc comment in its file that has a start and an end.
fn table(sources: &[String], task: &TaskEntry) -> Option<String> {
    let text = sources
        .iter()
        .find(|text| text.contains(": TaskEntry =") && text.contains(&format!("{:?}", task.id)))?;
    let comments = text.split("\n\n").filter_map(|part| {
        let lines: Vec<_> = part.lines().skip_while(|line| !line.starts_with("///")).collect();
        let comment: Vec<_> = lines.iter().map_while(|line| line.strip_prefix("///")).collect();
        let comment: Vec<_> = comment.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        (!comment.is_empty()).then(|| comment.join("\n"))
    });
    let own = comments.into_iter().find(|comment| comment.contains("# Start and end"))?;
    // The arm's tasks share the first part of their table.
    let shared = sources.iter().find(|text| text.contains("/// The arm at a chore."));
    let arm = own.contains("[`Manipulation`]").then_some(shared).flatten();
    let arm = arm.and_then(|text| {
        let comment = text.split("/// The arm at a chore.").nth(1)?.lines().map_while(|line| {
            if line.is_empty() {
                Some("")
            } else {
                line.strip_prefix("///").map(|line| line.strip_prefix(' ').unwrap_or(line))
            }
        });
        Some(comment.collect::<Vec<_>>().join("\n"))
    });
    Some(match arm {
        None => own,
        Some(arm) => {
            let own = own.replace(
                "Action space and the first six values of the observation are those of [`Manipulation`].\n",
                &format!("{}\n", arm.trim().replace("| 6… | the task's own things | | |", "").trim()),
            );
            own.replace("\n\n| Index | Meaning | Range | Unit |\n|---|---|---|---|\n| 6", "\n| 6")
        }
    })
}

fn page(task: &TaskEntry, table: &str) -> String {
    let mut out = format!("# `{}`\n\n![Its expert at work]({}.png)\n\n", task.id, task.id);
    for line in table.lines() {
        // Links of rustdoc lead nowhere here.
        let line = line.replace("# ", "## ").replace("[`", "`").replace("`]", "`");
        let line = line.split("](super").next().map_or(line.clone(), |head| {
            line.find("](super")
                .and_then(|at| line[at..].find(')').map(|end| format!("{head}{}", &line[at + end + 1..])))
                .unwrap_or_else(|| line.clone())
        });
        out += &line;
        out.push('\n');
    }
    if let Some(published) = published_returns(task.id) {
        let earned = published.returns;
        out += &format!(
            "\n## Returns\n\nMeans of {} episodes.\n\n| Policy | Return | Success |\n|---|---|---|\n\
             | random actions | {:.2} | {:.0} % |\n| its expert | {:.2} | {:.0} % |\n",
            published.episodes,
            earned.random_return,
            100.0 * earned.random_success,
            earned.expert_return,
            100.0 * earned.expert_success,
        );
    }
    out += &format!(
        "\n{} steps a second, at most {} steps. `worldstep.make(\"{}\")`\n",
        task.fps, task.max_episode_steps, task.id
    );
    out
}

/// One row of pictures of an episode that the expert plays.
fn draw(renderer: &mut Renderer, task: &TaskEntry) -> Result<RgbImage> {
    let mut length = 0;
    play(task, |_, _| length += 1)?;
    let moments: Vec<usize> = (0..MOMENTS).map(|i| length * i / MOMENTS).collect();
    let mut row = RgbImage::new(SIDE * MOMENTS as u32, SIDE);
    let (mut step, mut column, mut failed) = (0, 0, None);
    play(task, |env, step_poses| {
        if moments.contains(&step) && column < MOMENTS as u32 {
            match shoot(renderer, env, step_poses) {
                Ok(picture) => image::imageops::replace(&mut row, &picture, i64::from(column * SIDE), 0),
                Err(error) => failed = Some(error),
            }
            column += 1;
        }
        step += 1;
    })?;
    failed.map_or(Ok(row), Err)
}

/// Plays one episode, and shows each state before its action.
fn play(
    task: &TaskEntry,
    mut see: impl FnMut(&worldstep_env::TruthVectorEnv, &[worldstep_env::Pose]),
) -> Result<()> {
    let mut env = make_truth(task.id, 1, AutoresetMode::Disabled)?;
    env.reset_all(Some(SEED))?;
    let mut poses = Vec::new();
    while !env.batch().done(0) {
        env.poses(0, &mut poses);
        see(&env, &poses);
        let mut action = Buffer::empty((task.action_space)().dtype());
        env.expert_action(0, &mut action);
        env.step_all(&action)?;
    }
    Ok(())
}

fn shoot(
    renderer: &mut Renderer,
    env: &worldstep_env::TruthVectorEnv,
    poses: &[worldstep_env::Pose],
) -> Result<RgbImage> {
    let mut cameras = Vec::new();
    env.scene(0).cameras_at(0.0, poses, &mut cameras);
    let mut frames = Frames::default();
    let scene = env.scene(0);
    let now = Moment { camera: cameras[0], poses, soft_vertices: &[] };
    renderer.render(&[View { now, ..View::new(scene, poses) }], Channels::Rgb, &mut frames)?;
    let pixels = (SIDE * SIDE * 3) as usize;
    RgbImage::from_raw(SIDE, SIDE, frames.rgb[..pixels].to_vec()).context("a picture has as many pixels")
}
