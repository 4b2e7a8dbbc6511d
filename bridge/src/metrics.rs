//! Counters, means, and quantiles over the latest samples.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Latest samples of which quantiles are told.
const SAMPLES_MAX: usize = 4096;

/// What a server has done and how long its clients waited.
#[derive(Debug, Default)]
pub struct Metrics {
    counts: BTreeMap<&'static str, u64>,
    /// Sum and count of what means are told of.
    means: BTreeMap<&'static str, (f64, u64)>,
    waits_ms: Samples,
    calls_ms: Samples,
    batch_envs: Samples,
}

#[derive(Debug, Default)]
struct Samples(VecDeque<f64>);

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

    /// Records one call to an engine: how many sessions and environments it stepped, and how long it took.
    pub fn engine_call(&mut self, sessions: usize, envs: usize, took: Duration) {
        self.count("engine_calls", 1);
        self.count("engine_calls_merged", usize::from(sessions > 1));
        self.count("env_steps", envs);
        self.batch_envs.push(envs as f64);
        self.calls_ms.push(took.as_secs_f64() * 1e3);
    }

    /// Records how long a step waited before its engine was called.
    pub fn wait(&mut self, wait: Duration) {
        self.waits_ms.push(wait.as_secs_f64() * 1e3);
    }

    /// All figures by name; a mean has the number of its values beside it, as `NAME_count`.
    pub fn snapshot(&self) -> BTreeMap<String, f64> {
        let mut figures: BTreeMap<_, _> =
            self.counts.iter().map(|(name, count)| ((*name).to_owned(), *count as f64)).collect();
        for (name, (sum, count)) in &self.means {
            figures.insert((*name).to_owned(), sum / *count as f64);
            figures.insert(format!("{name}_count"), *count as f64);
        }
        let sampled =
            [("wait_ms", &self.waits_ms), ("call_ms", &self.calls_ms), ("batch_envs", &self.batch_envs)];
        for (name, samples) in sampled {
            for (suffix, quantile) in [("p50", 0.5), ("p99", 0.99)] {
                if let Some(value) = samples.quantile(quantile) {
                    figures.insert(format!("{name}_{suffix}"), value);
                }
            }
        }
        figures
    }
}

impl Samples {
    fn push(&mut self, value: f64) {
        if self.0.len() == SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    fn quantile(&self, quantile: f64) -> Option<f64> {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(sorted[(last as f64 * quantile).round() as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_told_with_their_counts() {
        let mut metrics = Metrics::default();
        [1.0, 2.0, 6.0].into_iter().for_each(|value| metrics.average("audit/psnr_db", value));
        let figures = metrics.snapshot();
        assert_eq!((figures["audit/psnr_db"], figures["audit/psnr_db_count"]), (3.0, 3.0));
    }

    #[test]
    fn quantiles_are_of_the_samples() {
        let mut metrics = Metrics::default();
        for ms in 0..=100 {
            metrics.wait(Duration::from_millis(ms));
        }
        let figures = metrics.snapshot();
        assert_eq!((figures["wait_ms_p50"], figures["wait_ms_p99"]), (50.0, 99.0));
        assert!(!figures.contains_key("call_ms_p50"), "no call, no quantile");
    }
}
