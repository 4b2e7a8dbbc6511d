//! An engine that costs nothing and tells on itself: every observation says how often its environment was stepped,
//! with which action last, and from which seed. Shared with the fuzz targets.

use worldstep_bridge::engines::Placed;
use worldstep_bridge::on_card::{StandIn, Uploaded};
use worldstep_bridge::wire::{CatalogueEntry, Engine, ErrorCode, MakeRequest, Observation, Refusal};
use worldstep_bridge::{EngineFactory, Limits};
use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, Space, VectorEnv};

/// The one task.
pub const TASK: &str = "Count-v0";
/// Steps of an episode.
pub const EPISODE_STEPS: u32 = 6;
/// Largest action.
pub const ACTION_MAX: f32 = 100.0;
/// Width of an observation: steps of the episode, steps in all, last action, seed of the episode.
const WIDTH: usize = 4;
/// Width of an `rgb` observation, which says the same again and again: enough to share memory for.
pub const WIDE: usize = 4096;

/// Environments that count. An episode is truncated after [`EPISODE_STEPS`].
#[derive(Clone, Debug)]
pub struct CountingEnv {
    spec: EnvSpec,
    mode: AutoresetMode,
    width: usize,
    lanes: Vec<Lane>,
    batch: Batch,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    started: bool,
    ended: bool,
    seed: u64,
    steps: u32,
    steps_in_all: u32,
    action: f32,
}

impl CountingEnv {
    /// `num_envs` environments that have not been reset.
    pub fn new(num_envs: usize, mode: AutoresetMode, obs: Observation) -> Self {
        let width = if obs == Observation::Rgb { WIDE } else { WIDTH };
        let spec = EnvSpec {
            id: TASK.to_owned(),
            observation_space: Space::bounded(&vec![f32::MIN; width], &vec![f32::MAX; width]),
            action_space: Space::bounded(&[-ACTION_MAX], &[ACTION_MAX]),
            max_episode_steps: EPISODE_STEPS,
            fps: 10,
        };
        let batch = Batch::new(&spec, num_envs, &["steps"]);
        let lanes = (0..num_envs as u64).map(|seed| Lane { seed, ..Lane::default() }).collect();
        Self { spec, mode, width, lanes, batch }
    }

    fn start(&mut self, i: usize) {
        let lane = &mut self.lanes[i];
        (lane.started, lane.ended, lane.steps, lane.action) = (true, false, 0, 0.0);
        self.write(i, 0.0);
    }

    fn write(&mut self, i: usize, reward: f32) {
        let lane = self.lanes[i];
        if let Buffer::F32(values) = &mut self.batch.observations {
            let row = [lane.steps as f32, lane.steps_in_all as f32, lane.action, (lane.seed % 65_536) as f32];
            let values = &mut values[i * self.width..(i + 1) * self.width];
            values.chunks_exact_mut(WIDTH).for_each(|chunk| chunk.copy_from_slice(&row));
        }
        self.batch.rewards[i] = reward;
        self.batch.truncated[i] = lane.ended;
        let column = &mut self.batch.info[0];
        (column.values[i], column.mask[i]) = (lane.steps as f32, lane.steps > 0);
    }
}

