//! Dreams whose frames stay on the card that they were dreamt on.

use worldstep_env::{Buffer, EnvError};

use super::{DreamObservation, NeuralVectorEnv};
use crate::on_card::{Card, CardError, CardRows, CardVectorEnv, Part, SlotSizes, Slots, runs};

/// A card, and the present frame of each lane on it.
pub struct KeptOnCard {
    card: Box<dyn Card>,
    rows: Box<dyn CardRows>,
    row_len: usize,
}

impl KeptOnCard {
    /// Copies the frames of `part`, which are those of `lanes` from the `first` of these on.
    ///
    /// # Panics
    /// If the card has failed, as the engine on it does.
    pub fn put(&mut self, lanes: &[usize], first: usize, part: Part<'_>) {
        let frames = part.len() / self.row_len;
        let mut rest = part;
        for run in runs(&lanes[first..first + frames]) {
            let (head, tail) = rest.split_at(run.len() * self.row_len);
            let put = self.rows.put(run.start, head);
            put.unwrap_or_else(|error| panic!("the card has failed: {error}"));
            rest = tail;
        }
    }

    /// The frame of `lane`.
    pub fn row(&self, lane: usize) -> Result<Vec<u8>, EnvError> {
        let mut row = vec![0; self.row_len];
        self.rows.read(lane, &mut row).map_err(engine_error)?;
        Ok(row)
    }
}

impl NeuralVectorEnv {
    /// Keeps the frames on the card that the engine decodes on, from here on, if that is the one with the name `wanted`.
    ///
    /// # Errors
    /// One line that says why they stay in host memory, and what would make it work.
    pub fn keep_on_its_card(&mut self, wanted: &str) -> Result<(), String> {
        let card = self.engine.card()?;
        let name = card.name();
        if name != wanted {
            return Err(format!(
                "the dream is on card {name}, the policy on {wanted}: start both on the same one"
            ));
        }
        self.keep_on_card(card)
    }

    /// Keeps the frames on `card`, from here on: [`CardVectorEnv`]'s methods give them. An engine that decodes elsewhere
    /// copies them there.
    ///
    /// # Errors
    /// One line that says why not, and what would make it work.
    pub fn keep_on_card(&mut self, card: Box<dyn Card>) -> Result<(), String> {
        if self.options.observation != DreamObservation::Rgb {
            let name = self.options.observation.name();
            return Err(format!("obs {name:?} is made in host memory: \"rgb\" can stay on a card"));
        }
        let (lanes, row_len) = (self.options.num_envs, self.frame_bytes());
        let rows = card.rows(lanes, row_len).map_err(|error| error.to_string())?;
        let mut kept = KeptOnCard { card, rows, row_len };
        if let Buffer::U8(shown) = &self.batch.observations {
            kept.put(&(0..lanes).collect::<Vec<_>>(), 0, Part::Host(shown));
        }
        self.kept = Some(kept);
        Ok(())
    }
}

impl CardVectorEnv for NeuralVectorEnv {
    fn slots(&self, sizes: SlotSizes, key: u128) -> Result<Box<dyn Slots>, CardError> {
        self.kept.as_ref().ok_or(CardError::NotOnCard)?.card.slots(sizes, key)
    }

    fn show(&self, lanes: &[usize], slots: &mut dyn Slots) -> Result<u32, CardError> {
        let kept = self.kept.as_ref().ok_or(CardError::NotOnCard)?;
        let parts: Vec<_> = runs(lanes).map(|run| kept.rows.part(run)).collect();
        slots.publish(&parts)
    }

    fn fetch(&mut self, mask: &[bool]) -> Result<(), EnvError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        let Buffer::U8(observations) = &mut self.batch.observations else { return Ok(()) };
        for (lane, _) in mask.iter().enumerate().filter(|(_, masked)| **masked) {
            let row = &mut observations[lane * kept.row_len..(lane + 1) * kept.row_len];
            kept.rows.read(lane, row).map_err(engine_error)?;
        }
        Ok(())
    }
}

fn engine_error(error: CardError) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}
