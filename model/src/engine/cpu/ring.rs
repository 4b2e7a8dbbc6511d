//! What one lane has seen: keys and values of its last frames.

use crate::cache::LaneCache;
use crate::config::{FRAME_TOKENS, ModelConfig};

/// Sizes of a ring, equal in all lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingSizes {
    /// Layers that attend over time.
    pub layers: usize,
    /// Frames kept.
    pub context: usize,
    /// `context`, rounded up to whole vectors.
    pub stride: usize,
    /// Tokens of a frame times key heads.
    pub slots: usize,
    pub head_dim: usize,
}

impl RingSizes {
    pub fn new(config: &ModelConfig) -> Self {
        let stack = &config.dynamics;
        Self {
            layers: stack.layers.div_ceil(config.temporal_every),
            context: config.context_frames,
            stride: config.context_frames.next_multiple_of(16),
            slots: FRAME_TOKENS * stack.kv_heads,
            head_dim: stack.head_dim(),
        }
    }

    /// Keys (or values) of one slot.
    fn slot_len(&self) -> usize {
        self.stride * self.head_dim
    }

    /// Bytes of one lane's ring.
    pub fn bytes(&self) -> usize {
        2 * self.layers * self.slots * self.slot_len() * size_of::<f32>()
    }
}

/// A lane's rings. Each lane has its own pointer, which starts at 0 with the episode: what a sum over the ring rounds to
/// depends on the lane's age alone.
#[derive(Clone, Debug)]
pub struct Ring {
    sizes: RingSizes,
    /// `[layers, slots, head_dim, stride]`: a key's values lie one frame beside the other, as scores need them.
    keys: Vec<f32>,
    /// `[layers, slots, stride, head_dim]`.
    values: Vec<f32>,
    /// Frames seen, at most `context`.
    age: usize,
    /// Place of the newest frame.
    newest: usize,
}

/// How far a ring has come.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    age: usize,
    newest: usize,
}

impl Ring {
    pub fn new(sizes: RingSizes) -> Self {
        let len = sizes.layers * sizes.slots * sizes.slot_len();
        Self { sizes, keys: vec![0.0; len], values: vec![0.0; len], age: 0, newest: 0 }
    }

    /// Values from one row of keys to the next.
    pub fn stride(&self) -> usize {
        self.sizes.stride
    }

    /// Frames that can be seen.
    pub fn age(&self) -> usize {
        self.age
    }

    /// Frames between the newest and the one at `place`.
    pub fn distance(&self, place: usize) -> usize {
        (self.newest + self.sizes.context - place) % self.sizes.context
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        (self.age, self.newest) = (0, 0);
    }

    /// Makes room for one more frame.
    pub fn advance(&mut self) {
        self.newest = if self.age == 0 { 0 } else { (self.newest + 1) % self.sizes.context };
        self.age = (self.age + 1).min(self.sizes.context);
    }

    /// Where it stands, for [`rewind`](Self::rewind).
    pub fn mark(&self) -> Mark {
        Mark { age: self.age, newest: self.newest }
    }

    /// Takes back the one frame that was appended since `mark`. It lies where the next one will: in a full ring, in
    /// place of the oldest, which no later frame sees.
    pub fn rewind(&mut self, mark: Mark) {
        (self.age, self.newest) = (mark.age, mark.newest);
    }

    /// Writes the newest frame's key and value of one slot.
    pub fn put(&mut self, layer: usize, slot: usize, key_value: (&[f32], &[f32])) {
        self.put_at(self.newest, (layer, slot), key_value);
    }

    fn put_at(&mut self, place: usize, (layer, slot): (usize, usize), (key, value): (&[f32], &[f32])) {
        let RingSizes { stride, head_dim, .. } = self.sizes;
        let at = (layer * self.sizes.slots + slot) * self.sizes.slot_len();
        for (to, from) in self.keys[at + place..].iter_mut().step_by(stride).zip(key) {
            *to = *from;
        }
        let at = at + place * head_dim;
        self.values[at..at + head_dim].copy_from_slice(value);
    }

    /// Keys `[head_dim, stride]` and values `[stride, head_dim]` of one slot, in order of place.
    pub fn slot(&self, layer: usize, slot: usize) -> (&[f32], &[f32]) {
        let len = self.sizes.slot_len();
        let at = (layer * self.sizes.slots + slot) * len;
        (&self.keys[at..at + len], &self.values[at..at + len])
    }