impl VectorEnv for CountingEnv {
    fn num_envs(&self) -> usize {
        self.lanes.len()
    }

    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.mode
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        if seeds.len() != self.lanes.len() || mask.len() != self.lanes.len() {
            return Err(EnvError::Argument { message: "seeds or mask of another length".to_owned() });
        }
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            // A seed makes an environment forget all that was, as every engine's does.
            self.lanes[i] = match seeds[i] {
                Some(seed) => Lane { seed, ..Lane::default() },
                None => Lane { seed: self.lanes[i].seed.wrapping_mul(31).wrapping_add(1), ..self.lanes[i] },
            };
            self.start(i);
        }
        Ok(())
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.spec.action_space.check(actions, self.lanes.len())?;
        let is_over = |lane: &Lane| lane.ended && self.mode == AutoresetMode::Disabled;
        let cannot = |lane: &Lane| !lane.started || is_over(lane);
        if let Some(lane) = (0..mask.len()).find(|i| mask[*i] && cannot(&self.lanes[*i])) {
            return Err(EnvError::NeedsReset { lane });
        }
        let Buffer::F32(actions) = actions else { return Ok(()) };
        for i in (0..mask.len()).filter(|i| mask[*i]) {
            if self.lanes[i].ended && self.mode == AutoresetMode::NextStep {
                self.start(i);
                continue;
            }
            let lane = &mut self.lanes[i];
            lane.steps += 1;
            lane.steps_in_all += 1;
            lane.action = actions[i];
            lane.ended = lane.steps >= EPISODE_STEPS;
            self.write(i, actions[i]);
        }
        Ok(())
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let state = self.lanes[lane];
        if !state.started {
            return Err(EnvError::NeedsReset { lane });
        }
        let mut bytes = vec![u8::from(state.ended)];
        bytes.extend(state.seed.to_le_bytes());
        bytes.extend(state.steps.to_le_bytes());
        bytes.extend(state.steps_in_all.to_le_bytes());
        bytes.extend(state.action.to_le_bytes());
        Ok(bytes)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        let state = parse(bytes).ok_or(EnvError::State { message: "not 21 bytes".to_owned() })?;
        self.lanes[lane] = state;
        self.write(lane, 0.0);
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Option<Lane> {
    let (ended, rest) = bytes.split_first_chunk::<1>()?;
    let (seed, rest) = rest.split_first_chunk()?;
    let (steps, rest) = rest.split_first_chunk()?;
    let (steps_in_all, rest) = rest.split_first_chunk()?;
    let action = f32::from_le_bytes(rest.try_into().ok()?);
    let (steps, steps_in_all) = (u32::from_le_bytes(*steps), u32::from_le_bytes(*steps_in_all));
    let is_sound = ended[0] <= 1 && steps <= steps_in_all && steps_in_all < 1 << 24 && action.is_finite();
    let seed = u64::from_le_bytes(*seed);
    is_sound.then_some(Lane { started: true, ended: ended[0] == 1, seed, steps, steps_in_all, action })
}

/// Makes engines that count; those of dreams are shared.
#[derive(Clone, Debug)]
pub struct CountingFactory;

impl EngineFactory for CountingFactory {
    fn catalogue(&self) -> Vec<CatalogueEntry> {
        let modes = vec![(Engine::Truth, Observation::State), (Engine::Dream, Observation::State)];
        vec![CatalogueEntry { id: TASK.to_owned(), summary: "count".to_owned(), modes }]
    }

    fn gains_by_waiting(&self, request: &MakeRequest) -> bool {
        request.engine == Engine::Dream
    }

    fn make(&self, request: &MakeRequest, num_envs: usize) -> Result<Box<dyn VectorEnv>, Refusal> {
        assert!(num_envs <= Limits::default().envs_per_pool_max, "{num_envs} environments were asked for");
        if request.id != TASK {
            let message = format!("unknown task {:?}; known tasks: {TASK}", request.id);
            return Err(Refusal::new(ErrorCode::UnknownTask, message));
        }
        Ok(Box::new(CountingEnv::new(num_envs, request.autoreset_mode.of_engine(), request.obs)))
    }

    fn check_card(&self, request: &MakeRequest) -> Result<(), String> {
        match request.card.as_deref() {
            Some(StandIn::NAME) => Ok(()),
            card => Err(format!("no engine on that card: {card:?}, expected {:?}", StandIn::NAME)),
        }
    }

    fn make_on_card(&self, request: &MakeRequest, num_envs: usize) -> Result<Placed, Refusal> {
        let env = Uploaded::new(self.make(request, num_envs)?, StandIn);
        Ok(Placed::Card(Box::new(env.map_err(|error| Refusal::new(ErrorCode::Engine, error.to_string()))?)))
    }
}
