use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;
use worldstep_model::data::{Clips, load_all};
use worldstep_model::device::ComputeDevice;
use worldstep_model::eval::{EvalOptions, EvalReport, Rollout, evaluate};
use worldstep_model::model::Model;

use super::{EvalArgs, pictures, print_json, print_text};

/// Frames a second of the animated pictures: the tasks' own.
const PICTURE_FPS: u16 = 20;
const FRAME_SIDE: usize = 64;
/// The report's name beside the model.
const REPORT_FILE: &str = "eval.json";

/// Weighs a model against truth.
pub fn run(args: &EvalArgs) -> Result<()> {
    let device = ComputeDevice::from_name(&args.device)?.burn();
    let folder = worldstep_bridge::engines::model_folder(&args.model, None)?;
    let model = Model::load(&folder, &device)?;
    let clips = load_all(std::slice::from_ref(&args.data), None, None)?;
    let known = |clips: &&Clips| model.card.task_index(&clips.scenario.id).is_some();
    let clips = clips.iter().find(known).or(clips.first()).context("no clips")?;
    let report = evaluate(&model, clips, &EvalOptions::default())?;
    if let Some(folder) = &args.pictures {
        draw(folder, &report.rollouts)?;
    }
    let value = as_json(&report)?;
    eprintln!("{}", write_report(&value, args.out.as_deref(), &folder)?);
    if args.json.json { print_json(&value) } else { print_text(&table(&report)) }
}

/// The report with `termination_f1` beside `reward_mae`, as the summary names it.
fn as_json(report: &EvalReport) -> Result<Value> {
    let mut value = serde_json::to_value(report)?;
    value["termination_f1"] = report.termination.f1.into();
    Ok(value)
}

/// Writes the report to `out`, or beside the model; says where it is. Only a file that was asked for must succeed.
fn write_report(report: &Value, out: Option<&Path>, model: &Path) -> Result<String> {
    let path = out.map_or_else(|| model.join(REPORT_FILE), Path::to_owned);
    let written = std::fs::write(&path, format!("{report:#}\n"));
    if let (Err(error), None) = (&written, out) {
        return Ok(format!("the report is not kept ({}: {error}); name a file with --out", path.display()));
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(format!("report in {}", path.display()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_report_is_written_beside_the_model_or_where_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let report = serde_json::json!({"reward_mae": 0.5});
        let beside = folder.path().join("eval.json");
        let asked = folder.path().join("asked.json");
        for (out, path) in [(None, &beside), (Some(asked.as_path()), &asked)] {
            let said = write_report(&report, out, folder.path()).unwrap();
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            assert_eq!(read, report);
        }
    }

    #[test]
    fn a_model_that_cannot_be_written_to_is_evaluated_all_the_same() {
        let nowhere = Path::new("/nonexistent/model");
        let said = write_report(&Value::Null, None, nowhere).unwrap();
        assert!(said.contains("not kept") && said.contains("--out"), "{said}");
        let error = write_report(&Value::Null, Some(&nowhere.join("eval.json")), nowhere).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/model/eval.json"), "{error}");
    }
}
