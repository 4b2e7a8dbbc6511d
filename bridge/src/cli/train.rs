use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;
use worldstep_model::config::Preset;
use worldstep_model::device::ComputeDevice;
use worldstep_model::model::{Model, load_card};
use worldstep_model::precision::Precision;
use worldstep_model::train::{
    Budget, Feed, Optimizer, PhysicsOptions, Progress, Schedule, Stages, TrainOptions, TrainSummary, train,
};

use super::{Json, print_json, progress, stop_flag, train_data, train_objective};

/// Seconds between lines where there is no terminal for a progress bar.
const LINE_EVERY_S: f64 = 15.0;
/// Parts of a progress bar.
const BAR: u64 = 1000;

#[derive(Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    data: train_data::TrainDataArgs,
    #[command(flatten)]
    objective: train_objective::ObjectiveArgs,
    /// Folder of the run: the model, its checkpoints, curves.html, README.md.
    #[arg(long)]
    out: PathBuf,
    /// Size of the model: nano, s, m or l.
    #[arg(long, default_value = "nano")]
    preset: String,
    /// Networks to train: tokenizer, dynamics (on a finished tokenizer in --out, with --resume) or all.
    #[arg(long, default_value = "all")]
    stage: String,
    /// Where to train: `cpu` or `cuda:0`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Numbers that large products are computed in: f32, or bf16 on a GPU that has it; all else is f32.
    #[arg(long, default_value = "f32")]
    precision: String,
    /// Training time in all, earlier runs that are resumed included.
    #[arg(long, allow_negative_numbers = true, default_value_t = 10.0)]
    minutes: f64,
    /// Share of the minutes for the tokenizer, 0 to 1, where both networks are trained.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.3)]
    tokenizer_share: f64,
    /// Steps of each network instead of minutes, for instance `3000,1500`: the same weights on every run.
    #[arg(
        long,
        value_name = "TOKENIZER,DYNAMICS",
        allow_hyphen_values = true,
        value_parser = parse_steps,
        conflicts_with_all = ["minutes", "tokenizer_share"],
    )]
    steps: Option<(u64, u64)>,
    /// Seed of initial weights and batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Windows of frames in one step of the dynamics.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Where batches are put together, which changes nothing of what is learned: `host`, as a step begins; `ahead`, by a thread
    /// while the step before is computed; `device`, which has all codes in its memory; or `auto`, as suits the device.
    #[arg(long, default_value = "auto")]
    feed: String,
    /// How gradients become steps: `muon` for the matrices inside the blocks and AdamW for all else, the default, or `adamw`.
    /// A training that is resumed goes on as it began.
    #[arg(long)]
    optimizer: Option<String>,
    /// Share of a stage in which the learning rate rises.
    #[arg(long, allow_negative_numbers = true, default_value_t = Schedule::default().warmup)]
    warmup: f64,
    /// Share of a stage, at its end, in which the learning rate falls.
    #[arg(long, allow_negative_numbers = true, default_value_t = Schedule::default().decay)]
    decay: f64,
    /// How much of the moving average of the weights, which is what is kept, stays at each step; 0 keeps the weights.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.999)]
    ema_decay: f64,
    /// Validations in the course of each network's training; fewer in a short one.
    #[arg(long, default_value_t = 10)]
    validations: u64,
    /// Steps between two rows of curves.jsonl.
    #[arg(long, default_value_t = 10)]
    log_every: u64,
    /// Weights of the losses that know physics: `off`, or what is other than by default.
    #[arg(long, value_name = "NAME=WEIGHT,…", default_value_t)]
    physics: PhysicsOptions,
    /// Goes on from the last checkpoint in the folder.
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    json: Json,
}

fn parse_steps(text: &str) -> Result<(u64, u64), String> {
    let wrong =
        || format!("{text:?} is no pair of steps, expected TOKENIZER,DYNAMICS, for instance 3000,1500");
    let (tokenizer, dynamics) = text.split_once(',').ok_or_else(wrong)?;
    Ok((tokenizer.trim().parse().map_err(|_| wrong())?, dynamics.trim().parse().map_err(|_| wrong())?))
}

/// Trains a model.
pub fn run(args: &TrainArgs) -> Result<()> {
    let mut options = options(args)?;
    options.stop = stop_flag()?;
    let mut display = Display { bar: progress::share_bar(BAR), next_line_s: 0.0 };
    let summary = train(&options, &mut |at| display.show(at))?;
    display.bar.finish_and_clear();
    report(args, &summary)
}

