//! The ablation trains its variants, writes one table, and goes on where it was interrupted.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
mod toy;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the example that `cargo test` has built beside this test.
fn ablation(data: &Path, out: &Path, only: &str) -> Output {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap().join("examples/ablation");
    let mut command = Command::new(example);
    command.arg("--data").arg(data).arg("--out").arg(out);
    command.args(["--steps", "2,2", "--batch", "2", "--clips", "2", "--only", only]).output().unwrap()
}

fn rows(out: &Path) -> Vec<String> {
    let table = std::fs::read_to_string(out.join("table.md")).unwrap();
    table.lines().skip(2).map(|row| row.split('|').nth(1).unwrap().trim().to_owned()).collect()
}

#[test]
fn a_row_for_each_variant_and_a_second_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    disk::write(&toy::clips(8, 14, 1), &data);
    let first = ablation(&data, &out, "all");
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let cell = std::fs::read(out.join("all-0/cell.json")).unwrap();
    let weights = |folder: &str| std::fs::metadata(out.join(folder).join("tokenizer.safetensors")).unwrap();
    let learned = weights("tokenizer-0").modified().unwrap();
    let second = ablation(&data, &out, "all,plain");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(rows(&out), ["all", "plain"]);
    assert_eq!(weights("tokenizer-0").modified().unwrap(), learned, "the tokenizer was learned again");
    assert_eq!(std::fs::read(out.join("all-0/cell.json")).unwrap(), cell, "it was trained already");
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("plain 0:") && !said.contains("all 0:"), "{said}");
    let table: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("table.json")).unwrap()).unwrap();
    assert_eq!(table["cells"][0]["settings"]["objective"]["changed_weight"], 15.0);
    assert_eq!(table["cells"][1]["settings"]["objective"]["changed_weight"], 0.0);
}

#[test]
fn an_unknown_variant_is_named_beside_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let refused = ablation(dir.path(), dir.path(), "no-luck");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("no-luck") && said.contains("no-self-forcing"),
        "{said}"
    );
}
