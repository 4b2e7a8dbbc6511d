use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// Figures by name, as a server gives them.
pub type Figures = BTreeMap<String, f64>;

/// What the figures of two moments say about a server.
#[derive(Debug, PartialEq, Serialize)]
pub struct View {
    /// Where it listens.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Time between the two moments, seconds: rates are of it.
    pub interval_s: f64,
    sessions: f64,
    sessions_max: Option<f64>,
    sessions_opened: f64,
    sessions_expired: f64,
    envs: f64,
    envs_max: Option<f64>,
    refusals_per_s: f64,
    replays: f64,
    engines_failed: f64,
    process_rss_bytes: Option<f64>,
    process_open_fds: Option<f64>,
    process_fds_max: Option<f64>,
    /// All pools together.
    total: Work,
    pools: Vec<PoolRow>,
    /// Those that have been silent longest, first.
    silent_sessions: Vec<SessionRow>,
}

/// A session: for one that is silent, those who share its engine wait.
#[derive(Debug, PartialEq, Serialize)]
struct SessionRow {
    session: String,
    task: String,
    engine: String,
    obs: String,
    envs: f64,
    idle_s: f64,
}

/// The pools of one task, engine and observation.
#[derive(Debug, PartialEq, Serialize)]
struct PoolRow {
    task: String,
    engine: String,
    obs: String,
    pools: f64,
    sessions: f64,
    envs: f64,
    lanes: f64,
    #[serde(flatten)]
    work: Work,
}

/// What engines did in the interval, and quantiles of the latest calls.
#[derive(Debug, PartialEq, Serialize)]
struct Work {
    env_steps_per_s: f64,
    engine_calls_per_s: f64,
    /// Share of the interval that engines were at work; above 1 if several were at once.
    engine_busy: f64,
    batch_envs_p50: Option<f64>,
    batch_envs_p99: Option<f64>,
    wait_ms_p50: Option<f64>,
    wait_ms_p99: Option<f64>,
    call_ms_p50: Option<f64>,
    call_ms_p99: Option<f64>,
}

/// Two moments of a server.
struct Readings<'a> {
    before: &'a Figures,
    now: &'a Figures,
    seconds: f64,
}

impl Readings<'_> {
    fn value(&self, name: &str) -> f64 {
        self.now.get(name).copied().unwrap_or(0.0)
    }

    fn optional(&self, name: &str) -> Option<f64> {
        self.now.get(name).copied()
    }

    /// A server that was restarted in between counts from 0.
    fn rate(&self, name: &str) -> f64 {
        let before = self.before.get(name).copied().unwrap_or(0.0);
        (self.value(name) - before).max(0.0) / self.seconds
    }

    fn work(&self, prefix: &str) -> Work {
        let rate = |name: &str| self.rate(&format!("{prefix}{name}"));
        let optional = |name: &str| self.optional(&format!("{prefix}{name}"));
        Work {
            env_steps_per_s: rate("env_steps"),
            engine_calls_per_s: rate("engine_calls"),
            engine_busy: rate("engine_s"),
            batch_envs_p50: optional("batch_envs_p50"),
            batch_envs_p99: optional("batch_envs_p99"),
            wait_ms_p50: optional("wait_ms_p50"),
            wait_ms_p99: optional("wait_ms_p99"),
            call_ms_p50: optional("call_ms_p50"),
            call_ms_p99: optional("call_ms_p99"),
        }
    }

    /// One row for each `pool/TASK/ENGINE/OBS`.
    fn pools(&self) -> Vec<PoolRow> {
        let kinds = self.now.keys().filter_map(|name| {
            let kind = name.strip_prefix("pool/")?.strip_suffix("/pools")?;
            let mut parts = kind.split('/');
            Some((parts.next()?, parts.next()?, parts.next()?))
        });
        let row = |(task, engine, obs): (&str, &str, &str)| {
            let prefix = format!("pool/{task}/{engine}/{obs}/");
            let value = |name: &str| self.value(&format!("{prefix}{name}"));
            PoolRow {
                task: task.to_owned(),
                engine: engine.to_owned(),
                obs: obs.to_owned(),
                pools: value("pools"),
                sessions: value("sessions"),
                envs: value("envs"),
                lanes: value("lanes"),
                work: self.work(&prefix),
            }
        };
        kinds.map(row).collect()
    }

    /// One row for each `session/LABEL/TASK/ENGINE/OBS`.
    fn silent_sessions(&self) -> Vec<SessionRow> {
        let row = |(name, idle_s): (&String, &f64)| {
            let prefix = name.strip_suffix("/idle_s")?;
            let mut parts = prefix.strip_prefix("session/")?.split('/').map(str::to_owned);
            Some(SessionRow {
                session: parts.next()?,
                task: parts.next()?,
                engine: parts.next()?,
                obs: parts.next()?,
                envs: self.value(&format!("{prefix}/envs")),
                idle_s: *idle_s,
            })
        };
        let mut rows: Vec<_> = self.now.iter().filter_map(row).collect();
        rows.sort_by(|a, b| b.idle_s.total_cmp(&a.idle_s));
        rows
    }
}

