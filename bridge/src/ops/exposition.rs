use std::fmt::Write as _;

use super::{PoolFigures, ProcessFigures, Snapshot, Summary};

/// What the counters count; others are told without such a line's help.
const COUNTERS: &[(&str, &str)] = &[
    ("messages", "Messages that came in, garbage included."),
    ("refusals", "Requests that were answered with an error."),
    ("replays", "Repeated requests that were answered from the cache."),
    ("sessions_opened", "Sessions that were opened."),
    ("sessions_expired", "Sessions that ended because their lease ran out."),
    ("pools_grown", "Moves of a shared engine's sessions into a larger one."),
    ("engines_failed", "Engines that failed and were ended with their sessions."),
];

/// Counters that are told by kind of pool instead.
const BY_POOL: &[&str] = &["env_steps", "engine_calls", "engine_calls_merged"];

const GAUGES: &[(&str, &str)] = &[
    ("sessions", "Live sessions."),
    ("sessions_max", "Sessions that there may be."),
    ("envs", "Environments of all sessions."),
    ("envs_max", "Environments that all sessions may have together."),
    ("memory_bytes", "Memory that engines and shared memory are counted with."),
    ("memory_bytes_max", "Memory that they may take together."),
];

type Labels = [(&'static str, String); 3];
/// What is told of each kind of pool: name, type, help, value.
type Family<T> = (&'static str, &'static str, &'static str, fn(&PoolFigures) -> T);

/// A server's figures in Prometheus' text format, version 0.0.4: names begin with `worldstep_`, times are seconds, sizes
/// bytes. Those of the process have the names that Prometheus' own libraries give them.
pub fn exposition(snapshot: &Snapshot, process: &ProcessFigures) -> String {
    let mut text = Text(String::new());
    let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
    text.heading("worldstep_build_info", "gauge", "Always 1; the version is its label.");
    text.sample("worldstep_build_info", &version, 1.0);
    for (name, value) in &snapshot.gauges {
        // How many pools there are is the sum over their kinds.
        if *name != "pools" {
            let help = help(GAUGES, name);
            text.single(&format!("worldstep_{}", metric_name(name)), "gauge", help, *value);
        }
    }
    for (name, count) in snapshot.counts.iter().filter(|(name, _)| !BY_POOL.contains(*name)) {
        let help = help(COUNTERS, name);
        text.single(&format!("worldstep_{}_total", metric_name(name)), "counter", help, *count as f64);
    }
    for (name, (sum, count)) in &snapshot.means {
        let metric = format!("worldstep_{}", metric_name(name));
        text.heading(&metric, "summary", "What audits found: truth beside dream.");
        text.sample(&format!("{metric}_sum"), &[], *sum);
        text.sample(&format!("{metric}_count"), &[], *count as f64);
    }
    pools(&mut text, snapshot);
    of_process(&mut text, process);
    text.0
}

fn pools(text: &mut Text, snapshot: &Snapshot) {
    let rows: Vec<_> = snapshot.pools.iter().map(|(kind, row)| (kind.labels(), row)).collect();
    let values: [Family<f64>; 7] = [
        ("pools", "gauge", "Engines.", |row| row.pools as f64),
        ("pool_sessions", "gauge", "Sessions with environments in these engines.", |row| row.sessions as f64),
        ("pool_envs", "gauge", "Environments that sessions hold.", |row| row.envs as f64),
        ("pool_lanes", "gauge", "Environments that there are, held or spare.", |row| row.lanes as f64),
        ("env_steps_total", "counter", "Steps of single environments.", |row| row.work.env_steps as f64),
        ("engine_calls_total", "counter", "Calls to engines.", |row| row.work.call_s.count as f64),
        ("engine_calls_merged_total", "counter", "Calls that stepped several sessions at once.", |row| {
            row.work.calls_merged as f64
        }),
    ];
    for (name, kind, help, value) in values {
        let name = format!("worldstep_{name}");
        text.heading(&name, kind, help);
        rows.iter().for_each(|(labels, row)| text.sample(&name, labels, value(row)));
    }
    let summaries: [Family<Summary>; 3] = [
        ("step_wait_seconds", "summary", "How long steps waited for their call.", |row| row.work.wait_s),
        (
            "engine_call_seconds",
            "summary",
            "How long calls took: the engine's time on processor or GPU.",
            |row| row.work.call_s,
        ),
        ("batch_envs", "summary", "Environments that a call stepped.", |row| row.work.batch_envs),
    ];
    for (name, kind, help, summary) in summaries {
        let name = format!("worldstep_{name}");
        text.heading(&name, kind, help);
        rows.iter().for_each(|(labels, row)| text.summary(&name, labels, &summary(row)));
    }
}

fn of_process(text: &mut Text, process: &ProcessFigures) {
    let figures = [
        ("process_resident_memory_bytes", "gauge", "Memory in RAM.", process.resident_bytes),
        ("process_open_fds", "gauge", "Open file descriptors.", process.open_fds),
        ("process_max_fds", "gauge", "File descriptors that the system allows.", process.fds_max),
        ("process_threads", "gauge", "Threads.", process.threads),
        ("process_cpu_seconds_total", "counter", "Time on processors.", process.cpu_s),
        ("process_start_time_seconds", "gauge", "When it started, since 1970.", process.started_unix_s),
    ];
    for (name, kind, help, value) in figures {
        if let Some(value) = value {
            text.single(name, kind, help, value);
        }
    }
}

fn help(known: &[(&str, &'static str)], name: &str) -> &'static str {
    known.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
}

/// What Prometheus takes as a name: `audit/psnr_db` is `audit_psnr_db`.
fn metric_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

struct Text(String);

// Writing to a string does not fail.
impl Text {
    fn heading(&mut self, name: &str, kind: &str, help: &str) {
        if !help.is_empty() {
            let _ = writeln!(self.0, "# HELP {name} {help}");
        }
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.heading(name, kind, help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&'static str, String)], value: f64) {
        let labels: Vec<_> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {}", number(value));
    }

    fn summary(&mut self, name: &str, labels: &Labels, summary: &Summary) {
        for (quantile, value) in [("0.5", summary.p50), ("0.99", summary.p99)] {
            let labels: Vec<_> = labels.iter().cloned().chain([("quantile", quantile.to_owned())]).collect();
            self.sample(name, &labels, value.unwrap_or(f64::NAN));
        }
        self.sample(&format!("{name}_sum"), labels, summary.sum);
        self.sample(&format!("{name}_count"), labels, summary.count as f64);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "NaN".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
