//! What the lanes have seen: keys and values of their last frames, on the device, and on the host how far each has come.

use super::context::{Buffer, Context, Stored};
use crate::cache::LaneCache;
use crate::config::{FRAME_TOKENS, ModelConfig};

/// Sizes of the rings of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Layers that attend over time.
    pub layers: usize,
    /// Frames kept.
    pub frames: usize,
    /// Tokens of a frame times key heads.
    pub slots: usize,
    /// Values of one key.
    pub dim: usize,
}

impl RingSizes {
    /// Those of `config`.
    pub fn new(config: &ModelConfig) -> Self {
        let stack = &config.dynamics;
        Self {
            layers: stack.layers.div_ceil(config.temporal_every),
            frames: config.context_frames,
            slots: FRAME_TOKENS * stack.kv_heads,
            dim: stack.head_dim(),
        }
    }

    /// Keys (or values) of one layer of a lane.
    pub fn lane(&self) -> usize {
        self.slots * self.frames * self.dim
    }

    /// Numbers that a lane takes in all.
    pub fn values(&self) -> usize {
        2 * self.layers * self.lane()
    }

    /// Where in a lane's ring (`[slots, frames, dim]`) the key of a slot at a place begins.
    fn at(&self, slot: usize, place: usize) -> usize {
        (slot * self.frames + place) * self.dim
    }
}

/// Rings of all lanes. Each lane has its own pointer, which starts at 0 with the episode, so that what a lane makes of its
/// past depends on that alone.
pub struct Rings<S> {
    sizes: RingSizes,
    /// For each layer keys and values, `[lanes + 1, slots, frames, dim]`: the last are nobody's.
    layers: Vec<[Buffer<S>; 2]>,
    steps: Vec<Mark>,
}

/// How far a lane has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Frames seen, at most those of a ring.
    pub age: usize,
    /// Place of the newest.
    pub newest: usize,
}

impl<S: Stored> Rings<S> {
    /// Rings of `lanes` lanes that have seen nothing.
    pub fn new(context: &Context, sizes: RingSizes, lanes: usize) -> Self {
        let ring = || Buffer::empty(context, (lanes + 1) * sizes.lane());
        let layers = (0..sizes.layers).map(|_| [ring(), ring()]).collect();
        Self { sizes, layers, steps: vec![Mark::default(); lanes] }
    }

    /// Lanes.
    pub fn lanes(&self) -> usize {
        self.steps.len()
    }

    /// The ring that nobody reads.
    pub fn spare(&self) -> usize {
        self.lanes()
    }

    /// Frames that a ring holds.
    pub fn frames(&self) -> usize {
        self.sizes.frames
    }

    /// Keys and values of a temporal layer.
    pub fn layer(&self, layer: usize) -> &[Buffer<S>; 2] {
        &self.layers[layer]
    }

    /// How far `lane` has come.
    pub fn mark(&self, lane: usize) -> Mark {
        self.steps[lane]
    }

    /// Makes room for one more frame in `lane`.
    pub fn advance(&mut self, lane: usize) {
        let step = &mut self.steps[lane];
        step.newest = if step.age == 0 { 0 } else { (step.newest + 1) % self.sizes.frames };
        step.age = (step.age + 1).min(self.sizes.frames);
    }

    /// Takes back the one frame that was appended since `mark`. It lies where the next one will: in a full ring, in place
    /// of the oldest, which no later frame sees.
    pub fn rewind(&mut self, lane: usize, mark: Mark) {
        self.steps[lane] = mark;
    }

    /// Forgets what `lane` has seen.
    pub fn reset(&mut self, lane: usize) {
        self.steps[lane] = Mark::default();
    }

    /// Places of `lane` in order of time, oldest first.
    fn places(&self, lane: usize) -> impl Iterator<Item = usize> + use<S> {
        let (Mark { age, newest }, frames) = (self.steps[lane], self.sizes.frames);
        (0..age).map(move |i| (newest + frames + 1 + i - age) % frames)
    }

    /// What `lane` has seen; [`CpuEngine`](crate::engine::CpuEngine)'s and [`BurnEngine`](crate::engine::BurnEngine)'s
    /// lanes take it as well.
    pub fn save(&self, context: &Context, lane: usize) -> LaneCache {
        let (RingSizes { slots, dim, .. }, Mark { age, newest }) = (self.sizes, self.steps[lane]);
        let mut ring = vec![S::nearest(0.0); self.sizes.lane()];
        let mut values = Vec::with_capacity(2 * self.layers.len() * age * slots * dim);
        for part in self.layers.iter().flatten() {
            part.read_at(context, lane * ring.len(), &mut ring);
            for place in self.places(lane) {
                for slot in 0..slots {
                    let key = &ring[self.sizes.at(slot, place)..][..dim];
                    values.extend(key.iter().map(|value| value.wide()));
                }
            }
        }
        LaneCache { age, newest, values }
    }

    /// Takes over what [`save`](Self::save) gave; false, and nothing is changed, if the sizes do not fit.
    pub fn load(&mut self, context: &Context, lane: usize, saved: &LaneCache) -> bool {
        let RingSizes { layers, frames, slots, dim } = self.sizes;
        let age = saved.age;
        // Only an age in range may be multiplied: any number can stand in damaged bytes.
        if age > frames || saved.newest >= frames || saved.values.len() != 2 * layers * age * slots * dim {
            return false;
        }
        let newest = if age < frames { age.saturating_sub(1) } else { saved.newest };
        self.steps[lane] = Mark { age, newest };
        for (i, part) in self.layers.iter().flatten().enumerate() {
            let mut ring = vec![S::nearest(0.0); self.sizes.lane()];
            for (t, place) in self.places(lane).enumerate() {
                for slot in 0..slots {
                    let from = ((i * age + t) * slots + slot) * dim;
                    let to = self.sizes.at(slot, place);
                    for (to, from) in ring[to..to + dim].iter_mut().zip(&saved.values[from..from + dim]) {
                        *to = S::nearest(*from);
                    }
                }
            }
            part.write_at(context, lane * ring.len(), &ring);
        }
        true
    }
}
