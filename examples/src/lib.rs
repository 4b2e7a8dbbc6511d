//! One idea a file; run with `cargo run -p worldstep-examples --example NAME`.
