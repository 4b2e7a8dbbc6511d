//! What a training has learned, to be compared to the bit.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::optim::OptimizerRecord;
use worldstep_model::model::TrainingRecord;

/// Weights, average and moments of the last stage, and the weights that are shipped: by name, as bytes.
pub fn learned(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(dir.join("checkpoint")).unwrap() {
        files.extend(std::fs::read_dir(entry.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
    }
    files.extend(["tokenizer.safetensors", "dynamics.safetensors", "codes.bin"].map(|name| dir.join(name)));
    files.retain(|file| file.exists());
    let bytes = |file: &PathBuf| match file.extension().and_then(|extension| extension.to_str()) {
        // Moments are stored in no order, and so are the notes at the head of weights.
        Some("bpk") => OptimizerRecord::load(file).unwrap().into_bytes().unwrap().to_vec(),
        Some("safetensors") => without_notes(&std::fs::read(file).unwrap()),
        _ => std::fs::read(file).unwrap(),
    };
    files.iter().map(|file| (file.strip_prefix(dir).unwrap().display().to_string(), bytes(file))).collect()
}

/// A file of weights: its table of names and places, without `__metadata__`, and its bytes.
pub fn without_notes(file: &[u8]) -> Vec<u8> {
    let (len, rest) = file.split_at(8);
    let (table, data) = rest.split_at(u64::from_le_bytes(len.try_into().unwrap()) as usize);
    let mut table: serde_json::Value = serde_json::from_slice(table).unwrap();
    table.as_object_mut().unwrap().remove("__metadata__").unwrap();
    [table.to_string().as_bytes(), data].concat()
}

/// What does not tell the time.
pub fn timeless(record: &TrainingRecord) -> TrainingRecord {
    let mut record = record.clone();
    (record.tokenizer_seconds, record.dynamics_seconds) = (0.0, 0.0);
    record.validation.iter_mut().for_each(|validation| validation.seconds = 0.0);
    record
}
