use std::ops::{Deref, DerefMut};

use worldstep_env::{EnvError, VectorEnv};
use worldstep_model::on_card::CardVectorEnv;

/// An engine, and where its observations are.
pub enum Placed {
    /// In host memory.
    Host {
        /// The engine.
        env: Box<dyn VectorEnv>,
        /// Why they are on no card, and what would make it work.
        why: String,
    },
    /// On a card.
    Card(Box<dyn CardVectorEnv>),
}

impl Placed {
    /// Whether they are on a card.
    pub fn is_on_card(&self) -> bool {
        matches!(self, Self::Card(_))
    }

    /// Brings the observations of the lanes of `mask` into [`batch`](VectorEnv::batch), wherever they are.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the card has failed.
    pub fn fetch(&mut self, mask: &[bool]) -> Result<(), EnvError> {
        match self {
            Self::Host { .. } => Ok(()),
            Self::Card(env) => env.fetch(mask),
        }
    }
}

impl Deref for Placed {
    type Target = dyn VectorEnv;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Host { env, .. } => env.as_ref(),
            Self::Card(env) => env.as_ref(),
        }
    }
}

impl DerefMut for Placed {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Self::Host { env, .. } => env.as_mut(),
            Self::Card(env) => env.as_mut(),
        }
    }
}
