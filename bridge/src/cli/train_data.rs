use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use worldstep_model::data::MixWeight;
use worldstep_model::model::{Losses, TaskLosses, TrainingRecord};
use worldstep_model::train::TrainOptions;

/// What to train on.
#[derive(Args)]
pub struct TrainDataArgs {
    /// Dataset written by `worldstep synth`, or a folder of them; may be given several times. Several tasks make one
    /// model of them all.
    #[arg(long, required = true)]
    data: Vec<PathBuf>,
    /// The only task to learn; all that there are clips of by default.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// How often clips of a task (by id) or of a dataset (by folder) are drawn, relative to the other tasks, which
    /// weigh 1; may be given several times. With 0 they are only measured on.
    #[arg(long, value_name = "NAME=WEIGHT")]
    mix: Vec<MixWeight>,
    /// How to read a LeRobotDataset v3.0 that Worldstep did not write: camera, crop, action and rate; worldstep.toml in
    /// the dataset's folder by default.
    #[arg(long, value_name = "FILE")]
    lerobot_config: Option<PathBuf>,
    /// Folder of a model to begin with, whose sizes are kept. Tasks that are new to it are added; what it forgets of the
    /// others is measured on their validation clips, if such are among the data.
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Learning rate relative to the usual one; 1, or with --from 0.3.
    #[arg(long)]
    rate: Option<f64>,
}

/// Relative learning rate of weights that have learned before.
const FINE_TUNING_RATE: f64 = 0.3;

impl TrainDataArgs {
    /// Writes it into `options`.
    ///
    /// # Errors
    /// If the rate is no positive number.
    pub fn apply(&self, options: &mut TrainOptions) -> Result<()> {
        options.rate = self.rate.unwrap_or(if self.from.is_some() { FINE_TUNING_RATE } else { 1.0 });
        if !(options.rate.is_finite() && options.rate > 0.0) {
            bail!("--rate is {}, expected a number above 0", options.rate);
        }
        options.lerobot.clone_from(&self.lerobot_config);
        options.from.clone_from(&self.from);
        options.data.clone_from(&self.data);
        options.task.clone_from(&self.task);
        options.mix.clone_from(&self.mix);
        Ok(())
    }
}

/// What fine-tuning cost and brought, in a line for each task; nothing after other trainings.
pub fn forgetting(record: &TrainingRecord) -> Vec<String> {
    let line = |row: &TaskLosses| {
        let after = |pick: fn(&Losses) -> f64| match &row.after {
            Some(after) => format!("{:.4} → {:.4}", pick(&row.before), pick(after)),
            None => format!("{:.4}", pick(&row.before)),
        };
        let kind = if row.known { "known" } else { "new" };
        let (tokenizer, dynamics) = (after(|losses| losses.tokenizer), after(|losses| losses.dynamics));
        format!("{} ({kind}): validation loss of tokenizer {tokenizer}, dynamics {dynamics}", row.task)
    };
    let mut lines: Vec<_> = record.forgetting.iter().map(line).collect();
    if !record.from.is_empty() && !record.forgetting.iter().any(|row| row.known) {
        let how = "--data OLD --mix TASK=0 measures a task without learning from it";
        lines.push(format!("what was forgotten is not measured: no validation clips of a known task; {how}"));
    }
    lines
}
