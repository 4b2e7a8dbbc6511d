use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use worldstep_env::policy::PolicyMix;
use worldstep_synth::clips::Stage;
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{DatasetSummary, SynthError, SynthOptions, SynthSummary, UnitKind, write_dataset};

use super::{SynthArgs, print_json, progress, stop_flag};

/// Clips between lines where there is no terminal for a progress bar.
const LINE_EVERY_CLIPS: usize = 50;

/// Most threads that simulate and encode.
const WORKERS_MAX: usize = 256;

/// Records a dataset.
pub fn run(args: &SynthArgs) -> Result<()> {
    let options = options(args).map_err(|error| SynthError::Options { message: format!("{error:#}") })?;
    let bar = progress::bar(args.clips, "clips");
    let start = Instant::now();
    let mut next_line = LINE_EVERY_CLIPS;
    let mut recorded = BTreeMap::new();
    let summary = write_dataset(&options, &mut |at| {
        bar.set_length(at.clips_total as u64);
        bar.set_position(at.clips_done as u64);
        bar.set_message(format!("{} {} frames", at.scenario, at.frames));
        recorded.insert(at.scenario.clone(), at.frames);
        if at.clips_done >= next_line {
            next_line = at.clips_done + LINE_EVERY_CLIPS;
            let line = format!("{}/{} clips, {} frames", at.clips_done, at.clips_total, at.frames);
            progress::line_if_hidden(&bar, &line);
        }
    })?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    if summary.interrupted {
        eprintln!("stopped with a valid dataset of {} clips; --resume goes on", summary.clips());
    }
    let frames_recorded: usize = recorded.values().sum();
    if args.json.json {
        return print_json(&as_json(&summary, seconds, frames_recorded));
    }
    for dataset in &summary.datasets {
        eprintln!("{}", line(dataset));
    }
    eprintln!(
        "{} clips, {} frames in {seconds:.1} s, content hash {}",
        summary.clips(),
        summary.frames(),
        hash(&summary)
    );
    Ok(())
}

fn options(args: &SynthArgs) -> Result<SynthOptions> {
    let mut options = SynthOptions::new(&args.scenario, args.clips as usize, &args.out);
    options.seed = args.seed;
    options.frame_size = args.size;
    options.resume = args.resume;
    options.shard = args.shard;
    options.textures.clone_from(&args.textures);
    options.stop = stop_flag()?;
    options.clock = since_start;
    options.channels = ImageChannel::parse_list(&args.channels).map_err(anyhow::Error::msg)?;
    if let Some(workers) = args.workers {
        if !(1..=WORKERS_MAX).contains(&workers) {
            bail!("{workers} workers, expected 1 to {WORKERS_MAX}");
        }
        options.workers = workers;
    }
    options.unit = match (args.branches, args.pairs) {
        (Some(clips), _) => UnitKind::Branches(clips),
        (None, true) => UnitKind::Pair,
        (None, false) => UnitKind::Single,
    };
    options.scenarios.horizon = args.horizon;
    options.scenarios.mix = args.policy.as_deref().map(policy_mix).transpose()?;
    if let Some(path) = &args.randomisation {
        options.scenarios.randomisation = read_toml(path)?;
    }
    if args.textures.is_some() {
        options.scenarios.randomisation = options.scenarios.randomisation.with_pictures();
    }
    if let Some(path) = &args.curation {
        options.curation = read_toml(path)?;
    }
    Ok(options)
}

/// Time since the first call.
fn since_start() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Weights by behaviour; those that are not named are 0.
fn policy_mix(text: &str) -> Result<PolicyMix> {
    let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        let weight: f64 = weight
            .trim()
            .parse()
            .ok()
            .filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
            .with_context(|| {
                format!("{part:?} in --policy, expected a behaviour and its weight, for instance random=0.5")
            })?;
        weights.insert(name.trim(), weight);
    }
    let mut take = |name: &str| weights.remove(name).unwrap_or(0.0);
    let mix = PolicyMix {
        random: take("random"),
        scripted: take("scripted"),
        noisy_expert: take("noisy_expert"),
        noop: take("noop"),
    };
    if let Some(name) = weights.keys().next() {
        bail!("{name:?} is no behaviour, expected random, scripted, noisy_expert or noop");
    }
    if mix.random + mix.scripted + mix.noisy_expert + mix.noop <= 0.0 {
        bail!("--policy {text:?} gives every behaviour the weight 0");
    }
    Ok(mix)
}

fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).map_err(|error| SynthError::config(path, &text, &error).into())
}

fn hash(summary: &SynthSummary) -> String {
    summary.datasets.iter().map(|dataset| dataset.hash.as_str()).collect::<Vec<_>>().join("+")
}

fn line(dataset: &DatasetSummary) -> String {
    let counts = |counts: Vec<String>| if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let outcomes = dataset.outcomes.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let rejected = dataset.rejected.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(
        "{}: {} clips; outcomes: {}; {:.0} % of attempts accepted, rejected: {}; drawn again for balance: {}",
        dataset.scenario,
        dataset.clips,
        counts(outcomes),
        100.0 * dataset.accept_rate(),
        counts(rejected),
        dataset.redrawn_for_balance,
    )
}

fn as_json(summary: &SynthSummary, seconds: f64, frames_recorded: usize) -> Value {
    let datasets: Vec<_> = summary.datasets.iter().map(dataset_json).collect();
    json!({
        "clips": summary.clips(),
        "frames": summary.frames(),
        "content_hash": hash(summary),
        "seconds": seconds,
        "frames_per_s": frames_recorded as f64 / seconds,
        "interrupted": summary.interrupted,
        "datasets": datasets,
    })
}

fn dataset_json(dataset: &DatasetSummary) -> Value {
    let stages: serde_json::Map<_, _> = Stage::ALL
        .iter()
        .zip(dataset.stage_seconds)
        .map(|(stage, seconds)| (stage.name().to_owned(), seconds.into()))
        .collect();
    json!({
        "scenario": dataset.scenario,
        "path": dataset.path,
        "clips": dataset.clips,
        "frames": dataset.frames,
        "content_hash": dataset.hash,
        "units": dataset.units,
        "accept_rate": dataset.accept_rate(),
        "rejected": dataset.rejected,
        "redrawn_for_balance": dataset.redrawn_for_balance,
        "outcomes": dataset.outcomes,
        "stage_seconds": stages,
    })
}
