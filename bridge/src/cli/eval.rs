use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, bail};
use serde_json::Value;
use worldstep_bridge::engines::{NoModel, TruthReplay, model_folder};
use worldstep_model::data::{Clips, load_all};
use worldstep_model::device::ComputeDevice;
use worldstep_model::eval::page::{Subject, page};
use worldstep_model::eval::{
    EvalOptions, EvalReport, PerturbedTruth, Rollout, Sources, annotate, evaluate_with,
};
use worldstep_model::model::Model;

use super::{EvalArgs, eval_summary, pictures, print_json, print_text};

/// Frames a second of the animated pictures: the tasks' own.
const PICTURE_FPS: u16 = 20;
/// The report's name beside the model.
const REPORT_FILE: &str = "eval.json";

/// Weighs a model against truth.
pub fn run(args: &EvalArgs) -> Result<()> {
    let device = ComputeDevice::from_name(&args.device)?;
    args.products.check(device).map_err(Error::msg)?;
    let device = device.burn();
    if let Some(out) = args.out.as_deref().filter(|out| page_path(out) == *out) {
        bail!("--out {}: the page is written there; name the report, for instance eval.json", out.display());
    }
    if !(args.temperature.is_finite() && args.temperature >= 0.0) {
        bail!("--temperature is {}, expected a number from 0 on", args.temperature);
    }
    // No model, or a damaged one, is told before clips are read.
    let any = model_folder(&args.model, None)?;
    let first = Model::load(&any, &device)?;
    let mut all = load_all(std::slice::from_ref(&args.data), None, None)?;
    let tasks: Vec<&str> = all.iter().map(|clips| clips.scenario.id.as_str()).collect();
    let Some((folder, place)) = dreamt(&args.model, &tasks)? else {
        bail!("{} holds no clips; record some with `worldstep synth`", args.data.display());
    };
    let clips = all.swap_remove(place);
    let model = if folder == any { first } else { Model::load(&folder, &device)? };
    let model = model.with_products(args.products);
    let report = weigh(args, &model, &clips)?;
    if let Some(folder) = &args.pictures {
        draw(folder, &report.rollouts, clips.frame_size.side())?;
    }
    let value = as_json(&report)?;
    let subject = Subject {
        title: format!("{} dreamt by {}", clips.scenario.id, model.card.config.preset.name()),
        origin: format!("Weights of {}, clips of {}.", folder.display(), args.data.display()),
    };
    for (name, set) in &report.sets {
        if let Some(reason) = &set.without_perturbed_truth {
            eprintln!("{name}: without (all of) the ceiling that chaos sets: {reason}");
        }
    }
    let written = Written { report: &value, page: page(&report, &subject) };
    eprintln!("{}", written.save(args.out.as_deref(), &folder)?);
    if args.json.json { print_json(&value) } else { print_text(&eval_summary::summary(&report)) }
}

/// The first of `tasks` that a model in `models` dreams: the model's folder and the task's place. If none is dreamt, any
/// model and the first task, which the evaluation refuses by name; nothing without tasks.
fn dreamt(models: &Path, tasks: &[&str]) -> Result<Option<(PathBuf, usize)>, NoModel> {
    let known = tasks.iter().enumerate().find_map(|(i, id)| Some((model_folder(models, Some(id)).ok()?, i)));
    match known {
        None if tasks.is_empty() => Ok(None),
        None => Ok(Some((model_folder(models, None)?, 0))),
        known => Ok(known),
    }
}

/// The evaluation, with all that can be known beside the clips.
fn weigh(args: &EvalArgs, model: &Model, clips: &Clips) -> Result<EvalReport> {
    let options =
        EvalOptions { clips_max: args.clips, temperature: args.temperature, ..EvalOptions::default() };
    // A data set of a user's own has no silhouettes.
    let annotations = annotate(clips, &options);
    if let Err(error) = &annotations {
        eprintln!("without physics: {error}");
    }
    let annotations = annotations.ok();
    let pairs = args.pairs.as_deref().map(|dir| -> Result<_> {
        let clips = Clips::load(dir, Some(&clips.scenario.id))?;
        let annotations = annotate(&clips, &options)?;
        Ok((clips, annotations))
    });
    let pairs = pairs.transpose()?;
    let mut replay = replay(&clips.scenario.id, clips.frame_size.side() as u32);
    let sources = Sources {
        annotations: annotations.as_ref(),
        perturbed: replay.as_mut().map(|replay| replay as &mut dyn PerturbedTruth),
        pairs: pairs.as_ref().map(|(clips, annotations)| (clips, annotations)),
    };
    Ok(evaluate_with(model, clips, &options, sources)?)
}

