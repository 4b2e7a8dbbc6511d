use std::collections::BTreeMap;

use blake3::Hasher;

use super::episodes::EpisodeEntry;
use super::stats::FeatureStats;

/// What is kept of the episodes of finished files; its size does not grow with their number.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Episodes.
    pub episodes: usize,
    /// Rows of all of them.
    pub frames: usize,
    /// Units.
    pub units: usize,
    /// Episodes by outcome.
    pub outcomes: BTreeMap<String, usize>,
    /// Attempts that were rejected, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Sound attempts that were passed over so that outcomes and events are balanced.
    pub redrawn: u64,
    /// One entry a feature, over all rows.
    pub stats: Vec<FeatureStats>,
    last_unit: Option<usize>,
    hasher: Hasher,
}

impl Totals {
    /// Takes the next episode in.
    pub fn add(&mut self, entry: &EpisodeEntry) {
        self.episodes += 1;
        self.frames += entry.length;
        // Units come in order, so a unit is new if it is not the last one.
        if self.last_unit != Some(entry.facts.unit) {
            self.last_unit = Some(entry.facts.unit);
            self.units += 1;
        }
        if !entry.facts.outcome.is_empty() {
            *self.outcomes.entry(entry.facts.outcome.clone()).or_default() += 1;
        }
        for (reason, count) in &entry.facts.rejected {
            *self.rejected.entry(reason.clone()).or_default() += count;
        }
        self.redrawn += entry.facts.redrawn;
        self.hasher.update(entry.hash.as_bytes());
        self.stats.resize_with(entry.stats.len(), FeatureStats::default);
        for (total, stats) in self.stats.iter_mut().zip(&entry.stats) {
            total.add(stats);
        }
    }

    /// BLAKE3 over the episodes' content hashes in order, hexadecimal.
    pub fn hash(&self) -> String {
        self.hasher.finalize().to_hex().to_string()
    }
}
