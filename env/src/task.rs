use crate::{Buffer, Draw, EnvError, Scene, physics::World};

/// The generator behind every random draw of an environment: small, seedable, serialisable.
pub type Rng = rand_pcg::Pcg64Mcg;

/// Most reward terms that a task may name.
pub const REWARD_TERMS_MAX: usize = 4;

/// One action, already checked against the task's action space.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Continuous values.
    Box(&'a [f32]),
    /// One choice.
    Discrete(i64),
}

impl Action<'_> {
    /// The first value as a number: a force, or the choice.
    pub fn scalar(&self) -> f32 {
        match self {
            Self::Box(values) => values[0],
            Self::Discrete(value) => *value as f32,
        }
    }
}

/// Name of a term of the reward and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewardTerm {
    /// Info key, for instance `reward/catch`.
    pub name: &'static str,
    /// One line.
    pub meaning: &'static str,
}

/// What one action caused.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Reward terms, already scaled, in the order of [`TaskEntry::reward_terms`](crate::TaskEntry); the reward is
    /// their sum.
    pub terms: [f32; REWARD_TERMS_MAX],
    /// Whether the task's own rules end the episode here.
    pub terminated: bool,
    /// Whether the goal is reached.
    pub success: bool,
}

/// One task on a physics world: what differs between environments. Time limits, seeding, checking of actions and
/// autoreset are the business of [`TruthEnv`](crate::TruthEnv).
pub trait Task: Send {
    /// Builds a new episode's world; all that differs between episodes comes from `draw`.
    fn reset(&mut self, draw: &mut Draw<'_>);

    /// Applies `action` for one control step.
    fn step(&mut self, action: Action<'_>) -> Outcome;

    /// Appends the state observation (the task's table) to `out`.
    fn state(&self, out: &mut Vec<f32>);

    /// Appends the scripted expert's action to `out`.
    fn expert(&self, out: &mut Buffer);

    /// The physics behind it.
    fn world(&self) -> &World;

    /// The physics behind it, to ask for recording.
    fn world_mut(&mut self) -> &mut World;

    /// Bodies, shapes, colours, camera.
    fn scene(&self) -> &Scene {
        self.world().scene()
    }

    /// Everything that the future depends on, as bytes.
    ///
    /// # Errors
    /// [`EnvError::State`] if the world cannot be encoded.
    fn save(&self) -> Result<Vec<u8>, EnvError>;

    /// Restores what [`save`](Self::save) gave.
    ///
    /// # Errors
    /// [`EnvError::State`] if the bytes are no state of this task; the task is then unchanged.
    fn load(&mut self, bytes: &[u8]) -> Result<(), EnvError>;
}