impl View {
    /// What happened from `before` to `now`, which is `interval` later.
    pub fn new(address: &str, version: &str, before: &Figures, now: &Figures, interval: Duration) -> Self {
        let seconds = interval.as_secs_f64().max(1e-9);
        let readings = Readings { before, now, seconds };
        Self {
            address: address.to_owned(),
            version: version.to_owned(),
            interval_s: seconds,
            sessions: readings.value("sessions"),
            sessions_max: readings.optional("sessions_max"),
            sessions_opened: readings.value("sessions_opened"),
            sessions_expired: readings.value("sessions_expired"),
            envs: readings.value("envs"),
            envs_max: readings.optional("envs_max"),
            refusals_per_s: readings.rate("refusals"),
            replays: readings.value("replays"),
            engines_failed: readings.value("engines_failed"),
            process_rss_bytes: readings.optional("process_rss_bytes"),
            process_open_fds: readings.optional("process_open_fds"),
            process_fds_max: readings.optional("process_fds_max"),
            total: readings.work(""),
            pools: readings.pools(),
            silent_sessions: readings.silent_sessions(),
        }
    }

    /// Lines for a terminal.
    pub fn lines(&self) -> Vec<String> {
        let of = |max: Option<f64>| max.map(|max| format!(" of {max}")).unwrap_or_default();
        let mut lines = vec![
            format!(
                "worldstep {} at {} · {:.1} s · {:.0} MB in RAM · {} descriptors{}",
                self.version,
                self.address,
                self.interval_s,
                self.process_rss_bytes.unwrap_or(f64::NAN) / 1e6,
                self.process_open_fds.unwrap_or(f64::NAN),
                of(self.process_fds_max),
            ),
            format!(
                "sessions {}{} ({} opened, {} expired) · environments {}{} · {:.1} refusals/s · {} replays · {} engines \
                 failed",
                self.sessions,
                of(self.sessions_max),
                self.sessions_opened,
                self.sessions_expired,
                self.envs,
                of(self.envs_max),
                self.refusals_per_s,
                self.replays,
                self.engines_failed,
            ),
            String::new(),
            heading(),
        ];
        let all = ["all", "", ""];
        let held = [
            self.pools.iter().map(|row| row.pools).sum(),
            self.sessions,
            self.envs,
            self.pools.iter().map(|row| row.lanes).sum(),
        ];
        lines.push(table_row(all, held, &self.total));
        for row in &self.pools {
            let names = [row.task.as_str(), &row.engine, &row.obs];
            lines.push(table_row(names, [row.pools, row.sessions, row.envs, row.lanes], &row.work));
        }
        if !self.silent_sessions.is_empty() {
            lines.push(String::new());
            lines.push(format!(
                "{:<22} {:<6} {:<6} {:<8} {:>5} {:>8}",
                "task", "engine", "obs", "session", "envs", "silent s"
            ));
        }
        lines.extend(self.silent_sessions.iter().map(|row| {
            let SessionRow { session, task, engine, obs, envs, idle_s } = row;
            format!("{task:<22} {engine:<6} {obs:<6} {session:<8} {envs:>5} {idle_s:>8.1}")
        }));
        lines
    }
}

fn heading() -> String {
    format!(
        "{:<22} {:<6} {:<6} {:>5} {:>8} {:>6} {:>6} {:>9} {:>8} {:>11} {:>13} {:>13} {:>5}",
        "task",
        "engine",
        "obs",
        "pools",
        "sessions",
        "envs",
        "lanes",
        "steps/s",
        "calls/s",
        "batch",
        "wait ms",
        "call ms",
        "busy"
    )
}

