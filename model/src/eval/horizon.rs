use std::collections::BTreeMap;

use super::pooled::Pooled;
use super::report::{Psnr, PsnrTable, TokenizerPsnr};
use crate::config::FRAME_BYTES;
use crate::data::{ClipRange, Clips};

/// Frames ahead that are reported.
const REPORTED: [usize; 4] = [1, 8, 16, 32];

/// Errors by horizon of the model, of repeating the last frame, and of the model under other actions.
#[derive(Default)]
pub struct Horizons {
    model: BTreeMap<usize, Pooled>,
    copy_last: BTreeMap<usize, Pooled>,
    shuffled: BTreeMap<usize, Pooled>,
    counts: BTreeMap<usize, usize>,
}

impl Horizons {
    /// Adds one clip: its dream under its own and under other actions, from the frame after the context on.
    pub fn add(&mut self, clips: &Clips, range: &ClipRange, context: usize, [own, other]: [&[u8]; 2]) {
        let last_seen = range.start + context - 1;
        for (i, frame) in own.chunks_exact(FRAME_BYTES).enumerate() {
            let (ahead, row) = (i + 1, last_seen + i + 1);
            if row >= range.start + range.len {
                break;
            }
            let (truth, classes) = (clips.frame(row), clips.classes(row));
            let pool = |table: &mut BTreeMap<usize, Pooled>, guess: &[u8]| {
                table.entry(ahead).or_default().add(truth, guess, classes, clips.classes(last_seen));
            };
            pool(&mut self.model, frame);
            pool(&mut self.copy_last, clips.frame(last_seen));
            pool(&mut self.shuffled, &other[i * FRAME_BYTES..(i + 1) * FRAME_BYTES]);
            *self.counts.entry(ahead).or_default() += 1;
        }
    }

    /// Clips that reach each reported horizon.
    pub fn counts(&self) -> BTreeMap<usize, usize> {
        REPORTED.iter().map(|ahead| (*ahead, self.counts.get(ahead).copied().unwrap_or(0))).collect()
    }

    /// The table of the report, and every horizon for curves.
    pub fn table(&self, tokenizer: &Pooled) -> PsnrTable {
        let rows = |table: &BTreeMap<usize, Pooled>| {
            table
                .iter()
                .map(|(ahead, pooled)| (*ahead, Psnr::from(pooled.psnr_db())))
                .collect::<BTreeMap<_, _>>()
        };
        let reported = |table: &BTreeMap<usize, Pooled>| {
            rows(table).into_iter().filter(|(ahead, _)| REPORTED.contains(ahead)).collect()
        };
        let [frame, foreground, _] = tokenizer.psnr_db();
        PsnrTable {
            tokenizer: TokenizerPsnr { frame, foreground },
            model: reported(&self.model),
            copy_last: reported(&self.copy_last),
            shuffled_actions: reported(&self.shuffled),
            curves: [&self.model, &self.copy_last, &self.shuffled].map(rows).into(),
        }
    }
}
