use super::Sample;

/// Bits of each colour channel, finest first: a colour that was hardly seen is looked up more coarsely.
const BITS: [u32; 3] = [5, 4, 3];
/// Pixels of a colour from which on its shares are believed.
const PIXELS_MIN: u32 = 8;
/// A pixel that shows an object less likely than this does not count for it.
const LIKELY: f32 = 0.3;

/// How often pixels of a colour show each object.
#[derive(Debug)]
pub struct Colours {
    objects: usize,
    /// For each precision, `colours × (1 + objects)` counts.
    counts: [Vec<u32>; BITS.len()],
}

impl Colours {
    pub fn fit(samples: &[Sample<'_>], objects: usize) -> Self {
        let mut counts = BITS.map(|bits| vec![0; (1 << (3 * bits)) * (objects + 1)]);
        for sample in samples {
            for (color, label) in sample.frame.chunks_exact(3).zip(sample.silhouettes) {
                for (counts, bits) in counts.iter_mut().zip(BITS) {
                    counts[bin(color, bits) * (objects + 1) + usize::from(*label)] += 1;
                }
            }
        }
        Self { objects, counts }
    }

    /// Of each object, how likely each pixel shows it; 0 where it hardly does.
    pub fn weights(&self, frame: &[u8]) -> Vec<Vec<f32>> {
        let mut weights = vec![vec![0.0; frame.len() / 3]; self.objects];
        for (pixel, color) in frame.chunks_exact(3).enumerate() {
            let Some(counts) = self.counts_of(color) else { continue };
            let total = counts.iter().sum::<u32>() as f32;
            for (weights, count) in weights.iter_mut().zip(&counts[1..]) {
                let share = *count as f32 / total;
                if share >= LIKELY {
                    weights[pixel] = share;
                }
            }
        }
        weights
    }

    /// Counts of the finest precision at which the colour is known.
    fn counts_of(&self, color: &[u8]) -> Option<&[u32]> {
        let width = self.objects + 1;
        self.counts.iter().zip(BITS).find_map(|(counts, bits)| {
            let bin = bin(color, bits);
            let counts = &counts[bin * width..(bin + 1) * width];
            (counts.iter().sum::<u32>() >= PIXELS_MIN).then_some(counts)
        })
    }
}

fn bin(color: &[u8], bits: u32) -> usize {
    color.iter().fold(0, |bin, channel| bin << bits | usize::from(*channel >> (8 - bits)))
}
