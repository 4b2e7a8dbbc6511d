//! One bench a crate, each with `harness = false`: `cargo bench -p worldstep-benches --profile dev`.
