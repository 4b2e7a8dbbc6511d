use worldstep_env::{
    AutoresetMode, Buffer, EnvError, Pose, TruthSource as _, TruthVectorEnv, VectorEnv as _, make_truth,
};
use worldstep_model::eval::{PerturbedTruth, Replay, Replayed};
use worldstep_synth::{Channels, Eyes, LaneAt, RenderConfig, Renderer};

/// Episodes that are simulated and drawn together.
const LANES: usize = 16;
/// The golden angle in radians: displacements of consecutive seeds point everywhere.
const GOLDEN_ANGLE: f32 = 2.399_963;
/// Share of a displacement that is upwards, so that nothing is pressed into what it stands on, and horizontal.
const UP: f32 = 0.6;
const ACROSS: f32 = 0.8;

/// Episodes of a task run again from slightly other states.
pub struct TruthReplay {
    env: TruthVectorEnv,
    eyes: Eyes,
    /// Pixels along a side of a frame.
    side: u32,
}

impl TruthReplay {
    /// Replays of task `id`, in frames of `side` × `side` pixels.
    ///
    /// # Errors
    /// [`EnvError::UnknownTask`], or [`EnvError::Engine`] where there is no graphics driver.
    pub fn new(id: &str, side: u32) -> Result<Self, EnvError> {
        let env = make_truth(id, LANES, AutoresetMode::NextStep)?;
        let config = RenderConfig { tiles: LANES, width: side, height: side };
        Ok(Self { env, eyes: Eyes::new(Renderer::new(config).map_err(engine)?, Vec::new()), side })
    }

    /// Runs up to [`LANES`] clips.
    fn run(&mut self, clips: &[Replay<'_>]) -> Result<Vec<Replayed>, EnvError> {
        let seeds: Vec<_> = (0..LANES).map(|lane| clips.get(lane).map(|clip| clip.seed)).collect();
        let mut running: Vec<_> = seeds.iter().map(Option::is_some).collect();
        self.env.reset(&seeds, &running)?;
        let mut replayed = vec![Replayed::default(); clips.len()];
        let rows = clips.iter().map(|clip| clip.actions.len()).max().unwrap_or(0);
        for row in 0..rows {
            let mut actions = self.env.spec().action_space.neutral(LANES);
            for (lane, clip) in clips.iter().enumerate() {
                running[lane] &= row < clip.actions.len();
                if running[lane] && row == clip.row {
                    self.env.displace(lane, displacement(clip));
                }
                if let Some(action) = clip.actions.get(row) {
                    put(&mut actions, lane, action)?;
                }
            }
            self.look(&running, &mut replayed)?;
            self.env.step(&actions, &running)?;
            let batch = self.env.batch();
            let ended = |lane: usize| batch.terminated[lane] || batch.truncated[lane];
            running.iter_mut().enumerate().for_each(|(lane, running)| *running &= !ended(lane));
        }
        Ok(replayed)
    }

    /// Appends what is seen of the running lanes, and where their moving things are.
    fn look(&mut self, running: &[bool], replayed: &mut [Replayed]) -> Result<(), EnvError> {
        let lanes: Vec<LaneAt> =
            (0..replayed.len()).filter(|lane| running[*lane]).map(|lane| (lane, 0.0)).collect();
        if lanes.is_empty() {
            return Ok(());
        }
        let frames = self.eyes.look(&self.env, &lanes, Channels::Rgb).map_err(engine)?;
        let frame_len = (self.side * self.side * 3) as usize;
        let mut poses: Vec<Pose> = Vec::new();
        for ((lane, _), frame) in lanes.iter().zip(frames.rgb.chunks_exact(frame_len)) {
            replayed[*lane].frames.extend_from_slice(frame);
            self.env.poses(*lane, &mut poses);
            let instances = self.env.scene(*lane).instances.iter().zip(&poses);
            let moving = instances.filter(|(instance, _)| instance.moving);
            replayed[*lane].positions.extend(moving.flat_map(|(_, pose)| pose.position));
        }
        Ok(())
    }
}

impl PerturbedTruth for TruthReplay {
    fn replay(&mut self, clips: &[Replay<'_>]) -> Result<Vec<Replayed>, EnvError> {
        let mut all = Vec::with_capacity(clips.len());
        for clips in clips.chunks(LANES) {
            all.extend(self.run(clips)?);
        }
        Ok(all)
    }
}

fn engine(error: impl std::fmt::Display) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}

/// By how much a clip's things are displaced: its own direction, for its seed.
fn displacement(clip: &Replay<'_>) -> [f32; 3] {
    let angle = (clip.seed % 10_000) as f32 * GOLDEN_ANGLE;
    let length = clip.displacement_m;
    [length * ACROSS * angle.cos(), length * ACROSS * angle.sin(), length * UP]
}

/// Writes an action, as a dataset stores it, into a lane's place.
fn put(actions: &mut Buffer, lane: usize, action: &[f32]) -> Result<(), EnvError> {
    let expected = actions.len() / LANES;
    if action.len() != expected {
        let message = format!("an action has {} values, expected {expected}", action.len());
        return Err(EnvError::Action { message });
    }
    let places = lane * expected..(lane + 1) * expected;
    match actions {
        Buffer::F32(values) => values[places].copy_from_slice(action),
        Buffer::I64(values) => {
            values[places].iter_mut().zip(action).for_each(|(to, from)| *to = *from as i64)
        }
        Buffer::U8(values) => values[places].iter_mut().zip(action).for_each(|(to, from)| *to = *from as u8),
        Buffer::U16(values) => {
            values[places].iter_mut().zip(action).for_each(|(to, from)| *to = *from as u16)
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const CATCH: &str = "CatchBehindScreen-v0";

    fn replay(truth: &mut TruthReplay, displacement_m: f32) -> Replayed {
        let actions = vec![vec![1.0]; 12];
        let clip = Replay { seed: 5, actions: &actions, row: 4, displacement_m };
        truth.replay(&[clip]).unwrap().remove(0)
    }

    #[test]
    fn a_replay_is_the_episode_until_it_is_displaced() {
        let Ok(mut truth) = TruthReplay::new(CATCH, 64) else {
            eprintln!("skipped: no graphics driver");
            return;
        };
        let (same, other) = (replay(&mut truth, 0.0), replay(&mut truth, 0.05));
        assert_eq!(same, replay(&mut truth, 0.0), "nothing is left of the run before");
        let objects = same.positions.len() / 12;
        assert_eq!((objects, same.frames.len()), (6, 12 * 64 * 64 * 3));
        assert_eq!(same.positions[..4 * objects], other.positions[..4 * objects]);
        let ball = |replayed: &Replayed, row: usize| replayed.positions[row * objects + 2];
        assert!((ball(&other, 4) - ball(&same, 4) - 0.03).abs() < 1e-5, "0.6 of 0.05 m upwards");
        let paddle = |replayed: &Replayed| replayed.positions[11 * objects + 5];
        assert_eq!(paddle(&same), paddle(&other), "what is driven is not displaced");
        assert_ne!(same.frames, other.frames);
    }
}