fn options(args: &TrainArgs) -> Result<TrainOptions> {
    let mut options = TrainOptions::new(PathBuf::new(), &args.out);
    args.data.apply(&mut options)?;
    args.objective.apply(&mut options)?;
    options.preset = Preset::from_name(&args.preset)
        .with_context(|| format!("unknown preset {:?}; expected nano, s, m or l", args.preset))?;
    options.stages = Stages::from_name(&args.stage)
        .with_context(|| format!("unknown stage {:?}; expected tokenizer, dynamics or all", args.stage))?;
    options.device = ComputeDevice::from_name(&args.device)?;
    options.precision = Precision::from_name(&args.precision)
        .with_context(|| format!("unknown precision {:?}; expected f32 or bf16", args.precision))?;
    options.feed = Feed::from_name(&args.feed)
        .with_context(|| format!("unknown feed {:?}; expected auto, host, ahead or device", args.feed))?;
    options.optimizer = optimizer(args)?;
    options.budget = match args.steps {
        Some((tokenizer, dynamics)) => Budget::Steps { tokenizer, dynamics },
        None => Budget::Minutes { minutes: args.minutes, tokenizer_share: args.tokenizer_share },
    };
    options.schedule = Schedule { warmup: args.warmup, decay: args.decay, ..Schedule::default() };
    options.resume = args.resume;
    options.seed = args.seed;
    options.physics = args.physics;
    options.batch = args.batch;
    options.ema_decay = args.ema_decay;
    options.validations = args.validations;
    options.log_every = args.log_every;
    Ok(options)
}

/// The one that was asked for, else that of the training that is to be resumed.
fn optimizer(args: &TrainArgs) -> Result<Optimizer> {
    match &args.optimizer {
        Some(name) => Optimizer::from_name(name)
            .with_context(|| format!("unknown optimizer {name:?}; expected adamw or muon")),
        None if args.resume && Model::is_in(&args.out) => Ok(load_card(&args.out)?.training.optimizer),
        None => Ok(Optimizer::default()),
    }
}

fn report(args: &TrainArgs, summary: &TrainSummary) -> Result<()> {
    let record = &summary.record;
    let train_seconds = record.tokenizer_seconds + record.dynamics_seconds;
    if summary.stopped {
        eprintln!("stopped after {train_seconds:.0} s with a checkpoint; --resume goes on from it");
    }
    if args.json.json {
        return print_json(&json!({
            "out": args.out,
            "parameters": summary.parameters,
            "train_seconds": train_seconds,
            "stopped": summary.stopped,
            "notices": summary.notices,
            "training": record,
        }));
    }
    eprintln!(
        "{} parameters, {} tokenizer and {} dynamics steps in {train_seconds:.0} s: {}, curves in {}",
        summary.parameters,
        record.tokenizer_steps,
        record.dynamics_steps,
        args.out.display(),
        args.out.join("curves.html").display(),
    );
    train_data::forgetting(record).iter().for_each(|line| eprintln!("{line}"));
    Ok(())
}

/// Progress as a bar, or as lines where there is no terminal.
struct Display {
    bar: ProgressBar,
    next_line_s: f64,
}

impl Display {
    fn show(&mut self, at: &Progress) {
        if let Some(notice) = &at.notice {
            self.bar.suspend(|| eprintln!("warning: {notice}"));
        }
        let validation = at.validation.map_or(String::new(), |loss| format!(" val {loss:.4}"));
        let message = format!(
            "{} step {} loss {:.4}{validation} · {:.0} frames/s · {:.0} s left of the {0}",
            at.stage.name(),
            at.step,
            at.loss,
            at.frames_per_s,
            at.stage_left_s,
        );
        if at.seconds >= self.next_line_s {
            let share = at.fraction * 100.0;
            progress::line_if_hidden(&self.bar, &format!("{:5.0} s  {share:3.0}%  {message}", at.seconds));
            self.next_line_s = at.seconds + LINE_EVERY_S;
        }
        self.bar.set_position((at.fraction * BAR as f64) as u64);
        self.bar.set_message(message);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(flags: &[&str]) -> Result<TrainOptions> {
        let line = ["worldstep", "train", "--data", "d", "--out", "o"].iter().chain(flags);
        let Command::Train(args) = Cli::try_parse_from(line)?.command else { panic!("no train") };
        options(&args)
    }

    #[test]
    fn without_flags_the_options_are_those_of_the_library() {
        let mut expected = TrainOptions::new("d", "o");
        expected.budget = Budget::Minutes { minutes: 10.0, tokenizer_share: 0.3 };
        let found = parsed(&[]).unwrap();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    }

    #[test]
    fn steps_take_the_place_of_minutes() {
        let options = parsed(&["--steps", "30,90", "--stage", "tokenizer"]).unwrap();
        assert_eq!(options.budget, Budget::Steps { tokenizer: 30, dynamics: 90 });
        assert_eq!(options.stages, Stages::Only(worldstep_model::train::Stage::Tokenizer));
        for wrong in ["30", "a,b", "-1,2"] {
            let message = parsed(&["--steps", wrong]).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
        assert!(parsed(&["--steps", "30,90", "--minutes", "2"]).is_err());
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_not() {
        let wrong =
            [("--stage", "dynamics"), ("--precision", "bf16"), ("--preset", "nano"), ("--feed", "ahead")];
        for (flag, expected) in wrong {
            let message = parsed(&[flag, "nonsense"]).unwrap_err().to_string();
            assert!(message.contains("nonsense") && message.contains(expected), "{message}");
        }
    }
}
