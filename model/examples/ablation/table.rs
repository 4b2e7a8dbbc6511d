use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use worldstep_model::eval::EvalReport;
use worldstep_model::model::{Model, TrainingRecord};

use crate::variants::{Settings, VARIANTS, Variant};

/// Horizons that get a column, in frames.
const HORIZONS: [usize; 4] = [1, 8, 16, 32];

/// One number of a trained variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Column, with its unit.
    pub name: String,
    /// Null where the clips did not have what it measures.
    pub value: Option<f64>,
}

/// One variant trained from one seed, and what it reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub variant: String,
    pub seed: u64,
    pub settings: Settings,
    pub training: TrainingRecord,
    pub parameters: usize,
    pub clips_max: usize,
    pub metrics: Vec<Metric>,
}

impl Cell {
    /// What an earlier run left, if it did.
    pub fn load(path: &Path) -> Option<Self> {
        serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
    }

    /// Whether it tells of this model as it is now.
    pub fn is_of(&self, model: &Model, clips_max: usize) -> bool {
        self.training == model.card.training && self.clips_max == clips_max
    }
}

/// What the table shows of an evaluation and of the training before it.
pub fn metrics(report: &EvalReport, training: &TrainingRecord) -> Vec<Metric> {
    let metric = |name: String, value: Option<f64>| Metric { name, value };
    let gain = |horizon: usize| {
        let foreground = |table: &worldstep_model::eval::ByHorizon| table.get(&horizon)?.foreground;
        Some(foreground(&report.psnr_db.model)? - foreground(&report.psnr_db.copy_last)?)
    };
    let mut metrics: Vec<Metric> = HORIZONS
        .iter()
        .map(|horizon| metric(format!("over copy-last at {horizon} (dB)"), gain(*horizon)))
        .collect();
    metrics.push(metric("reward error".to_owned(), report.reward_mae));
    let f1 = report.termination.and_then(|termination| termination.f1);
    metrics.push(metric("termination F1".to_owned(), f1));
    let speed = training.dynamics_steps as f64 / training.dynamics_seconds;
    metrics.push(metric("steps/s".to_owned(), speed.is_finite().then_some(speed)));
    metrics
}

/// Mean and sample standard deviation (`None` for one value).
fn mean_and_spread(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let spread = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
    (!values.is_empty()).then_some((mean, spread))
}

/// The table in Markdown, one row for each variant that has a cell.
pub fn markdown(cells: &[Cell]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let mut text = String::from("| variant | changed | seeds |");
    first.metrics.iter().for_each(|metric| _ = write!(text, " {} |", metric.name));
    text += &format!("\n|---|---|---:|{}\n", "---:|".repeat(first.metrics.len()));
    for variant in &VARIANTS {
        let own: Vec<&Cell> = cells.iter().filter(|cell| cell.variant == variant.name).collect();
        if !own.is_empty() {
            row(&mut text, variant, &own, first.metrics.len());
        }
    }
    text
}

fn row(text: &mut String, variant: &Variant, cells: &[&Cell], columns: usize) {
    _ = write!(text, "| {} | {} | {} |", variant.name, variant.change, cells.len());
    for column in 0..columns {
        let values: Vec<f64> = cells.iter().filter_map(|cell| cell.metrics.get(column)?.value).collect();
        match mean_and_spread(&values) {
            Some((mean, Some(spread))) => _ = write!(text, " {mean:.3} ± {spread:.3} |"),
            Some((mean, None)) => _ = write!(text, " {mean:.3} |"),
            None => text.push_str(" – |"),
        }
    }
    text.push('\n');
}
