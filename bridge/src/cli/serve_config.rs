use std::fs;
use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum as _};
use serde::{Deserialize, Serialize};
use worldstep_bridge::Limits;
use worldstep_bridge::ops::logs::{LogFormat, LogLevel};
use worldstep_model::cuda::ProductNumbers;
use worldstep_model::neural_env::free_bytes;
use worldstep_synth::SynthError;

/// Bytes of a megabyte, as in `--memory-mb`.
const MB: usize = 1_000_000;
/// Longest lease, seconds: ten years.
const LEASE_S_MAX: u64 = 315_360_000;
/// Longest wait for a batch, microseconds: a client that heard nothing for longer would take the server for dead.
const WAIT_US_MAX: u64 = 10_000_000;
/// Longest a peer may be given to shake hands, milliseconds: a minute.
const HANDSHAKE_MS_MAX: u64 = 60_000;
/// Longest that a session which does not step is waited for, milliseconds: an hour.
const IDLE_MS_MAX: u64 = 3_600_000;
/// Longest drain, seconds: an hour.
const DRAIN_S_MAX: u64 = 3600;
/// The log's level if no flag says it.
const LOG_VARIABLE: &str = "WORLDSTEP_LOG";

/// Options of `serve`, each a flag and a key of the configuration file.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Folder of the model behind the dream engine, or of one for each task; the shipped ones if it is not given.
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// Where the dream runs: `cpu` (the default) or `cuda:0`.
    #[arg(long)]
    pub device: Option<String>,
    /// GPUs that the environments of each dream are divided over, from that of --device on; 1 by default.
    #[arg(long, value_name = "GPUS")]
    pub devices: Option<NonZeroU8>,
    /// What dreams on GPUs multiply in the blocks of their networks: `bf16` (the default), or `fp8`, which is quicker and less
    /// exact.
    #[arg(long, value_parser = super::product_numbers)]
    pub products: Option<ProductNumbers>,
    /// `tcp://HOST:PORT` (port 0 picks one) or `ipc://PATH`; tcp://127.0.0.1:7447 by default.
    #[arg(long)]
    pub bind: Option<String>,
    /// The server's secret key file (`worldstep keys`): everything is encrypted, and other machines may be let in. Needs
    /// --allow-clients.
    #[arg(long, value_name = "FILE")]
    pub curve_key: Option<PathBuf>,
    /// Folder with the public key files (NAME.key) of those who may connect; read again as it changes.
    #[arg(long, value_name = "DIR")]
    pub allow_clients: Option<PathBuf>,
    /// A robot's URDF or MJCF file, or a TOML file that names one and says how it is driven; may be given several times.
    /// Each is a task `robot/NAME`, named after its file.
    #[arg(long = "robot", value_name = "FILE")]
    pub robots: Vec<PathBuf>,
    /// Environments of each dream that truth is stepped beside (none by default); their infos tell how far they are
    /// apart.
    #[arg(long, value_name = "ENVS")]
    pub audit: Option<usize>,
    #[arg(long, value_name = "ENVS", help = help("Environments that wait at which a batch goes at once", limits().batch_max))]
    pub max_batch: Option<NonZeroUsize>,
    #[arg(long, value_name = "US", help = help(
        "Longest wait for other clients before a batch goes without them, microseconds", limits().wait_max.as_micros()
    ))]
    pub max_wait_us: Option<u64>,
    #[arg(long, value_name = "COUNT", help = help("Sessions at a time", limits().sessions_max))]
    pub max_sessions: Option<NonZeroUsize>,
    #[arg(long, value_name = "ENVS", help = help("Environments of one session", limits().envs_per_session_max))]
    pub max_envs_per_session: Option<NonZeroUsize>,
    #[arg(long, value_name = "ENVS", help = help("Environments of all sessions together", limits().envs_total_max))]
    pub max_envs: Option<NonZeroUsize>,
    #[arg(long, value_name = "ENVS", help = help(
        "Environments of one engine that sessions share; further ones get an engine of their own",
        limits().envs_per_pool_max
    ))]
    pub max_envs_per_engine: Option<NonZeroUsize>,
    #[arg(long, value_name = "MB", help = help(
        "Megabytes (10⁶ bytes) of observations that one session may share; it gets them by message if they are more",
        limits().shared_bytes_max / MB
    ))]
    pub max_shared_mb: Option<u32>,
    /// Megabytes (10⁶ bytes) that all engines and the shared memory of all sessions may take together, as far as they are
    /// known to; three quarters of what is free at the start if not given.
    #[arg(long, value_name = "MB")]
    pub max_memory_mb: Option<NonZeroU64>,
    #[arg(long, value_name = "MB", help = help(
        "Megabytes (10⁶ bytes) of one frame of a message; a peer that sends more is cut off",
        limits().frame_bytes_max / MB
    ))]
    pub max_message_mb: Option<NonZeroU32>,
    #[arg(long, value_name = "S", help = help(
        "Seconds without a message after which a session is dropped", limits().lease.as_secs()
    ))]
    pub lease_s: Option<u64>,
    #[arg(long, value_name = "MS", help = help(
        "Milliseconds after its last step from which on a session is not waited for", limits().idle_after.as_millis()
    ))]
    pub idle_ms: Option<u64>,
    #[arg(long, value_name = "MS", help = help(
        "Milliseconds that a peer may take to shake hands", limits().handshake.as_millis()
    ))]
    pub handshake_ms: Option<u64>,
    #[arg(long, value_name = "S", help = help(
        "Seconds for which a server that is told to end goes on serving the sessions that it has", limits().drain.as_secs()
    ))]
    pub drain_s: Option<u64>,
    /// Megabytes (10⁶ bytes) that one dream may take, all its environments together; half of what is free, or 0.9
    /// of it on GPUs, if not given.
    #[arg(long, value_name = "MB")]
    pub memory_mb: Option<u64>,
    /// Where to answer `GET /metrics` (for Prometheus) and `GET /healthz`, for instance 127.0.0.1:9447; nowhere if not
    /// given.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
    /// Lets --metrics be an address that other machines reach: it has neither password nor encryption.
    #[arg(long)]
    pub metrics_unprotected: bool,
    /// How the log on stderr looks: lines for people (the default) or one JSON object a line.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// From which level on events are written: $WORLDSTEP_LOG or `info` by default.
    #[arg(long, value_enum, value_name = "LEVEL")]
    pub log: Option<LogLevel>,
}