/// Quantiles stand as p50/p99.
fn table_row([task, engine, obs]: [&str; 3], held: [f64; 4], work: &Work) -> String {
    let [pools, sessions, envs, lanes] = held;
    format!(
        "{task:<22} {engine:<6} {obs:<6} {pools:>5} {sessions:>8} {envs:>6} {lanes:>6} {:>9.0} {:>8.0} {:>11} {:>13} \
         {:>13} {:>4.0}%",
        work.env_steps_per_s,
        work.engine_calls_per_s,
        pair(work.batch_envs_p50, work.batch_envs_p99, 0),
        pair(work.wait_ms_p50, work.wait_ms_p99, 2),
        pair(work.call_ms_p50, work.call_ms_p99, 2),
        work.engine_busy * 100.0,
    )
}

fn pair(p50: Option<f64>, p99: Option<f64>, decimals: usize) -> String {
    match (p50, p99) {
        (Some(p50), Some(p99)) => format!("{p50:.decimals$}/{p99:.decimals$}"),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(pairs: &[(&str, f64)]) -> Figures {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    fn view() -> View {
        let prefix = "pool/CartPole-v0/dream/rgb/";
        let own = |steps: f64, engine_s: f64| {
            let names = [("pools", 1.0), ("sessions", 2.0), ("envs", 48.0), ("lanes", 64.0)];
            let work = [("env_steps", steps), ("engine_calls", steps / 48.0), ("engine_s", engine_s)];
            let quantiles = [("call_ms_p50", 12.5), ("call_ms_p99", 31.25)];
            let named = names.into_iter().chain(work).chain(quantiles);
            named.map(|(name, value)| (format!("{prefix}{name}"), value)).collect::<Figures>()
        };
        let mut now = figures(&[("sessions", 2.0), ("sessions_max", 256.0), ("env_steps", 1440.0)]);
        now.extend(own(1440.0, 2.5));
        for (label, envs, idle_s) in [("aaaaaaaa", 40.0, 0.5), ("bbbbbbbb", 8.0, 61.25)] {
            let prefix = format!("session/{label}/CartPole-v0/dream/rgb");
            now.extend([(format!("{prefix}/envs"), envs), (format!("{prefix}/idle_s"), idle_s)]);
        }
        let before = own(480.0, 1.0);
        View::new("tcp://127.0.0.1:7447", "0.1.0", &before, &now, Duration::from_secs(2))
    }

    #[test]
    fn rates_are_of_the_interval() {
        let view = view();
        let row = &view.pools[0];
        assert_eq!(
            (row.work.env_steps_per_s, row.work.engine_calls_per_s, row.work.engine_busy),
            (480.0, 10.0, 0.75)
        );
        assert_eq!(
            (row.task.as_str(), row.engine.as_str(), row.obs.as_str()),
            ("CartPole-v0", "dream", "rgb")
        );
        assert_eq!(row.work.wait_ms_p50, None);
    }

    #[test]
    fn a_restarted_server_has_no_negative_rates() {
        let (before, now) = (figures(&[("env_steps", 900.0)]), figures(&[("env_steps", 30.0)]));
        let view = View::new("", "", &before, &now, Duration::from_secs(1));
        assert_eq!(view.total.env_steps_per_s, 0.0);
    }

    #[test]
    fn the_table_stands_in_columns() {
        let lines = view().lines();
        assert!(lines[1].starts_with("sessions 2 of 256 "), "{}", lines[1]);
        let rows = &lines[3..6];
        assert_eq!(lines[6], "", "heading, all, one pool, then the sessions");
        let widths: Vec<_> = rows.iter().map(|row| row.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{widths:?}");
        assert!(
            rows[2].contains("CartPole-v0") && rows[2].contains("12.50/31.25") && rows[2].ends_with(" 75%")
        );
    }

    #[test]
    fn who_has_been_silent_longest_comes_first() {
        let lines = view().lines();
        let rows = &lines[8..];
        assert!(rows[0].contains("bbbbbbbb") && rows[0].ends_with(" 8     61.2"), "{rows:?}");
        assert!(rows[1].contains("aaaaaaaa") && rows.len() == 2, "{rows:?}");
    }

    #[test]
    fn json_has_a_row_for_each_pool() {
        let json = serde_json::to_value(view()).unwrap_or_default();
        assert_eq!(json["pools"][0]["engine_busy"], 0.75);
        assert_eq!(json["pools"][0]["lanes"], 64.0);
        assert!(json["pools"][0]["wait_ms_p50"].is_null());
    }
}
