use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Engine, MakeRequest, Observation};

/// Pools that are told apart in the figures. Pools that differ in less (autoreset, temperature) are told together, so
/// that there are never more rows than the catalogue has entries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolKind {
    /// Task id; shared, for every call to an engine tells its kind.
    pub task: Arc<str>,
    /// Engine behind it.
    pub engine: Engine,
    /// What is observed.
    pub obs: Observation,
}

impl PoolKind {
    /// The kind's labels: name and value.
    pub fn labels(&self) -> [(&'static str, String); 3] {
        let name = |variant: String| variant.to_lowercase();
        [
            ("engine", name(format!("{:?}", self.engine))),
            ("task", self.task.to_string()),
            ("obs", name(format!("{:?}", self.obs))),
        ]
    }

    /// What the flat names of its figures begin with: `pool/CartPole-v0/dream/rgb`.
    fn prefix(&self) -> String {
        let [(_, engine), (_, task), (_, obs)] = self.labels();
        format!("pool/{task}/{engine}/{obs}")
    }
}

impl From<&MakeRequest> for PoolKind {
    fn from(request: &MakeRequest) -> Self {
        Self { task: request.id.as_str().into(), engine: request.engine, obs: request.obs }
    }
}

/// Quantiles of the latest samples, sum and number of all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Median; `None` before the first sample.
    pub p50: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Sum of all samples since the start.
    pub sum: f64,
    /// Number of all samples since the start.
    pub count: u64,
}

/// What engines have done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkFigures {
    /// Steps of single environments.
    pub env_steps: u64,
    /// Calls that stepped several sessions at once.
    pub calls_merged: u64,
    /// How long steps waited for their call, seconds.
    pub wait_s: Summary,
    /// How long calls took, seconds: the engine's time on the processor or the GPU.
    pub call_s: Summary,
    /// Environments in a call.
    pub batch_envs: Summary,
}

/// Who holds what in the pools of one kind, and what these have done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolFigures {
    /// Engines.
    pub pools: usize,
    /// Sessions with environments in them.
    pub sessions: usize,
    /// Environments that are held.
    pub envs: usize,
    /// Environments that there are.
    pub lanes: usize,
    /// What they have done; engines that have gone count too.
    pub work: WorkFigures,
}

/// A server's figures of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counters.
    pub counts: BTreeMap<&'static str, u64>,
    /// Sum and number of what means are told of.
    pub means: BTreeMap<&'static str, (f64, u64)>,
    /// What is so now: sessions, pools, environments and their limits.
    pub gauges: BTreeMap<&'static str, f64>,
    /// What all engines have done.
    pub total: WorkFigures,
    /// The pools by their kind.
    pub pools: BTreeMap<PoolKind, PoolFigures>,
}

impl Snapshot {
    /// Sets a gauge.
    pub fn gauge(&mut self, name: &'static str, value: f64) {
        self.gauges.insert(name, value);
    }

    /// Adds a pool with its sessions, the environments that they hold, and those that there are.
    pub fn add_pool(&mut self, kind: PoolKind, sessions: usize, envs: usize, lanes: usize) {
        let row = self.pools.entry(kind).or_default();
        row.pools += 1;
        row.sessions += sessions;
        row.envs += envs;
        row.lanes += lanes;
    }

    /// All figures by name, as clients get them; a mean has the number of its values beside it, as `NAME_count`, and a
    /// pool's figures begin with `pool/TASK/ENGINE/OBS/`.
    pub fn figures(&self) -> BTreeMap<String, f64> {
        let counts = self.counts.iter().map(|(name, count)| ((*name).to_owned(), *count as f64));
        let gauges = self.gauges.iter().map(|(name, value)| ((*name).to_owned(), *value));
        let mut figures: BTreeMap<_, _> = counts.chain(gauges).collect();
        for (name, (sum, count)) in &self.means {
            figures.insert((*name).to_owned(), sum / *count as f64);
            figures.insert(format!("{name}_count"), *count as f64);
        }
        self.total.insert_into(&mut figures, "");
        for (kind, row) in &self.pools {
            let prefix = format!("{}/", kind.prefix());
            let held = [
                ("pools", row.pools as f64),
                ("sessions", row.sessions as f64),
                ("envs", row.envs as f64),
                ("lanes", row.lanes as f64),
                ("env_steps", row.work.env_steps as f64),
                ("engine_calls", row.work.call_s.count as f64),
                ("engine_calls_merged", row.work.calls_merged as f64),
            ];
            figures.extend(held.map(|(name, value)| (format!("{prefix}{name}"), value)));
            row.work.insert_into(&mut figures, &prefix);
        }
        figures
    }
}

impl WorkFigures {
    /// Times in milliseconds, as clients have always had them, and the engines' time in seconds.
    fn insert_into(&self, figures: &mut BTreeMap<String, f64>, prefix: &str) {
        let summaries = [
            ("wait_ms", self.wait_s, 1e3),
            ("call_ms", self.call_s, 1e3),
            ("batch_envs", self.batch_envs, 1.0),
        ];
        for (name, summary, scale) in summaries {
            for (suffix, value) in [("p50", summary.p50), ("p99", summary.p99)] {
                figures.extend(value.map(|value| (format!("{prefix}{name}_{suffix}"), value * scale)));
            }
        }
        if self.call_s.count > 0 {
            figures.insert(format!("{prefix}engine_s"), self.call_s.sum);
        }
    }
}