fn help(what: &str, default: impl std::fmt::Display) -> String {
    format!("{what} [default: {default}]")
}

fn limits() -> Limits {
    Limits::default()
}

impl ServeConfig {
    /// What flags, environment, `file` and defaults come to, in this order; all is set but what has no default.
    pub fn effective(self, file: Option<&Path>) -> Result<Self> {
        let from_file = file.map(Self::load).transpose()?.unwrap_or_default();
        let from_environment = Self { log: level_from_environment()?, ..Self::default() };
        let config = self.or(from_environment).or(from_file).or(Self::defaults());
        config.check()?;
        Ok(config)
    }

    fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).map_err(|error| SynthError::config(path, &text, &error).into())
    }

    /// Its own values, and `other`'s where it has none.
    fn or(self, other: Self) -> Self {
        Self {
            model: self.model.or(other.model),
            device: self.device.or(other.device),
            bind: self.bind.or(other.bind),
            curve_key: self.curve_key.or(other.curve_key),
            allow_clients: self.allow_clients.or(other.allow_clients),
            robots: if self.robots.is_empty() { other.robots } else { self.robots },
            audit: self.audit.or(other.audit),
            devices: self.devices.or(other.devices),
            products: self.products.or(other.products),
            max_batch: self.max_batch.or(other.max_batch),
            max_wait_us: self.max_wait_us.or(other.max_wait_us),
            max_sessions: self.max_sessions.or(other.max_sessions),
            max_envs_per_session: self.max_envs_per_session.or(other.max_envs_per_session),
            max_envs: self.max_envs.or(other.max_envs),
            max_envs_per_engine: self.max_envs_per_engine.or(other.max_envs_per_engine),
            max_shared_mb: self.max_shared_mb.or(other.max_shared_mb),
            max_memory_mb: self.max_memory_mb.or(other.max_memory_mb),
            max_message_mb: self.max_message_mb.or(other.max_message_mb),
            lease_s: self.lease_s.or(other.lease_s),
            idle_ms: self.idle_ms.or(other.idle_ms),
            handshake_ms: self.handshake_ms.or(other.handshake_ms),
            drain_s: self.drain_s.or(other.drain_s),
            memory_mb: self.memory_mb.or(other.memory_mb),
            metrics: self.metrics.or(other.metrics),
            metrics_unprotected: self.metrics_unprotected || other.metrics_unprotected,
            log_format: self.log_format.or(other.log_format),
            log: self.log.or(other.log),
        }
    }

    fn defaults() -> Self {
        let limits = limits();
        Self {
            device: Some("cpu".to_owned()),
            bind: Some("tcp://127.0.0.1:7447".to_owned()),
            audit: Some(0),
            devices: NonZeroU8::new(1),
            products: Some(ProductNumbers::default()),
            max_batch: NonZeroUsize::new(limits.batch_max),
            max_wait_us: Some(limits.wait_max.as_micros() as u64),
            max_sessions: NonZeroUsize::new(limits.sessions_max),
            max_envs_per_session: NonZeroUsize::new(limits.envs_per_session_max),
            max_envs: NonZeroUsize::new(limits.envs_total_max),
            max_envs_per_engine: NonZeroUsize::new(limits.envs_per_pool_max),
            max_shared_mb: Some((limits.shared_bytes_max / MB) as u32),
            max_memory_mb: free_bytes().and_then(|free| NonZeroU64::new(free / 4 * 3 / MB as u64)),
            max_message_mb: NonZeroU32::new((limits.frame_bytes_max / MB) as u32),
            lease_s: Some(limits.lease.as_secs()),
            idle_ms: Some(limits.idle_after.as_millis() as u64),
            handshake_ms: Some(limits.handshake.as_millis() as u64),
            drain_s: Some(limits.drain.as_secs()),
            log_format: Some(LogFormat::default()),
            log: Some(LogLevel::default()),
            ..Self::default()
        }
    }

    fn check(&self) -> Result<()> {
        let spans = [
            ("lease_s", self.lease_s, 1, LEASE_S_MAX, "seconds"),
            ("max_wait_us", self.max_wait_us, 0, WAIT_US_MAX, "microseconds"),
            ("drain_s", self.drain_s, 0, DRAIN_S_MAX, "seconds"),
            ("idle_ms", self.idle_ms, 0, IDLE_MS_MAX, "milliseconds"),
            ("handshake_ms", self.handshake_ms, 1, HANDSHAKE_MS_MAX, "milliseconds"),
        ];
        for (name, span, least, most, unit) in spans {
            if let Some(span) = span.filter(|span| !(least..=most).contains(span)) {
                bail!("{name} is {span}, expected {least} to {most} {unit}");
            }
        }
        ensure!(
            self.curve_key.is_some() == self.allow_clients.is_some(),
            "--curve-key (the server's secret key) and --allow-clients (the folder of its clients' public ones) belong together"
        );
        ensure!(
            self.metrics.is_some() || !self.metrics_unprotected,
            "metrics_unprotected is set without metrics: say where, for instance --metrics 0.0.0.0:9447"
        );
        Ok(())
    }

    /// What the server bounds.
    pub fn limits(&self) -> Limits {
        let base = limits();
        let count = |count: Option<NonZeroUsize>, default| count.map_or(default, NonZeroUsize::get);
        Limits {
            sessions_max: count(self.max_sessions, base.sessions_max),
            envs_per_session_max: count(self.max_envs_per_session, base.envs_per_session_max),
            envs_total_max: count(self.max_envs, base.envs_total_max),
            batch_max: count(self.max_batch, base.batch_max),
            frame_bytes_max: self.max_message_mb.map_or(base.frame_bytes_max, |mb| mb.get() as usize * MB),
            memory_bytes_max: self.max_memory_mb.map(|mb| mb.get().saturating_mul(MB as u64)),
            lease: self.lease_s.map_or(base.lease, Duration::from_secs),
            drain: self.drain_s.map_or(base.drain, Duration::from_secs),
            wait_max: self.max_wait_us.map_or(base.wait_max, Duration::from_micros),
            envs_per_pool_max: count(self.max_envs_per_engine, base.envs_per_pool_max),
            // Part of the protocol, not of a server's means.
            in_flight_max: base.in_flight_max,
            shared_bytes_max: self.max_shared_mb.map_or(base.shared_bytes_max, |mb| mb as usize * MB),
            idle_after: self.idle_ms.map_or(base.idle_after, Duration::from_millis),
            handshake: self.handshake_ms.map_or(base.handshake, Duration::from_millis),
        }
    }

    /// Bytes that one dream may take, if that is bounded.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        self.memory_mb.map(|mb| mb.saturating_mul(MB as u64))
    }
}

fn level_from_environment() -> Result<Option<LogLevel>> {
    let Some(text) = std::env::var_os(LOG_VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    let text = text.to_string_lossy();
    match LogLevel::from_str(&text, true) {
        Ok(level) => Ok(Some(level)),
        Err(_) => {
            bail!("{LOG_VARIABLE} is {text:?}, expected off, error, warn, info, debug or trace")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
