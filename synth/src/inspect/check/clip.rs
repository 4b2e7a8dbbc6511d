use arrow_array::RecordBatch;

use super::super::clip_reader;
use super::super::dataset::Dataset;
use super::super::fault::{Code, Fault};
use super::super::tables::EpisodeTables;
use super::{labels, motion, optics, positions, statistics, values};
use crate::lerobot::{EpisodeEntry, content_hash};

/// One clip and what is said about it.
pub struct ClipCheck<'a> {
    pub dataset: &'a Dataset,
    pub entry: &'a EpisodeEntry,
    pub batch: &'a RecordBatch,
}

impl ClipCheck<'_> {
    /// Decodes the clip; rows, and what is wrong with them.
    pub fn run(&self, tables: EpisodeTables) -> (usize, Vec<Fault>) {
        let mut faults = positions::check(self);
        let clip = match clip_reader::clip(self.batch, &self.dataset.features, self.entry, tables) {
            Ok(clip) => clip,
            Err(fault) => {
                faults.push(fault);
                return (0, faults);
            }
        };
        let hash = content_hash(&clip, &self.dataset.features);
        if hash != self.entry.hash {
            let message = format!("content hash is {hash}, but meta/episodes says {}", self.entry.hash);
            faults.push(Fault::new(Code::Hash, message));
        }
        let rows = self.dataset.rows(&clip);
        faults.extend(statistics::check_clip(self, &clip));
        let broken = faults.len();
        faults.extend(values::check(&rows));
        // What follows computes with these values; where they make no sense already, it would only repeat that.
        if faults.len() == broken {
            faults.extend(labels::check(&rows));
            if clip.facts.links.violation.is_empty() {
                faults.extend(motion::check(&rows));
                faults.extend(optics::check(&rows));
            }
        }
        (clip.len, faults)
    }
}
