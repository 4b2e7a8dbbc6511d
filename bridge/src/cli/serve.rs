use std::sync::Arc;

use anyhow::{Error, Result};
use worldstep_bridge::engines::{Engines, shipped_models};
use worldstep_bridge::ops::{Board, MetricsServer, logs};
use worldstep_bridge::security::CurveServer;
use worldstep_bridge::{ReadyInfo, ServeOptions, serve, stop_when_stdin_closes};
use worldstep_model::device::ComputeDevice;

use super::robots::add_robot;
use super::{ServeArgs, print_json, print_text, stop_flag};

/// Serves until SIGINT (Ctrl-C) or SIGTERM, or until standard input closes if that was asked for.
pub fn run(args: ServeArgs) -> Result<()> {
    let config = args.flags.effective(args.config.as_deref())?;
    if args.print_config {
        return print_text(&toml::to_string(&config)?);
    }
    logs::start(config.log_format.unwrap_or_default(), config.log.unwrap_or_default());
    // A client takes a descriptor, of which many systems give 1,024 at first.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    let stop = stop_flag()?;
    if args.exit_with_stdin {
        stop_when_stdin_closes(&stop)?;
    }
    let (limits, memory_bytes_max) = (config.limits(), config.memory_bytes_max());
    for file in &config.robots {
        let entry = add_robot(file)?;
        tracing::info!(task = entry.id, file = %file.display(), "robot");
    }
    let device = ComputeDevice::from_name(&config.device.unwrap_or_default())?;
    let products = config.products.unwrap_or_default();
    products.check(device).map_err(Error::msg)?;
    let engines = Engines::new(config.model.or_else(shipped_models), device)?
        .with_memory_max(memory_bytes_max)
        .with_devices(config.devices.map_or(1, |devices| usize::from(devices.get())))
        .with_products(products)
        .with_audit(config.audit.unwrap_or_default());
    let engines = if args.stand_in_card { engines.with_stand_in_card() } else { engines };
    let keys = config.curve_key.as_deref().zip(config.allow_clients.as_deref());
    let curve = keys.map(|(secret, clients)| CurveServer::load(secret, clients)).transpose()?;
    let board = Arc::new(Board::default());
    // Answers as long as it is held.
    let metrics = config
        .metrics
        .map(|address| MetricsServer::start(address, config.metrics_unprotected, Arc::clone(&board)));
    let metrics = metrics.transpose()?;
    if let Some(metrics) = &metrics {
        tracing::info!(address = %metrics.address(), "metrics endpoint");
    }
    let options = ServeOptions {
        bind: config.bind.unwrap_or_default(),
        factory: Box::new(engines),
        limits,
        curve,
        stop,
        board: metrics.is_some().then_some(board),
    };
    let json = args.json.json;
    serve(options, |ready| announce(ready, json))?;
    Ok(())
}

/// A client that went away before the server was up is no reason to fail.
fn announce(ready: &ReadyInfo, json: bool) {
    if json {
        let _ = print_json(ready);
    }
}
