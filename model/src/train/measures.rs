use super::curves::StepRow;
use super::gradients::GRADIENT_NORM;
use super::loss::{Means, Reading, TOTAL};
use super::options::Stage;

/// What the steps between two rows of the curves measured: means by name, and the pace.
pub struct Measures {
    /// The shares of each step, not read yet.
    pending: Vec<Vec<Reading>>,
    means: Means,
    latest: f32,
    rate: f64,
    /// Frames of one step.
    frames: usize,
    steps: u64,
    seconds: f64,
    step_s: f64,
}

impl Measures {
    /// Of steps of `frames` frames.
    pub fn new(frames: usize) -> Self {
        Self {
            pending: Vec::new(),
            means: Means::default(),
            latest: f32::NAN,
            rate: 0.0,
            frames,
            steps: 0,
            seconds: 0.0,
            step_s: 0.0,
        }
    }

    /// Takes the values of one step, the shares of it, at this learning rate, without reading them.
    pub fn take(&mut self, shares: Vec<Reading>, rate: f64) {
        self.pending.push(shares);
        self.rate = rate;
    }

    /// Waits for the device and reads what it has.
    ///
    /// # Errors
    /// The first total, or norm of a gradient, that is no number: its name and value. Nothing is to be made of weights that
    /// have had such a step.
    pub fn read(&mut self) -> Result<(), (&'static str, f32)> {
        let mut wrong = None;
        for shares in std::mem::take(&mut self.pending) {
            let all: f32 = shares.iter().map(|share| share.weight).sum();
            self.latest = 0.0;
            for share in shares {
                let weight = share.weight / all;
                for (name, value) in share.read() {
                    if name == TOTAL {
                        self.latest += value * weight;
                    } else if name == GRADIENT_NORM && !value.is_finite() {
                        wrong = wrong.or(Some((GRADIENT_NORM, value)));
                    }
                    self.means.add(name, value, weight);
                }
            }
            wrong = wrong.or((!self.latest.is_finite()).then_some((TOTAL, self.latest)));
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Counts a step that took `seconds`.
    pub fn took(&mut self, seconds: f64) {
        self.steps += 1;
        self.seconds += seconds;
        if self.step_s == 0.0 {
            self.step_s = seconds;
        }
    }

    /// Steps since the row before.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// A row of what was read since the row before; the next one begins anew.
    pub fn row(&mut self, stage: Stage, step: u64, seconds: f64) -> StepRow {
        self.step_s = self.seconds / self.steps.max(1) as f64;
        (self.steps, self.seconds) = (0, 0.0);
        let mut row = StepRow {
            stage,
            step,
            loss: self.latest,
            parts: Vec::new(),
            learning_rate: self.rate,
            gradient_norm: None,
            frames_per_s: self.frames_per_s(),
            seconds,
        };
        for (name, mean) in self.means.take() {
            match name {
                TOTAL => row.loss = mean,
                GRADIENT_NORM => row.gradient_norm = Some(mean),
                name => row.parts.push((name.to_owned(), mean)),
            }
        }
        row
    }

    /// The latest total that was read.
    pub fn latest(&self) -> f32 {
        self.latest
    }

    /// The latest learning rate.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Seconds of one step, as of the latest row.
    pub fn step_s(&self) -> f64 {
        self.step_s
    }

    /// Frames learned from in a second, as of the latest row.
    pub fn frames_per_s(&self) -> f64 {
        if self.step_s > 0.0 { self.frames as f64 / self.step_s } else { 0.0 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::train::loss::Loss;

    fn value(value: f32) -> Tensor<1> {
        Tensor::from_floats([value], &Device::flex())
    }

    fn shares(values: [f32; 2]) -> Vec<Reading> {
        values.map(|x| Reading::of(&Loss::of("codes", 2.0, value(x)))).into()
    }

    #[test]
    fn a_row_is_the_mean_of_its_steps_and_the_next_begins_anew() {
        let mut measures = Measures::new(32);
        for (values, seconds) in [([1.0, 3.0], 0.1), ([4.0, 6.0], 0.3)] {
            measures.take(shares(values), 1e-3);
            measures.read().unwrap();
            measures.took(seconds);
        }
        assert_eq!(measures.latest(), 10.0);
        let row = measures.row(Stage::Dynamics, 2, 9.0);
        assert_eq!((row.loss, row.learning_rate), (7.0, 1e-3));
        assert_eq!(row.parts, [("codes".to_owned(), 3.5)]);
        assert!((row.frames_per_s - 160.0).abs() < 1e-6, "{}", row.frames_per_s);
        measures.take(shares([5.0, 5.0]), 1e-3);
        measures.read().unwrap();
        assert_eq!(measures.row(Stage::Dynamics, 3, 9.1).loss, 10.0);
    }

    /// What only some windows have, for instance a free flight, is missing in a share without them.
    #[test]
    fn a_term_that_a_share_lacks_is_the_mean_of_the_others() {
        let mut measures = Measures::new(32);
        let rich = Loss::of("codes", 1.0, value(1.0)).and("free_flight", 1.0, value(2.0));
        let poor = Loss::of("codes", 1.0, value(3.0));
        measures.take(vec![Reading::of(&rich), Reading::of(&poor).and(GRADIENT_NORM, value(0.5))], 1e-3);
        measures.read().unwrap();
        measures.took(0.1);
        let row = measures.row(Stage::Dynamics, 1, 0.1);
        assert_eq!((row.loss, row.gradient_norm), (3.0, Some(0.5)));
        assert_eq!(row.parts, [("codes".to_owned(), 2.0), ("free_flight".to_owned(), 2.0)]);
    }

    #[test]
    fn a_loss_that_is_no_number_is_told() {
        let mut measures = Measures::new(32);
        measures.take(shares([1.0, 1.0]), 1e-3);
        measures.take(shares([1.0, f32::INFINITY]), 1e-3);
        measures.take(shares([1.0, 1.0]), 1e-3);
        assert_eq!(measures.read(), Err((TOTAL, f32::INFINITY)));
    }

    /// The loss of such a step is one still; that of the next one is not.
    #[test]
    fn a_gradient_that_is_no_number_is_told() {
        let mut measures = Measures::new(32);
        let reading = Reading::of(&Loss::of("codes", 1.0, value(1.0)));
        measures.take(vec![reading.and(GRADIENT_NORM, value(f32::INFINITY))], 1e-3);
        assert_eq!(measures.read(), Err((GRADIENT_NORM, f32::INFINITY)));
    }
}
