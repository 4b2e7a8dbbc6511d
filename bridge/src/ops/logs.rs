//! The log of a server on standard error: lines for people, or one JSON object a line for machines.

use std::fmt;
use std::io::IsTerminal as _;
use std::panic::PanicHookInfo;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt as lines, registry};

/// Crates whose events are written from the chosen level on; of others only warnings and errors are.
const OURS: [&str; 5] =
    ["worldstep", "worldstep_bridge", "worldstep_env", "worldstep_model", "worldstep_synth"];

/// How the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line: `time` (RFC 3339, UTC), `level`, `event`, then the event's own fields.
    Json,
}

/// From which level on events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Engines that failed.
    Error,
    /// Limits hit, garbage, sessions expired.
    Warn,
    /// Sessions and engines that come and go.
    #[default]
    Info,
    /// Every request that is refused.
    Debug,
    /// All there is.
    Trace,
}

impl LogLevel {
    fn filter(self) -> Targets {
        let level = match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        };
        let of_others = level.min(LevelFilter::WARN);
        Targets::new().with_default(of_others).with_targets(OURS.map(|name| (name, level)))
    }
}

/// Starts the log of this process; panics are written to it too. Does nothing if there is one already.
pub fn start(format: LogFormat, level: LogLevel) {
    let stderr = std::io::stderr;
    if subscriber(format, level, stderr, stderr().is_terminal()).try_init().is_ok() {
        std::panic::set_hook(Box::new(write_panic));
    }
}

type Log = Box<dyn Subscriber + Send + Sync>;

fn subscriber<W>(format: LogFormat, level: LogLevel, writer: W, colours: bool) -> Log
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = lines::layer().with_writer(writer).with_ansi(colours && format == LogFormat::Text);
    match format {
        LogFormat::Text => Box::new(registry().with(lines.with_target(false).with_filter(level.filter()))),
        LogFormat::Json => Box::new(registry().with(lines.event_format(Json).with_filter(level.filter()))),
    }
}

fn write_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let reason = panic.payload_as_str().unwrap_or("it gave no reason");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(thread, reason, place, "panic");
}

/// `tracing-subscriber` has such a format too, behind a feature that would build the whole renderer anew.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let said = fields.0.remove("message").unwrap_or_default();
        let mut object = Map::new();
        object.insert("time".to_owned(), time.into());
        object.insert("level".to_owned(), level.into());
        object.insert("event".to_owned(), said);
        object.extend(fields.0);
        writeln!(out, "{}", Value::Object(object))
    }
}

/// An event's fields as JSON.
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
