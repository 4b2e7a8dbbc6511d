//! Who may depend on whom: the graph that `cargo metadata` reports has no edge that the design does not allow.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use serde_json::{Value, json};

const PARTS: [&str; 4] = ["worldstep-env", "worldstep-synth", "worldstep-model", "worldstep-bridge"];

/// Holds no code: it keeps the features of shared dependencies the same whichever crates are built.
const FEATURES: &str = "worldstep-features";

fn is_allowed(from: &str, to: &str) -> bool {
    match from {
        FEATURES => false,
        _ if to == FEATURES => true,
        "worldstep-env" => false,
        "worldstep-synth" | "worldstep-model" => to == "worldstep-env",
        "worldstep-bridge" => PARTS.contains(&to) && to != from,
        // What peers may send, made up by a fuzzer: it drives the bridge with an engine of its own.
        "worldstep-bridge-fuzz" => ["worldstep-env", "worldstep-bridge"].contains(&to),
        "worldstep-env-fuzz" => to == "worldstep-env",
        "worldstep-examples" | "worldstep-benches" => PARTS.contains(&to),
        _ => false,
    }
}

/// Forbidden edges between workspace members, of every kind (normal, dev, build) and every feature.
fn forbidden_edges(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let members: Vec<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let mut forbidden = Vec::new();
    for package in packages {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if members.contains(&to) && !is_allowed(from, to) {
                let kind = dependency["kind"].as_str().unwrap_or("normal");
                forbidden.push(format!("{from} → {to} ({kind})"));
            }
        }
    }
    forbidden
}

#[test]
fn the_workspace_has_only_the_edges_of_the_design() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<_> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    assert!(PARTS.iter().all(|part| names.contains(part)), "{names:?}");
    assert_eq!(forbidden_edges(&metadata), [""; 0]);
}

#[test]
fn a_forbidden_edge_of_any_kind_is_found() {
    let package = |name: &str, to: &str, kind: Value| json!({"name": name, "dependencies": [{"name": to, "kind": kind}]});
    let graph = json!({"packages": [
        package("worldstep-env", "serde", Value::Null),
        package("worldstep-synth", "worldstep-env", Value::Null),
        package("worldstep-model", "worldstep-synth", json!("dev")),
        package("worldstep-bridge", "worldstep-model", Value::Null),
        package("worldstep-examples", "worldstep-bridge", json!("build")),
        package("stranger", "worldstep-env", json!("build")),
    ]});
    assert_eq!(
        forbidden_edges(&graph),
        ["worldstep-model → worldstep-synth (dev)", "stranger → worldstep-env (build)"]
    );
}