/// Truth that can be run again; families cannot, and nothing can be drawn without a driver.
fn replay(task: &str, side: u32) -> Option<TruthReplay> {
    worldstep_env::registry::find(task).ok()?;
    let replay = TruthReplay::new(task, side);
    if let Err(error) = &replay {
        eprintln!("without the ceiling that chaos sets: {error}");
    }
    replay.ok()
}

/// The report with `termination_f1` beside `reward_mae`, as the summary names it.
fn as_json(report: &EvalReport) -> Result<Value> {
    let mut value = serde_json::to_value(report)?;
    value["termination_f1"] = report.termination.and_then(|termination| termination.f1).into();
    Ok(value)
}

/// A report and its page, to be written.
struct Written<'a> {
    report: &'a Value,
    page: String,
}

impl Written<'_> {
    /// Writes both to `out`, or beside the model; says where they are. Only files that were asked for must succeed.
    fn save(&self, out: Option<&Path>, model: &Path) -> Result<String> {
        let path = out.map_or_else(|| model.join(REPORT_FILE), Path::to_owned);
        let page = page_path(&path);
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        let written = write(&path, &format!("{:#}\n", self.report)).and_then(|()| write(&page, &self.page));
        match (written, out) {
            (Err(error), None) => Ok(format!("the report is not kept ({error:#}); name a file with --out")),
            (written, _) => {
                written.map(|()| format!("report in {}, page in {}", path.display(), page.display()))
            }
        }
    }
}

/// Where the page of the report in `path` goes.
fn page_path(path: &Path) -> PathBuf {
    path.with_extension("html")
}

/// Draws each of `rollouts`, in frames of `side` pixels.
fn draw(folder: &Path, rollouts: &[Rollout], side: usize) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for rollout in rollouts {
        let path = folder.join(format!("seed-{}.png", rollout.seed));
        let difference = pictures::difference(&rollout.truth, &rollout.dream);
        let films = [&rollout.truth[..], &rollout.dream, &difference];
        pictures::write_side_by_side(&path, &films, side, PICTURE_FPS)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn written(report: &Value) -> Written<'_> {
        Written { report, page: "<p>".to_owned() }
    }

    #[test]
    fn the_report_is_written_beside_the_model_or_where_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let report = serde_json::json!({"reward_mae": 0.5});
        let beside = folder.path().join("eval.json");
        let asked = folder.path().join("asked.json");
        for (out, path) in [(None, &beside), (Some(asked.as_path()), &asked)] {
            let said = written(&report).save(out, folder.path()).unwrap();
            assert!(said.contains(path.to_str().unwrap()), "{said}");
            let read: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            assert_eq!(read, report);
            assert_eq!(std::fs::read_to_string(path.with_extension("html")).unwrap(), "<p>");
        }
    }

    #[test]
    fn the_model_of_the_clips_task_is_weighed() {
        let models = tempfile::tempdir().unwrap();
        let folder = |id: &str| models.path().join(id);
        for id in ["CartPole-v0", "PushCube-v0"] {
            std::fs::create_dir(folder(id)).unwrap();
            std::fs::write(folder(id).join("model.json"), format!(r#"{{"task": "{id}"}}"#)).unwrap();
        }
        let found = |tasks: &[&str]| dreamt(models.path(), tasks).unwrap();
        assert_eq!(found(&["PushCube-v0"]), Some((folder("PushCube-v0"), 0)));
        assert_eq!(found(&["toss", "PushCube-v0", "CartPole-v0"]), Some((folder("PushCube-v0"), 1)));
        assert_eq!(found(&["toss"]), Some((folder("CartPole-v0"), 0)), "to be refused by name");
        assert_eq!(found(&[]), None);
        assert!(dreamt(&folder("toss"), &["toss"]).is_err());
    }

    #[test]
    fn a_model_that_cannot_be_written_to_is_evaluated_all_the_same() {
        let nowhere = Path::new("/nonexistent/model");
        let said = written(&Value::Null).save(None, nowhere).unwrap();
        assert!(said.contains("not kept") && said.contains("--out"), "{said}");
        let error = written(&Value::Null).save(Some(&nowhere.join("eval.json")), nowhere).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/model/eval.json"), "{error}");
    }
}
