use serde_json::Value;

use super::super::dataset::Dataset;
use super::super::fault::{Code, Fault};
use super::clip::ClipCheck;
use crate::lerobot::{Clip, Column, FeatureStats, Source, Totals};

/// Largest deviation of a statistic, relative to its feature's largest value.
const DEVIATION_MAX: f64 = 1e-4;

/// Statistics of one clip against its values.
pub fn check_clip(check: &ClipCheck<'_>, clip: &Clip) -> Vec<Fault> {
    let features = check.dataset.features.iter().zip(&check.entry.stats);
    let recorded = features.filter(|(feature, _)| feature.source != Source::Position);
    let mut faults = Vec::new();
    for ((feature, said), column) in recorded.zip(&clip.columns) {
        let found = of_column(column, feature.kind.elements());
        let found = FeatureStats { count: clip.len as i64, ..found };
        if let Some(difference) = difference(said, &found) {
            faults.push(Fault::new(Code::Stats, format!("{} in meta/episodes: {difference}", feature.name)));
        }
    }
    faults
}

/// `meta/stats.json` against the statistics of all clips.
pub fn check_totals(dataset: &Dataset) -> Vec<(Option<usize>, Fault)> {
    let path = dataset.dir.join("meta/stats.json");
    let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let json = text.and_then(|text| serde_json::from_str::<Value>(&text).map_err(|error| error.to_string()));
    let json = match json {
        Ok(json) => json,
        Err(message) => {
            return vec![(None, Fault::new(Code::Unreadable, format!("{}: {message}", path.display())))];
        }
    };
    let mut totals = Totals::default();
    dataset.episodes.iter().for_each(|entry| totals.add(entry));
    let mut faults = Vec::new();
    for (feature, merged) in dataset.features.iter().zip(&totals.stats) {
        let difference = match read(&json[&feature.name]) {
            Some(said) => difference(&said, merged),
            None => Some("is missing or incomplete".to_owned()),
        };
        faults.extend(difference.map(|difference| {
            (None, Fault::new(Code::Stats, format!("{} in meta/stats.json: {difference}", feature.name)))
        }));
    }
    faults
}

fn of_column(column: &Column, width: usize) -> FeatureStats {
    match column {
        // As LeRobot has it: 8-bit images count from 0 to 1.
        Column::U8(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v) / 255.0), width),
        Column::U16(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v)), width),
        Column::F32(values) => FeatureStats::of(values.iter().map(|v| f64::from(*v)), width),
        Column::I64(values) => FeatureStats::of(values.iter().map(|v| *v as f64), width),
        Column::Bool(values) => FeatureStats::of(values.iter().map(|v| f64::from(u8::from(*v))), width),
    }
}

fn read(entry: &Value) -> Option<FeatureStats> {
    let moment = |name: &str| {
        let mut values = Vec::new();
        numbers(entry.get(name)?, &mut values)?;
        Some(values)
    };
    let count = entry.get("count")?.get(0)?.as_i64()?;
    Some(FeatureStats {
        min: moment("min")?,
        max: moment("max")?,
        mean: moment("mean")?,
        std: moment("std")?,
        count,
    })
}

fn numbers(value: &Value, out: &mut Vec<f64>) -> Option<()> {
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| numbers(value, out)),
        number => {
            out.push(number.as_f64()?);
            Some(())
        }
    }
}

/// The first thing that differs, in words.
fn difference(said: &FeatureStats, found: &FeatureStats) -> Option<String> {
    if said.count != found.count {
        return Some(format!("count is {}, expected {}", said.count, found.count));
    }
    let moments = [
        ("min", &said.min, &found.min),
        ("max", &said.max, &found.max),
        ("mean", &said.mean, &found.mean),
        ("std", &said.std, &found.std),
    ];
    for (name, said_values, found_values) in moments {
        if said_values.len() != found_values.len() {
            return Some(format!("{name} has {} values, expected {}", said_values.len(), found_values.len()));
        }
        for (i, (a, b)) in said_values.iter().zip(found_values).enumerate() {
            let scale = 1.0 + found.min[i].abs().max(found.max[i].abs());
            // Not `>`: what is no number differs too.
            let close = (a - b).abs() <= DEVIATION_MAX * scale;
            if !close && a.to_bits() != b.to_bits() {
                return Some(format!("{name} of element {i} is {a}, expected {b}"));
            }
        }
    }
    None
}
