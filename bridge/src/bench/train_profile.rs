use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use worldstep_env::EnvError;
use worldstep_model::config::Preset;
use worldstep_model::device::ComputeDevice;
use worldstep_model::precision::Precision;
use worldstep_model::train::{Feed, StepProfile, TrainOptions, profile};

use super::{Row, engine_error, median};

/// Turns that the two feeds take.
const ROUNDS: u32 = 3;

/// The step that is looked at.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Where it is computed.
    pub device: ComputeDevice,
    /// Numbers of its products.
    pub precision: Precision,
    /// Its windows.
    pub batch: usize,
}

impl Default for StepOptions {
    /// As `worldstep train` does it.
    fn default() -> Self {
        let TrainOptions { device, precision, batch, .. } = TrainOptions::new("", "");
        Self { device, precision, batch }
    }
}

/// The time of each part of a step, the work of its products and how fast that is done, and the share of the batch.
///
/// # Errors
/// [`EnvError::Engine`] if nothing can be trained.
pub(super) fn profile_rows(
    data: &Path,
    (preset, time): (Preset, Duration),
    step: &StepOptions,
) -> Result<Vec<Row>, EnvError> {
    let options = TrainOptions { feed: Feed::Auto, ..options(data, preset, step) };
    let found = profile(&options, time).map_err(engine_error)?;
    let row = |part: &str, metric, value, unit| {
        let mut case = case(&options, &found);
        case["part"] = json!(part);
        Row { case, metric, value, unit, peer: None }
    };
    let mut rows = Vec::new();
    for part in &found.parts {
        rows.push(row(part.part, "time", part.seconds * 1e3, "ms"));
        if let Some(flop) = part.flop {
            rows.push(row(part.part, "flop", flop as f64 / 1e9, "GFLOP"));
            rows.push(row(part.part, "flop_per_s", flop as f64 / part.seconds / 1e9, "GFLOP/s"));
        }
    }
    rows.push(row("step", "time", found.seconds * 1e3, "ms"));
    let flop: u64 = found.parts.iter().filter_map(|part| part.flop).sum();
    rows.push(row("step", "flop", flop as f64 / 1e9, "GFLOP"));
    rows.push(row("step", "flop_per_s", flop as f64 / found.seconds / 1e9, "GFLOP/s"));
    rows.extend(batch_shares(data, (preset, time / ROUNDS), step)?);
    Ok(rows)
}

/// The share of a step that goes into its batch, put together by the host and gathered on the device, in turns of `turn`
/// each.
///
/// # Errors
/// [`EnvError::Engine`] if nothing can be trained.
pub(super) fn batch_shares(
    data: &Path,
    (preset, turn): (Preset, Duration),
    step: &StepOptions,
) -> Result<Vec<Row>, EnvError> {
    let feeds = [Feed::Host, Feed::Device].map(|feed| TrainOptions { feed, ..options(data, preset, step) });
    let mut found: [Vec<StepProfile>; 2] = Default::default();
    for _ in 0..ROUNDS {
        for (options, found) in feeds.iter().zip(&mut found) {
            found.push(profile(options, turn / ROUNDS).map_err(engine_error)?);
        }
    }
    let share = |(options, found): (&TrainOptions, &Vec<StepProfile>)| Row {
        case: case(options, &found[0]),
        metric: "batch_share",
        value: median(found.iter().map(StepProfile::batch_share).collect()),
        unit: "share",
        peer: None,
    };
    Ok(feeds.iter().zip(&found).map(share).collect())
}

fn options(data: &Path, preset: Preset, step: &StepOptions) -> TrainOptions {
    let StepOptions { device, precision, batch } = *step;
    TrainOptions { preset, device, precision, batch, ..TrainOptions::new(data, "") }
}

fn case(options: &TrainOptions, found: &StepProfile) -> Value {
    json!({
        "stage": "dynamics", "preset": options.preset, "optimizer": options.optimizer, "device": options.device.name(),
        "precision": options.precision, "batch": options.batch, "frames": found.frames, "feed": options.feed.name(),
    })
}
