//! Counters, means, and quantiles over the latest samples, in all and by kind of pool.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::ops::{PoolFigures, PoolKind, Snapshot, Summary, WorkFigures};

/// Latest samples of which quantiles are told.
const SAMPLES_MAX: usize = 4096;

/// What a server has done and how long its clients waited.
#[derive(Debug, Default)]
pub struct Metrics {
    counts: BTreeMap<&'static str, u64>,
    /// Sum and count of what means are told of.
    means: BTreeMap<&'static str, (f64, u64)>,
    total: Work,
    kinds: BTreeMap<PoolKind, Work>,
}

/// What engines have done.
#[derive(Debug, Default)]
struct Work {
    env_steps: u64,
    calls_merged: u64,
    waits_s: Samples,
    calls_s: Samples,
    batch_envs: Samples,
}

/// The latest values, and sum and count of all.
#[derive(Debug, Default)]
struct Samples {
    latest: VecDeque<f64>,
    sum: f64,
    count: u64,
}

impl Metrics {
    /// Adds to a counter.
    pub fn count(&mut self, name: &'static str, by: usize) {
        *self.counts.entry(name).or_default() += by as u64;
    }

    /// Adds `value` to what the mean called `name` is of.
    pub fn average(&mut self, name: &'static str, value: f64) {
        let (sum, count) = self.means.entry(name).or_default();
        (*sum, *count) = (*sum + value, *count + 1);
    }

    /// Records one call to an engine of `kind`: how many sessions and environments it stepped, and how long it took.
    pub fn engine_call(&mut self, kind: &PoolKind, sessions: usize, envs: usize, took: Duration) {
        self.count("engine_calls", 1);
        self.count("engine_calls_merged", usize::from(sessions > 1));
        self.count("env_steps", envs);
        for work in [&mut self.total, work_of(&mut self.kinds, kind)] {
            work.env_steps += envs as u64;
            work.calls_merged += u64::from(sessions > 1);
            work.batch_envs.push(envs as f64);
            work.calls_s.push(took.as_secs_f64());
        }
    }

    /// Records how long a step waited before its engine, one of `kind`, was called.
    pub fn wait(&mut self, kind: &PoolKind, wait: Duration) {
        for work in [&mut self.total, work_of(&mut self.kinds, kind)] {
            work.waits_s.push(wait.as_secs_f64());
        }
    }

    /// All figures of this moment. Who holds what now is for the caller to add.
    pub fn snapshot(&self) -> Snapshot {
        let pools = self.kinds.iter().map(|(kind, work)| {
            (kind.clone(), PoolFigures { work: work.figures(), ..PoolFigures::default() })
        });
        Snapshot {
            counts: self.counts.clone(),
            means: self.means.clone(),
            gauges: BTreeMap::new(),
            total: self.total.figures(),
            pools: pools.collect(),
        }
    }
}

fn work_of<'a>(kinds: &'a mut BTreeMap<PoolKind, Work>, kind: &PoolKind) -> &'a mut Work {
    kinds.entry(kind.clone()).or_default()
}

impl Work {
    fn figures(&self) -> WorkFigures {
        WorkFigures {
            env_steps: self.env_steps,
            calls_merged: self.calls_merged,
            wait_s: self.waits_s.summary(),
            call_s: self.calls_s.summary(),
            batch_envs: self.batch_envs.summary(),
        }
    }
}

impl Samples {
    fn push(&mut self, value: f64) {
        if self.latest.len() == SAMPLES_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(value);
        self.sum += value;
        self.count += 1;
    }

    fn summary(&self) -> Summary {
        let mut values: Vec<_> = self.latest.iter().copied().collect();
        let mut quantile = |quantile: f64| {
            let last = values.len().checked_sub(1)?;
            let rank = (last as f64 * quantile).round() as usize;
            Some(*values.select_nth_unstable_by(rank, f64::total_cmp).1)
        };
        Summary { p50: quantile(0.5), p99: quantile(0.99), sum: self.sum, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Engine, Observation};

    fn kind(task: &str) -> PoolKind {
        PoolKind { task: task.into(), engine: Engine::Truth, obs: Observation::State }
    }

    #[test]
    fn means_are_told_with_their_counts() {
        let mut metrics = Metrics::default();
        [1.0, 2.0, 6.0].into_iter().for_each(|value| metrics.average("audit/psnr_db", value));
        let figures = metrics.snapshot().figures();
        assert_eq!((figures["audit/psnr_db"], figures["audit/psnr_db_count"]), (3.0, 3.0));
    }

    #[test]
    fn quantiles_are_of_the_latest_samples_and_sums_of_all() {
        let mut metrics = Metrics::default();
        (0..SAMPLES_MAX).for_each(|_| metrics.wait(&kind("A-v0"), Duration::from_secs(9)));
        for i in 0..SAMPLES_MAX {
            metrics.wait(&kind("A-v0"), Duration::from_millis((100 * i / (SAMPLES_MAX - 1)) as u64));
        }
        let snapshot = metrics.snapshot();
        let figures = snapshot.figures();
        assert_eq!((figures["wait_ms_p50"], figures["wait_ms_p99"]), (50.0, 98.0), "of 0 to 100 ms");
        assert!(!figures.contains_key("call_ms_p50"), "no call, no quantile");
        assert_eq!(snapshot.total.wait_s.count, 2 * SAMPLES_MAX as u64);
        assert!(snapshot.total.wait_s.sum > 9.0 * SAMPLES_MAX as f64);
    }

    #[test]
    fn each_kind_has_figures_of_its_own() {
        let mut metrics = Metrics::default();
        metrics.engine_call(&kind("A-v0"), 1, 8, Duration::from_millis(2));
        metrics.engine_call(&kind("B-v0"), 2, 32, Duration::from_millis(6));
        metrics.engine_call(&kind("B-v0"), 1, 16, Duration::from_millis(6));
        let figures = metrics.snapshot().figures();
        assert_eq!(
            (figures["env_steps"], figures["engine_calls"], figures["engine_calls_merged"]),
            (56.0, 3.0, 1.0)
        );
        assert_eq!(figures["pool/A-v0/truth/state/env_steps"], 8.0);
        assert_eq!(figures["pool/B-v0/truth/state/env_steps"], 48.0);
        assert_eq!(figures["pool/B-v0/truth/state/engine_s"], 0.012);
        assert_eq!(figures["pool/B-v0/truth/state/call_ms_p50"], 6.0);
    }
}
