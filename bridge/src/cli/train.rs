use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use serde_json::json;
use worldstep_model::config::Preset;
use worldstep_model::device::ComputeDevice;
use worldstep_model::train::{Budget, Progress, Stage, TrainOptions, train};

use super::{TrainArgs, print_json, progress, stop_flag, train_data};

/// Share of the time that the tokenizer gets.
const TOKENIZER_SHARE: f64 = 0.3;
/// Seconds between lines where there is no terminal for a progress bar.
const LINE_EVERY_S: f64 = 15.0;

/// Trains a model.
pub fn run(args: &TrainArgs) -> Result<()> {
    if !(args.minutes.is_finite() && args.minutes > 0.0) {
        bail!("--minutes is {}, expected a number above 0", args.minutes);
    }
    let mut options = TrainOptions::new(PathBuf::new(), &args.out);
    args.data.apply(&mut options)?;
    options.preset = Preset::from_name(&args.preset)
        .with_context(|| format!("unknown preset {:?}; expected nano, s, m or l", args.preset))?;
    options.device = ComputeDevice::from_name(&args.device)?;
    options.budget = Budget::Minutes { minutes: args.minutes, tokenizer_share: TOKENIZER_SHARE };
    options.resume = args.resume;
    options.seed = args.seed;
    options.physics = args.physics;
    options.stop = stop_flag()?;
    let bar = progress::bar((args.minutes * 60.0) as u64, "s");
    let mut next_line_s = 0.0;
    let summary = train(&options, &mut |at| show(&bar, &mut next_line_s, at))?;
    bar.finish_and_clear();
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
            "training": record,
        }));
    }
    eprintln!(
        "{} parameters, {} tokenizer and {} dynamics steps in {train_seconds:.0} s: {}",
        summary.parameters,
        record.tokenizer_steps,
        record.dynamics_steps,
        args.out.display(),
    );
    train_data::forgetting(record).iter().for_each(|line| eprintln!("{line}"));
    Ok(())
}

fn show(bar: &ProgressBar, next_line_s: &mut f64, at: &Progress) {
    let stage = match at.stage {
        Stage::Tokenizer => "tokenizer",
        Stage::Dynamics => "dynamics",
    };
    let message = format!("{stage} step {} loss {:.4}", at.step, at.loss);
    if at.seconds >= *next_line_s {
        progress::line_if_hidden(
            bar,
            &format!("{:5.0} s  {:3.0}%  {message}", at.seconds, at.fraction * 100.0),
        );
        *next_line_s = at.seconds + LINE_EVERY_S;
    }
    bar.set_position(at.seconds as u64);
    bar.set_message(message);
}
