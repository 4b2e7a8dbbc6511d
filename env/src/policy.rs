//! The behaviours that clips are recorded with: random, scripted, the expert with noise, and none.

use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::{Buffer, Rng, Space, TruthSource};

/// Longest time that a random action is held, in steps.
const HOLD_STEPS_MAX: u32 = 12;
/// Chance that the noisy expert leaves its script when it may choose anew.
const NOISE_CHANCE: f64 = 0.4;
/// Keeps the actions' random stream apart from the environment's, which has the same seed.
const STREAM: u64 = 0x9e37_79b9_7f4a_7c15;

/// Which behaviour an episode shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Uniform actions, each held for 1 to 12 steps, so that what is actuated really goes places.
    Random,
    /// The task's scripted expert.
    Scripted,
    /// The expert, interrupted by stretches of held random actions.
    NoisyExpert,
    /// Nothing is done: the neutral action throughout.
    Noop,
}

impl PolicyKind {
    /// Name in datasets and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Scripted => "scripted",
            Self::NoisyExpert => "noisy_expert",
            Self::Noop => "noop",
        }
    }
}

/// How often each behaviour is chosen, as weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyMix {
    /// Weight of [`PolicyKind::Random`].
    pub random: f64,
    /// Weight of [`PolicyKind::Scripted`].
    pub scripted: f64,
    /// Weight of [`PolicyKind::NoisyExpert`].
    pub noisy_expert: f64,
    /// Weight of [`PolicyKind::Noop`]; 0 by default.
    #[serde(default)]
    pub noop: f64,
}

impl Default for PolicyMix {
    fn default() -> Self {
        Self { random: 0.5, scripted: 0.2, noisy_expert: 0.3, noop: 0.0 }
    }
}

/// The behaviour of one episode; everything it does follows from the episode's seed.
pub struct ClipPolicy {
    kind: PolicyKind,
    rng: Rng,
    held: Buffer,
    hold_steps: u32,
    scripted: bool,
}

impl ClipPolicy {
    /// The behaviour for the episode with this seed.
    pub fn new(mix: &PolicyMix, seed: u64) -> Self {
        let mut rng = Rng::seed_from_u64(seed ^ STREAM);
        let active = mix.random + mix.scripted + mix.noisy_expert;
        let total = active + mix.noop;
        let draw = rng.random_range(0.0..1.0) * total;
        let kind = if draw < mix.random {
            PolicyKind::Random
        } else if draw < mix.random + mix.scripted {
            PolicyKind::Scripted
        } else if mix.noop > 0.0 && draw >= active {
            PolicyKind::Noop
        } else {
            PolicyKind::NoisyExpert
        };
        Self::of_kind(kind, rng)
    }

    /// A given behaviour with a given random stream.
    pub fn of_kind(kind: PolicyKind, rng: Rng) -> Self {
        Self { kind, rng, held: Buffer::F32(Vec::new()), hold_steps: 0, scripted: true }
    }

    /// Which behaviour this is.
    pub fn kind(&self) -> PolicyKind {
        self.kind
    }

    /// Appends the action for `lane` of `env` to `out`.
    pub fn act(&mut self, env: &dyn TruthSource, lane: usize, out: &mut Buffer) {
        self.decide(&env.spec().action_space, &mut |out| env.expert_action(lane, out), out);
    }

    /// Appends the next action of `space` to `out`, asking `expert` for its own when it is the expert's turn.
    pub fn decide(&mut self, space: &Space, expert: &mut dyn FnMut(&mut Buffer), out: &mut Buffer) {
        if self.hold_steps == 0 {
            self.choose(space);
        }
        self.hold_steps -= 1;
        if self.scripted {
            expert(out);
        } else {
            out.append(&self.held);
        }
    }

    fn choose(&mut self, space: &Space) {
        self.hold_steps = self.rng.random_range(1..=HOLD_STEPS_MAX);
        self.scripted = match self.kind {
            PolicyKind::Random | PolicyKind::Noop => false,
            PolicyKind::Scripted => true,
            PolicyKind::NoisyExpert => !self.rng.random_bool(NOISE_CHANCE),
        };
        if self.kind == PolicyKind::Noop {
            self.held = space.neutral(1);
            return;
        }
        self.held = Buffer::empty(space.dtype());
        space.sample(&mut self.rng, &mut self.held);
    }
}
