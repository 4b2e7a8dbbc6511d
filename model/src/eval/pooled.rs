use crate::data::{PIXEL_ACTUATED, PIXEL_MOVING};

/// Squared errors pooled over pixels: of whole frames, of foreground, and of what the action moves.
#[derive(Clone, Debug, Default)]
pub struct Pooled {
    frame: Sum,
    foreground: Sum,
    actuated: Sum,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    squares: f64,
    values: u64,
}

impl Sum {
    fn add(&mut self, squares: f64) {
        self.squares += squares;
        self.values += 3;
    }

    /// Peak signal-to-noise ratio in dB for a peak of 255; `None` without pixels.
    fn psnr_db(&self) -> Option<f64> {
        // Half a grey level's error keeps a perfect copy finite.
        let mean = (self.squares / self.values as f64).max(1e-2);
        (self.values > 0).then(|| 10.0 * (255.0 * 255.0 / mean).log10())
    }
}

impl Pooled {
    /// Adds what was pooled elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.frame, &other.frame),
            (&mut self.foreground, &other.foreground),
            (&mut self.actuated, &other.actuated),
        ] {
            mine.squares += theirs.squares;
            mine.values += theirs.values;
        }
    }

    /// Adds the errors of one frame. Foreground is where either class image shows something moving: the true frame's and
    /// the last seen one's.
    pub fn add(&mut self, truth: &[u8], guess: &[u8], classes: &[u8], last_seen: &[u8]) {
        for (i, (truth, guess)) in truth.chunks_exact(3).zip(guess.chunks_exact(3)).enumerate() {
            let difference = |(a, b): (&u8, &u8)| f64::from(i32::from(*a) - i32::from(*b)).powi(2);
            let squares: f64 = truth.iter().zip(guess).map(difference).sum();
            let class = classes[i] | last_seen[i];
            self.frame.add(squares);
            if class & PIXEL_MOVING != 0 {
                self.foreground.add(squares);
            }
            if class & PIXEL_ACTUATED != 0 {
                self.actuated.add(squares);
            }
        }
    }

    /// dB of frame, foreground and actuated pixels.
    pub fn psnr_db(&self) -> [Option<f64>; 3] {
        [&self.frame, &self.foreground, &self.actuated].map(Sum::psnr_db)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_pooled_by_class() {
        let mut pooled = Pooled::default();
        let truth = [100, 100, 100, 50, 50, 50];
        let guess = [100, 100, 100, 60, 60, 60];
        pooled.add(&truth, &guess, &[0, PIXEL_MOVING], &[0, 0]);
        let [frame, foreground, actuated] = pooled.psnr_db();
        assert!((foreground.unwrap() - 10.0 * (255.0f64.powi(2) / 100.0).log10()).abs() < 1e-9);
        assert!((frame.unwrap() - foreground.unwrap() - 10.0 * 2f64.log10()).abs() < 1e-9);
        assert_eq!(actuated, None);
    }
}
