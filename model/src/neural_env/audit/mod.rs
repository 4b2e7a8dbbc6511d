//! Truth stepped beside a sample of a dream's lanes: same seeds, same actions, and how far the dream is from it.

mod report;

pub use report::{AuditReport, AuditRow, Divergence, OutcomeError, Terminations};

use report::Tally;
use worldstep_env::{AutoresetMode, Buffer, EnvError, VectorEnv};

use super::observation::DreamObservation;
use super::{NeuralVectorEnv, StartSource};
use crate::dynamics::OBJECT_VALUES;

/// Info columns of an audited dream, set in the steps and lanes that were compared.
pub const AUDIT_INFO: [&str; 4] =
    ["audit/psnr_db", "audit/position_error_m", "audit/reward_error", "audit/termination_disagrees"];

/// Truth that can go along with some lanes of a dream.
///
/// It is told nothing of the model, and the model nothing of physics or renderer.
pub trait AuditTruth: Send {
    /// The truth of the same task, one lane for each that is audited: frames of the model's size, [`AutoresetMode::Disabled`].
    fn env(&self) -> &dyn VectorEnv;

    /// The same, to be stepped.
    fn env_mut(&mut self) -> &mut dyn VectorEnv;

    /// Appends position (m) and linear velocity (m/s) of each object that the model tracks, in the model's order, as they
    /// are in `lane`'s present frame.
    fn objects(&self, lane: usize, out: &mut Vec<f32>);
}

/// Truth beside some lanes.
pub struct Audit {
    truth: Box<dyn AuditTruth>,
    lanes: Vec<usize>,
    /// Steps since the reset of those that truth goes along with; `None` before a reset, after truth's end, and for a lane
    /// that was loaded.
    steps: Vec<Option<u64>>,
    /// Neutral actions of all truth lanes, of which each start takes so many.
    neutral: (Buffer, usize),
    actions: Buffer,
    tally: Tally,
    episodes: u64,
    failure: Option<String>,
}

/// What a dream says of one lane, to be compared with truth.
pub struct DreamtRow<'a> {
    pub frame: &'a [u8],
    /// In SI units, positions and velocities of the tracked objects.
    pub objects: &'a [f32],
    pub reward: f32,
    pub terminated: bool,
}

impl Audit {
    /// Truth beside `count` lanes of `num_envs`, evenly spread, whose starts are those of `starts`.
    ///
    /// # Errors
    /// A line that says what does not fit.
    pub fn new(
        truth: Box<dyn AuditTruth>,
        num_envs: usize,
        starts: &dyn StartSource,
    ) -> Result<Self, String> {
        let (count, spec) = (truth.env().num_envs(), truth.env().spec());
        if count > num_envs {
            return Err(format!(
                "truth has {count} lanes for a dream of {num_envs}, expected at most as many"
            ));
        }
        if spec != starts.spec() {
            return Err(format!(
                "truth's spec is {spec:?}, expected that of the starts, {:?}",
                starts.spec()
            ));
        }
        if truth.env().autoreset_mode() != AutoresetMode::Disabled {
            return Err("truth resets by itself, expected autoreset mode DISABLED".to_owned());
        }
        Ok(Self {
            lanes: (0..count).map(|i| i * num_envs / count).collect(),
            steps: vec![None; count],
            neutral: (spec.action_space.neutral(count), starts.context_frames() - 1),
            actions: spec.action_space.buffer(count),
            truth,
            tally: Tally::default(),
            episodes: 0,
            failure: None,
        })
    }

    /// What was found so far.
    pub fn report(&self) -> AuditReport {
        AuditReport {
            lanes: self.lanes.clone(),
            episodes: self.episodes,
            rows: self.tally.rows(),
            failure: self.failure.clone(),
        }
    }

    /// Lanes that truth goes along with now.
    pub fn followed(&self) -> impl Iterator<Item = usize> {
        self.lanes.iter().zip(&self.steps).filter(|(_, steps)| steps.is_some()).map(|(lane, _)| *lane)
    }

    /// The dream goes on in a way that truth does not know of.
    pub fn leave(&mut self, lane: usize) {
        for (own, steps) in self.lanes.iter().zip(&mut self.steps) {
            *steps = steps.filter(|_| *own != lane);
        }
    }

    /// Starts truth's episodes of the lanes that begin theirs with these seeds.
    pub fn begin(&mut self, seed_of: impl Fn(usize) -> Option<u64>) {
        let seeds: Vec<Option<u64>> = self.lanes.iter().map(|lane| seed_of(*lane)).collect();
        let mask: Vec<bool> = seeds.iter().map(Option::is_some).collect();
        if mask.contains(&true)
            && self.failure.is_none()
            && let Err(error) = self.start(&seeds, &mask)
        {
            self.fail(&error);
        }
    }