    /// Places in order of time, oldest first.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let (age, newest, context) = (self.age, self.newest, self.sizes.context);
        (0..age).map(move |i| (newest + context + 1 + i - age) % context)
    }

    /// What is seen, oldest first; for each layer its keys `[age, slots, head_dim]`, then its values.
    pub fn save(&self) -> LaneCache {
        let RingSizes { layers, stride, slots, head_dim, .. } = self.sizes;
        let mut values = Vec::with_capacity(2 * layers * self.age * slots * head_dim);
        for layer in 0..layers {
            for place in self.places() {
                for slot in 0..slots {
                    let (keys, _) = self.slot(layer, slot);
                    values.extend((0..head_dim).map(|d| keys[d * stride + place]));
                }
            }
            for place in self.places() {
                for slot in 0..slots {
                    values.extend_from_slice(&self.slot(layer, slot).1[place * head_dim..][..head_dim]);
                }
            }
        }
        LaneCache { age: self.age, newest: self.newest, values }
    }

    /// Takes over what [`save`](Self::save) gave; false, and nothing is changed, if the sizes do not fit.
    pub fn load(&mut self, saved: &LaneCache) -> bool {
        let RingSizes { layers, context, slots, head_dim, .. } = self.sizes;
        let (age, frame) = (saved.age, slots * head_dim);
        // Only an age in range may be multiplied: any number can stand in damaged bytes.
        if age > context || saved.newest >= context || saved.values.len() != 2 * layers * age * frame {
            return false;
        }
        self.age = age;
        self.newest = if age < context { age.saturating_sub(1) } else { saved.newest };
        for (i, place) in self.places().enumerate() {
            for layer in 0..layers {
                let keys = (2 * layer * age + i) * frame;
                let values = keys + age * frame;
                for slot in 0..slots {
                    let part = |first: usize| &saved.values[first + slot * head_dim..][..head_dim];
                    self.put_at(place, (layer, slot), (part(keys), part(values)));
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    fn ring(frames: usize) -> Ring {
        let config = ModelConfig { context_frames: 4, ..ModelConfig::new(Preset::Nano, 3, 1) };
        let mut ring = Ring::new(RingSizes::new(&config));
        for frame in 0..frames {
            ring.advance();
            for (layer, slot) in (0..2).flat_map(|layer| (0..40).map(move |slot| (layer, slot))) {
                let value = |d: usize| (frame * 1000 + layer * 500 + slot * 10 + d) as f32;
                let key: Vec<f32> = (0..24).map(value).collect();
                let negative: Vec<f32> = key.iter().map(|value| -value).collect();
                ring.put(layer, slot, (&key, &negative));
            }
        }
        ring
    }

    #[test]
    fn a_ring_keeps_its_last_frames_in_order_of_time() {
        for frames in 0..10 {
            let ring = ring(frames);
            let saved = ring.save();
            assert_eq!(ring.age(), frames.min(4));
            let first: Vec<f32> = saved.values.iter().step_by(960).take(ring.age()).copied().collect();
            let expected: Vec<f32> = (frames.saturating_sub(4)..frames).map(|i| i as f32 * 1000.0).collect();
            assert_eq!(first, expected);
            if frames > 0 {
                assert_eq!(ring.distance(ring.newest), 0);
            }
        }
    }

    #[test]
    fn what_was_saved_comes_back_to_the_same_places() {
        for frames in 0..10 {
            let (saved, mut other) = (ring(frames).save(), ring(7));
            assert!(other.load(&saved));
            assert_eq!(other.save(), saved);
            assert_eq!(other.newest, ring(frames).newest);
        }
    }

    #[test]
    fn a_ring_of_another_size_is_refused_and_changes_nothing() {
        let mut target = ring(3);
        let before = target.save();
        let good = ring(2).save();
        for (age, newest) in [(5, 0), (usize::MAX, 0), (1, 1), (2, 4)] {
            assert!(!target.load(&LaneCache { age, newest, values: good.values.clone() }), "{age} {newest}");
        }
        assert_eq!(target.save(), before);
    }
}
