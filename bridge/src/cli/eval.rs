use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use worldstep_model::data::Clips;
use worldstep_model::device::ComputeDevice;
use worldstep_model::eval::{EvalOptions, EvalReport, Rollout, evaluate};
use worldstep_model::model::Model;

use super::{EvalArgs, pictures, print_json, print_text};

/// Frames a second of the animated pictures: the tasks' own.
const PICTURE_FPS: u16 = 20;
const FRAME_SIDE: usize = 64;

/// Weighs a model against truth.
pub fn run(args: &EvalArgs) -> Result<()> {
    let device = ComputeDevice::from_name(&args.device)?.burn();
    let model = Model::load(&worldstep_bridge::engines::model_folder(&args.model, None)?, &device)?;
    let clips = Clips::load(&args.data, Some(&model.card.task))?;
    let report = evaluate(&model, &clips, &EvalOptions::default())?;
    if let Some(folder) = &args.pictures {
        draw(folder, &report.rollouts)?;
    }
    let value = as_json(&report)?;
    if let Some(path) = &args.out {
        std::fs::write(path, format!("{value:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json.json { print_json(&value) } else { print_text(&table(&report)) }
}

/// The report with `termination_f1` beside `reward_mae`, as the summary names it.
fn as_json(report: &EvalReport) -> Result<Value> {
    let mut value = serde_json::to_value(report)?;
    value["termination_f1"] = report.termination.f1.into();
    Ok(value)
}

fn draw(folder: &Path, rollouts: &[Rollout]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for rollout in rollouts {
        let path = folder.join(format!("seed-{}.png", rollout.seed));
        let difference = pictures::difference(&rollout.truth, &rollout.dream);
        let films = [&rollout.truth[..], &rollout.dream, &difference];
        pictures::write_side_by_side(&path, &films, FRAME_SIDE, PICTURE_FPS)?;
    }
    Ok(())
}

fn table(report: &EvalReport) -> String {
    let db = |value: Option<f64>| value.map_or_else(|| "     –".to_owned(), |value| format!("{value:6.2}"));
    let psnr = &report.psnr_db;
    let mut out = format!(
        "{} clips, {} frames of context; PSNR in dB\ntokenizer          frame {}  foreground {}\n",
        report.clips,
        report.context_frames,
        db(psnr.tokenizer.frame),
        db(psnr.tokenizer.foreground),
    );
    let rows = [("model", &psnr.model), ("copy last", &psnr.copy_last), ("shuffled", &psnr.shuffled_actions)];
    for (name, by_horizon) in rows {
        for (horizon, psnr) in by_horizon {
            let (frame, foreground) = (db(psnr.frame), db(psnr.foreground));
            let actuated = db(psnr.actuated);
            out += &format!(
                "{name:10} {horizon:2} ahead  frame {frame}  foreground {foreground}  actuated {actuated}\n"
            );
        }
    }
    let termination = &report.termination;
    out + &format!(
        "reward MAE {:.4}, termination F1 {:.3} ({} events)\n",
        report.reward_mae, termination.f1, termination.events,
    )
}
