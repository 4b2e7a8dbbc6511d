use serde::Serialize;

/// Bins of steps since the reset: 0, 1, 2–3, 4–7, … and everything from 2²⁰ on.
const BINS: usize = 22;
/// Smallest mean squared error that a PSNR is told of: half a grey level in a tenth of the values keeps a perfect copy finite.
const SQUARED_ERROR_MIN: f64 = 1e-2;

/// How far one dreamt frame, and what came with it, is from truth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Divergence {
    /// Mean squared error of the frame's bytes.
    pub squared_error: f64,
    /// Mean distance of the tracked objects from where they are, metres; `None` for a model that tracks none.
    pub position_error_m: Option<f64>,
    /// What the step itself led to; `None` for the frame of a reset.
    pub outcome: Option<OutcomeError>,
}

/// How far the outcome of one dreamt step is from truth's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutcomeError {
    /// Absolute difference of the rewards.
    pub reward_error: f64,
    /// Whether the dream ended the episode by the task's rules, and whether truth did.
    pub terminated: (bool, bool),
}

impl Divergence {
    /// Peak signal-to-noise ratio in dB for a peak of 255.
    pub fn psnr_db(&self) -> f64 {
        psnr_db(self.squared_error)
    }
}

/// PSNR in dB of a mean squared error, at most 68 dB.
fn psnr_db(squared_error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / squared_error.max(SQUARED_ERROR_MIN)).log10()
}

/// Ends of episodes by the task's rules, by who saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Terminations {
    /// Both in the same step.
    pub both: u64,
    /// The dream where truth goes on.
    pub dream_only: u64,
    /// Truth where the dream goes on.
    pub truth_only: u64,
}

/// Divergence of frames that are equally far from their reset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// First step since the reset; the frame of the reset itself, which is truth's, is step 0.
    pub from_step: u64,
    /// Last step.
    pub to_step: u64,
    /// Frames compared.
    pub frames: u64,
    /// Mean squared error of their bytes.
    pub squared_error: f64,
    /// PSNR of that, dB.
    pub psnr_db: f64,
    /// Mean distance of the tracked objects from where they are, metres. At step 0 it is the readout's own error on true
    /// frames.
    pub position_error_m: Option<f64>,
    /// Mean absolute difference of the rewards; none at step 0.
    pub reward_error: Option<f64>,
    /// Ends of episodes.
    pub terminations: Terminations,
}

/// What an audit has found so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditReport {
    /// Environments that truth goes along with.
    pub lanes: Vec<usize>,
    /// Episodes that it began with.
    pub episodes: u64,
    /// By steps since the reset.
    pub rows: Vec<AuditRow>,
    /// Why the audit stopped, if it did: the dream goes on without.
    pub failure: Option<String>,
}

impl AuditReport {
    /// A table to read.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:>11} {:>7} {:>8} {:>10} {:>8}  ends: both, dream only, truth only\n",
            "steps", "frames", "PSNR dB", "objects m", "reward"
        );
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        for row in &self.rows {
            let steps = if row.from_step == row.to_step {
                row.from_step.to_string()
            } else {
                format!("{}–{}", row.from_step, row.to_step)
            };
            let Terminations { both, dream_only, truth_only } = row.terminations;
            out += &format!(
                "{steps:>11} {:>7} {:>8.2} {:>10} {:>8}  {both}, {dream_only}, {truth_only}\n",
                row.frames,
                row.psnr_db,
                number(row.position_error_m),
                number(row.reward_error),
            );
        }
        out
    }
}

/// Sums over the frames of each bin.
#[derive(Clone, Debug, Default)]
pub struct Tally([Sums; BINS]);

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    frames: u64,
    last_step: u64,
    squared_error: f64,
    position: Mean,
    reward: Mean,
    terminations: Terminations,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn get(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Tally {
    /// Adds a frame that lies `step` steps after its reset.
    pub fn add(&mut self, step: u64, divergence: &Divergence) {
        let bin = (u64::BITS - step.leading_zeros()) as usize;
        let sums = &mut self.0[bin.min(BINS - 1)];
        sums.frames += 1;
        sums.last_step = sums.last_step.max(step);
        sums.squared_error += divergence.squared_error;
        if let Some(error) = divergence.position_error_m {
            sums.position.add(error);
        }
        if let Some(outcome) = divergence.outcome {
            sums.reward.add(outcome.reward_error);
            match outcome.terminated {
                (true, true) => sums.terminations.both += 1,
                (true, false) => sums.terminations.dream_only += 1,
                (false, true) => sums.terminations.truth_only += 1,
                (false, false) => {}
            }
        }
    }

    /// The bins that hold frames.
    pub fn rows(&self) -> Vec<AuditRow> {
        let filled = self.0.iter().enumerate().filter(|(_, sums)| sums.frames > 0);
        filled
            .map(|(bin, sums)| {
                let squared_error = sums.squared_error / sums.frames as f64;
                AuditRow {
                    from_step: (1 << bin) >> 1,
                    to_step: sums.last_step,
                    frames: sums.frames,
                    squared_error,
                    psnr_db: psnr_db(squared_error),
                    position_error_m: sums.position.get(),
                    reward_error: sums.reward.get(),
                    terminations: sums.terminations,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_by_their_distance_from_the_reset() {
        let mut tally = Tally::default();
        for step in 0..=5 {
            let outcome =
                (step > 0).then_some(OutcomeError { reward_error: 0.5, terminated: (step == 5, false) });
            let (squared_error, position_error_m) = (step as f64, Some(0.1 * step as f64));
            tally.add(step, &Divergence { squared_error, position_error_m, outcome });
        }
        tally.add(u64::MAX, &Divergence::default());
        let rows = tally.rows();
        let spans: Vec<_> = rows.iter().map(|row| (row.from_step, row.to_step, row.frames)).collect();
        assert_eq!(spans, [(0, 0, 1), (1, 1, 1), (2, 3, 2), (4, 5, 2), (1 << 20, u64::MAX, 1)]);
        assert_eq!((rows[0].reward_error, rows[1].reward_error), (None, Some(0.5)));
        assert_eq!(rows[2].squared_error, 2.5);
        assert!((rows[3].position_error_m.unwrap_or(0.0) - 0.45).abs() < 1e-12);
        assert_eq!(rows[3].terminations, Terminations { dream_only: 1, ..Terminations::default() });
        assert_eq!(rows[4].position_error_m, None);
    }

    #[test]
    fn psnr_is_that_of_the_pooled_error() {
        let of = |squared_error| Divergence { squared_error, ..Divergence::default() }.psnr_db();
        assert!((of(255.0 * 255.0) - 0.0).abs() < 1e-12);
        assert!((of(100.0) - 28.130_803_608_679_106).abs() < 1e-9);
        assert!((of(0.0) - 68.130_803_608_679_1).abs() < 1e-9);
    }
}
