//! A task of the registry as a scenario.

use worldstep_env::physics::World;
use worldstep_env::policy::{PolicyKind, PolicyMix};
use worldstep_env::registry::TaskEntry;
use worldstep_env::{AutoresetMode, Buffer, Space, TruthSource as _, TruthVectorEnv, VectorEnv as _};

use super::recording::{self, Simulation, Source, Stepped};
use super::{UnitKind, UnitRequest};
use crate::clips::{SynthError, Trajectory};

/// Whether the task `entry` has units of this kind and length.
pub(super) fn check(entry: &TaskEntry, kind: UnitKind, horizon: f32) -> Result<(), SynthError> {
    if kind == UnitKind::Pair {
        let message = format!("{} is a task, and only families have impossible twins", entry.id);
        return Err(SynthError::Options { message });
    }
    if horizon != 1.0 {
        let message =
            format!("horizon {horizon} for {}: a task's clips end at its time limit, expected 1", entry.id);
        return Err(SynthError::Options { message });
    }
    Ok(())
}

/// Runs a unit of the task `entry`.
pub(super) fn simulate(
    entry: &'static TaskEntry,
    request: &UnitRequest<'_>,
) -> Result<Vec<Trajectory>, SynthError> {
    recording::unit(&TaskSource { entry, request: *request }, request)
}

struct TaskSource<'a> {
    entry: &'static TaskEntry,
    request: UnitRequest<'a>,
}

impl Source for TaskSource<'_> {
    fn start(&self, policy: PolicyKind) -> Result<(Box<dyn Simulation>, Trajectory), SynthError> {
        let mut env = TruthVectorEnv::new(self.entry, 1, AutoresetMode::Disabled)?;
        env.record(0, true);
        env.reset(&[Some(self.request.seed)], &[true])?;
        let fps = self.entry.fps;
        let trajectory = Trajectory::begin(self.entry.id, &self.request, policy, fps, env.world(0));
        Ok((Box::new(env), trajectory))
    }

    fn seed(&self) -> u64 {
        self.request.seed
    }

    fn mix(&self) -> PolicyMix {
        self.request.options.mix.unwrap_or_default()
    }

    fn rows_max(&self) -> usize {
        self.entry.max_episode_steps as usize
    }
}

impl Simulation for TruthVectorEnv {
    fn action_space(&self) -> &Space {
        &self.spec().action_space
    }

    fn world(&self) -> &World {
        Self::world(self, 0)
    }

    fn state(&self, out: &mut Vec<f32>) {
        worldstep_env::TruthSource::state(self, 0, out);
    }

    fn expert(&self, out: &mut Buffer) {
        self.expert_action(0, out);
    }

    fn step(&mut self, action: &Buffer) -> Result<Stepped, SynthError> {
        worldstep_env::VectorEnv::step(self, action, &[true])?;
        let batch = self.batch();
        let success = batch.info("success").is_some_and(|column| column.mask[0] && column.values[0] != 0.0);
        Ok(Stepped {
            reward: batch.rewards[0],
            terminated: batch.terminated[0],
            truncated: batch.truncated[0],
            success,
        })
    }

    fn save(&self) -> Result<Vec<u8>, SynthError> {
        Ok(self.save_lane(0)?)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), SynthError> {
        Ok(self.load_lane(0, bytes)?)
    }
}
