use worldstep_env::{EnvError, EnvSpec};

/// Where a dream begins: prepared frames of the truth.
///
/// What is shown after a reset is the last frame of a start: truth's frame `context_frames − 1` (counted from 0) of the
/// episode with that seed, after as many neutral actions. The episode's clock has counted them.
pub trait StartSource: Send {
    /// The environment as the dream shows it: its observation space is the RGB frame of the model's size.
    fn spec(&self) -> &EnvSpec;

    /// Frames in one start, at least 1.
    fn context_frames(&self) -> usize;

    /// The action taken on each of the start's frames but the last, as the numbers that a dataset stores.
    fn neutral_action(&self) -> &[f32];

    /// Appends, for each of `seeds`, the first [`context_frames`](Self::context_frames) frames (HWC `uint8`) of the
    /// episode with that seed. Starts that are asked for together can be drawn together.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the truth cannot be simulated or rendered.
    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError>;

    /// Tells which seeds will be asked for next, the most urgent first, instead of those told before. A source that can
    /// draw ahead prepares them; what it gives does not depend on it.
    fn expect(&mut self, _seeds: &[u64]) {}
}