    fn start(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        let (neutral, count) = &self.neutral;
        self.truth.env_mut().reset(seeds, mask)?;
        let mut running = mask.to_vec();
        for _ in 0..*count {
            self.truth.env_mut().step(neutral, &running)?;
            running
                .iter_mut()
                .enumerate()
                .for_each(|(i, running)| *running &= !self.truth.env().batch().done(i));
        }
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            self.steps[i] = running[i].then_some(0);
            self.episodes += 1;
        }
        Ok(())
    }

    /// Takes the same `actions` (of all the dream's lanes) in truth where the dream was stepped.
    pub fn step(&mut self, actions: &Buffer, live: &[bool]) {
        let width = self.truth.env().spec().action_space.flat_len();
        let mut mask = vec![false; self.lanes.len()];
        for (i, lane) in self.lanes.iter().enumerate() {
            self.actions.copy_rows(i, actions, *lane, 1, width);
            mask[i] = live[*lane] && self.steps[i].is_some();
        }
        if !mask.contains(&true) {
            return;
        }
        if let Err(error) = self.truth.env_mut().step(&self.actions, &mask) {
            return self.fail(&error);
        }
        for (steps, _) in self.steps.iter_mut().zip(mask).filter(|(_, stepped)| *stepped) {
            *steps = steps.map(|steps| steps + 1);
        }
    }

    /// Compares what the dream shows in `lane` with truth; `None` where truth does not go along. An end on either side ends
    /// the company until the next reset.
    pub fn compare(&mut self, lane: usize, row: &DreamtRow<'_>) -> Option<Divergence> {
        let i = self.lanes.iter().position(|own| *own == lane)?;
        let steps = self.steps[i]?;
        let batch = self.truth.env().batch();
        let bytes = row.frame.len();
        let frame = &batch.observations.as_u8()?[i * bytes..(i + 1) * bytes];
        let mut objects = Vec::with_capacity(row.objects.len());
        self.truth.objects(i, &mut objects);
        let outcome = (steps > 0).then(|| OutcomeError {
            reward_error: f64::from((row.reward - batch.rewards[i]).abs()),
            terminated: (row.terminated, batch.terminated[i]),
        });
        let divergence = Divergence {
            squared_error: squared_error(row.frame, frame),
            position_error_m: position_error_m(row.objects, &objects),
            outcome,
        };
        self.tally.add(steps, &divergence);
        if batch.done(i) || row.terminated {
            self.steps[i] = None;
        }
        Some(divergence)
    }

    fn fail(&mut self, error: &EnvError) {
        self.failure = Some(error.to_string());
        self.steps.fill(None);
    }
}

fn squared_error(a: &[u8], b: &[u8]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2));
    squares.sum::<u64>() as f64 / a.len().max(1) as f64
}

/// Mean distance between the objects of two readouts, those left out that one of them does not know.
fn position_error_m(a: &[f32], b: &[f32]) -> Option<f64> {
    let distance = |(a, b): (&[f32], &[f32])| {
        let squares = a[..3].iter().zip(&b[..3]).map(|(a, b)| f64::from(a - b).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let objects = a.chunks_exact(OBJECT_VALUES).zip(b.chunks_exact(OBJECT_VALUES));
    let (sum, count) = objects
        .map(distance)
        .filter(|distance| distance.is_finite())
        .fold((0.0, 0u32), |(sum, count), distance| (sum + distance, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

impl NeuralVectorEnv {
    /// Has `truth` go along with as many of its lanes as truth has, evenly spread, and publishes how far they are apart in
    /// the info columns [`AUDIT_INFO`] and in [`audit_report`](Self::audit_report). To be called before the first reset. A
    /// truth that fails ends the audit, not the dream.
    ///
    /// # Errors
    /// [`EnvError::Argument`] if truth is of another task or size.
    pub fn audited(mut self, truth: Box<dyn AuditTruth>) -> Result<Self, EnvError> {
        let audit = Audit::new(truth, self.options.num_envs, self.starts.as_ref())
            .map_err(|message| EnvError::Argument { message })?;
        self.batch.info.extend(AUDIT_INFO.map(|name| super::info_column(name, self.options.num_envs)));
        self.audit = Some(audit);
        Ok(self)
    }

    /// What the audit has found so far, if there is one.
    pub fn audit_report(&self) -> Option<AuditReport> {
        self.audit.as_ref().map(Audit::report)
    }

    /// Compares the lanes of `mask` with truth and publishes what was found.
    pub(super) fn audit_lanes(&mut self, mask: &[bool]) {
        let Some(mut audit) = self.audit.take() else { return };
        let lanes: Vec<usize> = audit.followed().filter(|lane| mask[*lane]).collect();
        if !lanes.is_empty() {
            let mut own = vec![false; mask.len()];
            lanes.iter().for_each(|lane| own[*lane] = true);
            let objects = self.believed_objects(&own);
            for (i, lane) in lanes.iter().enumerate() {
                let width = objects.len() / lanes.len();
                let row = DreamtRow {
                    frame: &self.frame_of(*lane),
                    objects: &objects[i * width..(i + 1) * width],
                    reward: self.batch.rewards[*lane],
                    terminated: self.batch.terminated[*lane],
                };
                if let Some(divergence) = audit.compare(*lane, &row) {
                    self.publish(*lane, &divergence);
                }
            }
        }
        self.audit = Some(audit);
    }

    /// The frame that `lane` shows, or would.
    fn frame_of(&mut self, lane: usize) -> Vec<u8> {
        let bytes = self.frame_bytes();
        if self.options.observation == DreamObservation::Rgb {
            let frames = self.batch.observations.as_u8().unwrap_or_default();
            return frames[lane * bytes..(lane + 1) * bytes].to_vec();
        }
        let mut frame = vec![0; bytes];
        self.engine.decode(super::code_row(&self.codes, lane), &mut frame);
        frame
    }

    fn publish(&mut self, lane: usize, divergence: &Divergence) {
        let Some(outcome) = divergence.outcome else { return };
        let disagrees = f32::from(outcome.terminated.0 != outcome.terminated.1);
        let values = [
            Some(divergence.psnr_db() as f32),
            divergence.position_error_m.map(|error| error as f32),
            Some(outcome.reward_error as f32),
            Some(disagrees),
        ];
        for (column, value) in self.batch.info[1..].iter_mut().zip(values) {
            column.values[lane] = value.unwrap_or(0.0);
            column.mask[lane] = value.is_some();
        }
    }
}
