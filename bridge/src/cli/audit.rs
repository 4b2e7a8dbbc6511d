use anyhow::{Context as _, Result};
use rand::SeedableRng as _;
use serde::Serialize;
use worldstep_bridge::engines::{audited, dream_with, shipped_models};
use worldstep_env::{Rng, VectorEnv as _};
use worldstep_model::device::ComputeDevice;
use worldstep_model::neural_env::{AuditReport, NeuralOptions};

use super::progress::bar;
use super::{AuditArgs, print_json, print_text};

/// What `worldstep audit --json` prints.
#[derive(Serialize)]
struct Audited<'a> {
    task: &'a str,
    envs: usize,
    steps: u32,
    temperature: f32,
    seed: u64,
    report: AuditReport,
}

/// Steps a dream under random actions with truth beside a sample of its environments.
pub fn run(args: &AuditArgs) -> Result<()> {
    let models = args.model.clone().or_else(shipped_models);
    let models = models.context("no weights found in models/nano; name a model's folder with --model")?;
    let (envs, sample) = (usize::from(args.envs), usize::from(args.sample.min(args.envs)));
    let options = NeuralOptions { temperature: args.temperature, ..NeuralOptions::new(envs) };
    let mut dream = audited(dream_with(&models, &args.task, ComputeDevice::Cpu, options)?, sample)?;
    let space = dream.spec().action_space.clone();
    let mut rng = Rng::seed_from_u64(args.seed);
    dream.reset_all(Some(args.seed))?;
    let progress = bar(u64::from(args.steps), "steps");
    for _ in 0..args.steps {
        let mut actions = space.buffer(0);
        (0..envs).for_each(|_| space.sample(&mut rng, &mut actions));
        dream.step_all(&actions)?;
        progress.inc(1);
    }
    progress.finish_and_clear();
    let report = dream.audit_report().context("the dream was not audited")?;
    if args.json.json {
        let (task, steps, temperature, seed) = (&args.task, args.steps, args.temperature, args.seed);
        return print_json(&Audited { task, envs, steps, temperature, seed, report });
    }
    if let Some(failure) = &report.failure {
        eprintln!("the audit stopped early: {failure}");
    }
    print_text(&report.table())
}
