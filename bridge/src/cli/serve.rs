use std::time::Duration;

use anyhow::Result;
use worldstep_bridge::engines::{Engines, shipped_models};
use worldstep_bridge::security::CurveServer;
use worldstep_bridge::{Limits, ReadyInfo, ServeOptions, serve, stop_when_stdin_closes};
use worldstep_model::device::ComputeDevice;

use super::{ServeArgs, print_json, stop_flag};

/// Serves until Ctrl-C, or until standard input closes if that was asked for.
pub fn run(args: ServeArgs) -> Result<()> {
    let stop = stop_flag()?;
    if args.exit_with_stdin {
        stop_when_stdin_closes(&stop)?;
    }
    let limits = Limits {
        lease: Duration::from_secs(args.lease_s),
        wait_max: Duration::from_millis(args.max_wait_ms),
        ..Limits::default()
    };
    let keys = args.curve_key.as_deref().zip(args.allow_clients.as_deref());
    let curve = keys.map(|(secret, clients)| CurveServer::load(secret, clients)).transpose()?;
    let device = ComputeDevice::from_name(&args.device)?;
    let memory_bytes_max = args.memory_mb.map(|mega| mega.saturating_mul(1_000_000));
    let engines = Engines::new(args.model.or_else(shipped_models), device)?
        .with_memory_max(memory_bytes_max)
        .with_audit(args.audit);
    let options = ServeOptions { bind: args.bind, factory: Box::new(engines), limits, curve, stop };
    let json = args.json.json;
    serve(options, |ready| announce(ready, json))?;
    Ok(())
}

fn announce(ready: &ReadyInfo, json: bool) {
    if json {
        // A client that went away before the server was up is no reason to fail.
        let _ = print_json(ready);
    }
    eprintln!("serving on {}", ready.address);
}
