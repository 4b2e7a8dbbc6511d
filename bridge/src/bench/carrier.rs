//! An engine that computes nothing: what a step costs with it is what the way there and back costs.

use worldstep_env::{AutoresetMode, Batch, BoxSpace, Buffer, DType, EnvError, EnvSpec, Space, VectorEnv};

use crate::engines::EngineFactory;
use crate::wire::{CatalogueEntry, Engine, ErrorCode, MakeRequest, Observation, Refusal};

/// Its task.
pub const CARRY: &str = "Carry-v0";
/// Forms that it carries, with the sizes that engines have: 16, 128, 384, 12,288 and 16,384 bytes.
pub const FORMS: [Observation; 5] =
    [Observation::State, Observation::Codes, Observation::Latent, Observation::Rgb, Observation::Depth];

/// Environments that show stored observations.
struct Carrier {
    spec: EnvSpec,
    mode: AutoresetMode,
    batch: Batch,
}

impl Carrier {
    fn new(obs: Observation, num_envs: usize, mode: AutoresetMode) -> Self {
        let space = |high: f32, shape: &[usize], dtype| {
            Space::Box(BoxSpace { low: vec![0.0], high: vec![high], shape: shape.to_vec(), dtype })
        };
        let spec = EnvSpec {
            id: CARRY.to_owned(),
            observation_space: match obs {
                Observation::State => space(1.0, &[4], DType::Float32),
                Observation::Codes => space(999.0, &[8, 8], DType::Uint16),
                Observation::Latent => space(1.0, &[96], DType::Float32),
                Observation::Rgb => Space::image(64, 64, 3),
                Observation::Depth => space(100.0, &[64, 64, 1], DType::Float32),
            },
            action_space: Space::bounded(&[-1.0], &[1.0]),
            max_episode_steps: u32::MAX,
            fps: 30,
        };
        let mut batch = Batch::new(&spec, num_envs, &["success"]);
        // Pages that were never written are not memory yet.
        match &mut batch.observations {
            Buffer::U8(values) => values.iter_mut().zip(0..).for_each(|(value, i)| *value = i as u8),
            Buffer::U16(values) => {
                values.iter_mut().zip(0..).for_each(|(value, i): (_, u32)| *value = (i % 1000) as u16)
            }
            Buffer::F32(values) => values.fill(0.5),
            Buffer::I64(values) => values.fill(0),
        }
        Self { spec, mode, batch }
    }
}

impl VectorEnv for Carrier {
    fn num_envs(&self) -> usize {
        self.batch.rewards.len()
    }

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, _seeds: &[Option<u64>], _mask: &[bool]) -> Result<(), EnvError> {
        Ok(())
    }

    fn step(&mut self, _actions: &Buffer, _mask: &[bool]) -> Result<(), EnvError> {
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, _lane: usize) -> Result<Vec<u8>, EnvError> {
        Ok(Vec::new())
    }

    fn load_lane(&mut self, _lane: usize, _bytes: &[u8]) -> Result<(), EnvError> {
        Ok(())
    }
}

/// Makes carriers, and what another factory makes.
pub struct Carriers<F>(pub F);

impl<F: EngineFactory> EngineFactory for Carriers<F> {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        let modes = FORMS.map(|obs| (Engine::Truth, obs)).to_vec();
        let entry =
            CatalogueEntry { id: CARRY.to_owned(), summary: "carries observations".to_owned(), modes };
        self.0.catalogue().into_iter().chain([entry]).collect()
    }

    fn gains_by_waiting(&self, request: &MakeRequest) -> bool {
        request.id != CARRY && self.0.gains_by_waiting(request)
    }

    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        if request.id != CARRY {
            return self.0.make(request, num_envs);
        }
        if request.engine == Engine::Dream {
            return Err(Refusal::new(ErrorCode::Unsupported, "nothing is dreamt of it"));
        }
        Ok(Box::new(Carrier::new(request.obs, num_envs, request.autoreset_mode.of_engine())))
    }
}
