use worldstep_env::{AutoresetMode, Buffer, EnvError, EnvSpec, TruthVectorEnv, VectorEnv as _, make_truth};
use worldstep_model::neural_env::StartSource;
use worldstep_synth::RenderedVectorEnv;

/// Frames that a dream is shown before it goes on alone: enough to tell velocities.
const CONTEXT_FRAMES: usize = 4;
/// Episodes that are simulated and drawn together.
const LANES: usize = 16;

/// Where dreams begin: the first frames of truth's own episodes, during which the neutral action is taken.
pub struct TruthStarts {
    truth: RenderedVectorEnv<TruthVectorEnv>,
    neutral: Buffer,
    neutral_numbers: Vec<f32>,
}

impl TruthStarts {
    /// Starts of task `id`, in frames of `side` × `side` pixels.
    ///
    /// # Errors
    /// [`EnvError::UnknownTask`], or [`EnvError::Engine`] where there is no graphics driver.
    pub fn new(id: &str, side: u32) -> Result<Self, EnvError> {
        let truth = make_truth(id, LANES, AutoresetMode::NextStep)?;
        let truth = RenderedVectorEnv::new(truth, side, side)
            .map_err(|error| EnvError::Engine { message: error.to_string() })?;
        let space = truth.spec().action_space.clone();
        let neutral = space.neutral(LANES);
        let neutral_numbers = match &neutral {
            Buffer::I64(values) => vec![values[0] as f32],
            Buffer::F32(values) => values[..space.flat_len()].to_vec(),
            Buffer::U8(values) => values[..space.flat_len()].iter().map(|value| f32::from(*value)).collect(),
            Buffer::U16(values) => values[..space.flat_len()].iter().map(|value| f32::from(*value)).collect(),
        };
        Ok(Self { truth, neutral, neutral_numbers })
    }

    /// Writes the starts of up to [`LANES`] seeds.
    fn draw(&mut self, seeds: &[u64], out: &mut [u8]) -> Result<(), EnvError> {
        let frame = self.truth.spec().observation_space.flat_len();
        let lane_seeds: Vec<_> = (0..LANES).map(|lane| seeds.get(lane).copied()).collect();
        let mask: Vec<_> = lane_seeds.iter().map(Option::is_some).collect();
        for t in 0..CONTEXT_FRAMES {
            if t == 0 {
                self.truth.reset(&lane_seeds, &mask)?;
            } else {
                self.truth.step(&self.neutral, &mask)?;
            }
            let Some(drawn) = self.truth.batch().observations.as_u8() else { continue };
            for lane in 0..seeds.len() {
                let at = (lane * CONTEXT_FRAMES + t) * frame;
                out[at..at + frame].copy_from_slice(&drawn[lane * frame..(lane + 1) * frame]);
            }
        }
        Ok(())
    }
}

impl StartSource for TruthStarts {
    fn spec(&self) -> &EnvSpec {
        self.truth.spec()
    }

    fn context_frames(&self) -> usize {
        CONTEXT_FRAMES
    }

    fn neutral_action(&self) -> &[f32] {
        &self.neutral_numbers
    }

    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        let start_len = CONTEXT_FRAMES * self.truth.spec().observation_space.flat_len();
        for seeds in seeds.chunks(LANES) {
            let from = out.len();
            out.resize(from + seeds.len() * start_len, 0);
            self.draw(seeds, &mut out[from..])?;
        }
        Ok(())
    }
}
