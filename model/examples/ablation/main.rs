//! Trains one small model with each trick of the dynamics' objective switched off in turn, from the same seeds with the
//! same budget, and writes one table: what each of them buys.
//!
//! `ablation --data DIR --out DIR --steps 3000,6000 --seeds 3`. Run again, it goes on where it was interrupted. With a budget
//! of steps, the variants of one seed begin with one tokenizer and the same weights of the dynamics.
#![allow(clippy::print_stdout)]

mod table;
mod variants;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, bail};
use clap::Parser;
use serde_json::json;
use worldstep_model::data::Clips;
use worldstep_model::device::ComputeDevice;
use worldstep_model::eval::{EvalOptions, evaluate};
use worldstep_model::model::Model;
use worldstep_model::train::{
    Budget, ObjectiveOptions, Optimizer, Progress, Stage, Stages, TrainOptions, train_on,
};

use table::Cell;
use variants::{Settings, VARIANTS, Variant};

/// Seconds between two lines of progress.
const LINE_EVERY_S: u64 = 30;

#[derive(Parser)]
struct Arguments {
    /// Dataset of one task, written by `worldstep synth`.
    #[arg(long)]
    data: PathBuf,
    /// Folder of the models, of table.json and of table.md.
    #[arg(long)]
    out: PathBuf,
    /// Steps of each variant's tokenizer and of its dynamics.
    #[arg(long, value_name = "TOKENIZER,DYNAMICS", value_parser = parse_steps, default_value = "3000,6000")]
    steps: (u64, u64),
    /// Minutes of each variant, 30% of them for the tokenizer, instead of steps: what is costly then takes fewer.
    #[arg(long)]
    minutes_per_variant: Option<f64>,
    /// Seeds 0, 1, … of weights and batches.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Only these variants.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// JSON file with the objective that all variants start from, instead of the defaults.
    #[arg(long)]
    objective: Option<PathBuf>,
    /// Windows in one dynamics step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Validation clips evaluated at most.
    #[arg(long, default_value_t = 128)]
    clips: usize,
    /// What all variants but `adamw`, and the tokenizers, are learned with: muon or adamw.
    #[arg(long, default_value = "muon", value_parser = parse_optimizer)]
    optimizer: Optimizer,
    /// Where to compute.
    #[arg(long, default_value = "cpu")]
    device: String,
}

fn parse_steps(text: &str) -> Result<(u64, u64), String> {
    let numbers = text.split_once(',').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
    match numbers {
        Some((Ok(tokenizer), Ok(dynamics))) => Ok((tokenizer, dynamics)),
        _ => Err(format!("{text:?} is no pair of steps, for instance 3000,6000")),
    }
}

fn parse_optimizer(name: &str) -> Result<Optimizer, String> {
    Optimizer::from_name(name).ok_or_else(|| format!("no optimizer {name:?}; expected muon or adamw"))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let unknown = arguments.only.iter().find(|name| VARIANTS.iter().all(|variant| variant.name != **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
        bail!("no variant {name:?}; there are {}", names.join(", "));
    }
    let mut base = Settings { optimizer: arguments.optimizer, ..Settings::default() };
    if let Some(path) = &arguments.objective {
        base.objective = ObjectiveOptions::load(path)?;
    }
    let clips = Clips::load(&arguments.data, None)?;
    let mut cells = Vec::new();
    for seed in 0..arguments.seeds {
        for variant in &VARIANTS {
            if arguments.only.is_empty() || arguments.only.iter().any(|name| name == variant.name) {
                cells.push(cell(&arguments, &clips, seed, (variant, &base))?);
                write_table(&arguments, &cells)?;
            }
        }
    }
    println!("{}", table::markdown(&cells));
    Ok(())
}

/// Trains and evaluates one variant, unless that was done before.
fn cell(
    arguments: &Arguments,
    clips: &Clips,
    seed: u64,
    (variant, base): (&Variant, &Settings),
) -> anyhow::Result<Cell> {
    let out = arguments.out.join(format!("{}-{seed}", variant.name));
    let settings = variant.settings(base);
    let mut options = options(arguments, (&out, seed), &settings)?;
    if arguments.minutes_per_variant.is_none() {
        // What tells nothing of the dynamics is learned once.
        let kind = if settings.objective.refiner.is_some() { "tokenizer-refiner" } else { "tokenizer" };
        let shared = arguments.out.join(format!("{kind}-{seed}"));
        let tokenizer = TrainOptions {
            out: shared.clone(),
            stages: Stages::Only(Stage::Tokenizer),
            objective: ObjectiveOptions { refiner: settings.objective.refiner.clone(), ..Default::default() },
            physics: Settings::default().physics,
            optimizer: arguments.optimizer,
            ..options.clone()
        };
        learn(&tokenizer, clips, &format!("{kind} {seed}"))?;
        (options.from, options.stages) = (Some(shared), Stages::Only(Stage::Dynamics));
    }
    learn(&options, clips, &format!("{} {seed}", variant.name))?;
    let model = Model::load(&out, &options.device.burn())?;
    let path = out.join("cell.json");
    if let Some(cell) = Cell::load(&path).filter(|cell| cell.is_of(&model, arguments.clips)) {
        return Ok(cell);
    }
    let limits = EvalOptions { clips_max: arguments.clips, rollouts: 0, ..EvalOptions::default() };
    let report = evaluate(&model, clips, &limits)?;
    let training = model.card.training.clone();
    let cell = Cell {
        variant: variant.name.to_owned(),
        seed,
        metrics: table::metrics(&report, &training),
        settings,
        parameters: model.parameters(),
        clips_max: arguments.clips,
        training,
    };
    std::fs::write(&path, serde_json::to_string_pretty(&cell)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(cell)
}

fn options(
    arguments: &Arguments,
    (out, seed): (&Path, u64),
    settings: &Settings,
) -> anyhow::Result<TrainOptions> {
    let mut options = TrainOptions::new(&arguments.data, out);
    options.device = ComputeDevice::from_name(&arguments.device)?;
    options.budget = match arguments.minutes_per_variant {
        Some(minutes) => Budget::Minutes { minutes, tokenizer_share: 0.3 },
        None => Budget::Steps { tokenizer: arguments.steps.0, dynamics: arguments.steps.1 },
    };
    options.objective = settings.objective.clone();
    options.physics = settings.physics;
    options.optimizer = settings.optimizer;
    options.batch = arguments.batch;
    options.seed = seed;
    // Begun or finished before, it is gone on with; otherwise it begins.
    options.resume = true;
    Ok(options)
}

fn learn(options: &TrainOptions, clips: &Clips, what: &str) -> anyhow::Result<()> {
    let (start, mut lines) = (Instant::now(), 0);
    train_on(clips, options, &mut |at: &Progress| {
        if start.elapsed().as_secs() >= lines * LINE_EVERY_S {
            lines += 1;
            eprintln!("{what}: {:3.0}%, step {}, loss {:.4}", at.stage_fraction * 100.0, at.step, at.loss);
        }
    })?;
    Ok(())
}

/// Writes what is known so far, as JSON and as Markdown.
fn write_table(arguments: &Arguments, cells: &[Cell]) -> anyhow::Result<()> {
    let write = |name: &str, text: String| {
        let path = arguments.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    let json = json!({
        "data": arguments.data,
        "steps": arguments.steps,
        "minutes_per_variant": arguments.minutes_per_variant,
        "batch": arguments.batch,
        "device": arguments.device,
        "cells": cells,
    });
    write("table.json", serde_json::to_string_pretty(&json)?)?;
    write("table.md", table::markdown(cells))
}
