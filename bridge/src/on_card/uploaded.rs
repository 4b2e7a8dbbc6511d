use std::collections::BTreeMap;

use worldstep_env::{AutoresetMode, Batch, Buffer, EnvError, EnvSpec, Randomisation, VectorEnv};
use worldstep_model::on_card::{Card, CardError, CardRows, CardVectorEnv, Part, SlotSizes, Slots, runs};

use crate::wire::{buffer_from_bytes, bytes_from_buffer};

/// Environments in host memory whose observations leave it for a card at each step.
pub struct Uploaded<C> {
    env: Box<dyn VectorEnv>,
    card: C,
    rows: Box<dyn CardRows>,
    /// What `env` has left, but for the observations, which are those that were fetched.
    batch: Batch,
}

impl<C: Card> Uploaded<C> {
    /// The observations of `env` on `card`.
    ///
    /// # Errors
    /// If the card has no room for them.
    pub fn new(env: Box<dyn VectorEnv>, card: C) -> Result<Self, CardError> {
        let space = &env.spec().observation_space;
        let rows = card.rows(env.num_envs(), space.flat_len() * space.dtype().size())?;
        let batch = env.batch().clone();
        Ok(Self { env, card, rows, batch })
    }

    /// Copies what the environments have left, the observations to the card.
    fn upload(&mut self) -> Result<(), EnvError> {
        let Batch { observations, rewards, terminated, truncated, info } = self.env.batch();
        self.rows.put(0, Part::Host(&bytes_from_buffer(observations))).map_err(engine_error)?;
        self.batch.rewards.clone_from(rewards);
        self.batch.terminated.clone_from(terminated);
        self.batch.truncated.clone_from(truncated);
        self.batch.info.clone_from(info);
        Ok(())
    }
}

fn engine_error(error: CardError) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}

impl<C: Card> CardVectorEnv for Uploaded<C> {
    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError> {
        self.card.slots(sizes, key)
    }

    fn show(&self, lanes: &[usize], slots: &mut dyn Slots) -> Result<u32, CardError> {
        let parts: Vec<_> = runs(lanes).map(|run| self.rows.part(run)).collect();
        slots.publish(&parts)
    }

    fn fetch(&mut self, mask: &[bool]) -> Result<(), EnvError> {
        let space = &self.env.spec().observation_space;
        let (width, dtype) = (space.flat_len(), space.dtype());
        for (lane, _) in mask.iter().enumerate().filter(|(_, masked)| **masked) {
            let mut row = vec![0; width * dtype.size()];
            self.rows.read(lane, &mut row).map_err(engine_error)?;
            let row = buffer_from_bytes(dtype, &row)
                .map_err(|refusal| EnvError::Engine { message: refusal.to_string() })?;
            self.batch.observations.copy_rows(lane, &row, 0, 1, width);
        }
        Ok(())
    }
}

impl<C: Card> VectorEnv for Uploaded<C> {
    fn num_envs(&self) -> usize {
        self.env.num_envs()
    }

    fn spec(&self) -> &EnvSpec {
        self.env.spec()
    }

    fn autoreset_mode(&self) -> AutoresetMode {
        self.env.autoreset_mode()
    }

    fn reset(&mut self, seeds: &[Option<u64>], mask: &[bool]) -> Result<(), EnvError> {
        self.env.reset(seeds, mask)?;
        self.upload()
    }

    fn set_options(&mut self, options: &BTreeMap<String, f32>, mask: &[bool]) -> Result<(), EnvError> {
        self.env.set_options(options, mask)
    }

    fn randomise(&mut self, ranges: Option<Randomisation>) -> Result<(), EnvError> {
        self.env.randomise(ranges)
    }

    fn step(&mut self, actions: &Buffer, mask: &[bool]) -> Result<(), EnvError> {
        self.env.step(actions, mask)?;
        self.upload()
    }

    fn batch(&self) -> &Batch {
        &self.batch
    }

    fn save_lane(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        self.env.save_lane(lane)
    }

    fn load_lane(&mut self, lane: usize, bytes: &[u8]) -> Result<(), EnvError> {
        self.env.load_lane(lane, bytes)?;
        self.upload()
    }
}
