use worldstep_env::EnvError;

/// A clip to run again with a small change.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    /// Seed of its episode.
    pub seed: u64,
    /// Its actions, as the dataset stores them.
    pub actions: &'a [Vec<f32>],
    /// The row before whose frame everything that is free to move is displaced.
    pub row: usize,
    /// By how much, metres.
    pub displacement_m: f32,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replayed {
    /// A frame (HWC `uint8`) a row. Fewer rows than actions if the episode ends earlier.
    pub frames: Vec<u8>,
    /// `rows × moving objects × 3`: positions.
    pub positions: Vec<f32>,
}

/// Truth that can be run again from slightly other starts: how far it then is from itself is as near as any dream can be
/// asked to come.
pub trait PerturbedTruth {
    /// Runs clips again. Those that are asked for together can be drawn together.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the truth cannot be simulated or rendered.
    fn replay(&mut self, clips: &[Replay<'_>]) -> Result<Vec<Replayed>, EnvError>;
}
