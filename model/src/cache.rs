//! The ring of past keys and values that makes one frame's pass cost one frame.

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::codec::plain;
use crate::config::{FRAME_TOKENS, ModelConfig};
use crate::timeline::Timeline;

/// Keys and values of one temporal layer.
#[derive(Clone, Debug)]
pub struct LayerCache {
    /// `[lanes, context_frames, FRAME_TOKENS * kv_heads, head_dim]`.
    keys: Tensor<4>,
    values: Tensor<4>,
    slot: usize,
}

impl LayerCache {
    /// Puts one frame's keys and values into the present slot; gives the ring back in order of time, oldest first. In
    /// slot order, sums over it would round differently with the pointer, and so with what other lanes did before.
    ///
    /// # Shapes
    /// - k, v: `[lanes, 1, FRAME_TOKENS * kv_heads, head_dim]`
    /// - output: `[lanes, context_frames, FRAME_TOKENS * kv_heads, head_dim]`
    pub fn append(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let slot = self.slot;
        let shift = (slot + 1) % self.keys.dims()[1];
        for (ring, frame) in [(&mut self.keys, k), (&mut self.values, v)] {
            ring.inplace(|ring| {
                let [lanes, _, rows, width] = ring.dims();
                ring.slice_assign([0..lanes, slot..slot + 1, 0..rows, 0..width], frame)
            });
        }
        (roll(self.keys.clone(), shift), roll(self.values.clone(), shift))
    }

    /// One lane's ring, from its oldest slot on: `[1, context_frames, rows, head_dim]` of keys and of values.
    fn unrolled(&self, lane: usize) -> [Tensor<4>; 2] {
        let context = self.keys.dims()[1];
        let shift = (self.slot + 1) % context;
        [&self.keys, &self.values].map(|ring| roll(ring.clone().narrow(0, lane, 1), shift))
    }

    fn put_unrolled(&mut self, lane: usize, rings: [Tensor<4>; 2]) {
        let [_, context, rows, width] = self.keys.dims();
        let shift = context - (self.slot + 1) % context;
        for (ring, lane_ring) in [&mut self.keys, &mut self.values].into_iter().zip(rings) {
            let lane_ring = roll(lane_ring, shift % context);
            ring.inplace(|ring| {
                ring.slice_assign([lane..lane + 1, 0..context, 0..rows, 0..width], lane_ring)
            });
        }
    }
}

/// The ring rotated so that slot `shift` comes first.
fn roll(ring: Tensor<4>, shift: usize) -> Tensor<4> {
    let context = ring.dims()[1];
    if shift == 0 {
        return ring;
    }
    Tensor::cat(vec![ring.clone().narrow(1, shift, context - shift), ring.narrow(1, 0, shift)], 1)
}

/// What one lane of a [`Cache`] holds, on plain values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneCache {
    /// Frames seen, at most the context.
    pub(crate) age: usize,
    /// Where in a ring the newest of them lay: an engine that puts it there again rounds its sums as before.
    pub(crate) newest: usize,
    /// For each temporal layer its keys and then its values, `[age, FRAME_TOKENS * kv_heads, head_dim]`, oldest first.
    pub(crate) values: Vec<f32>,
}

impl LaneCache {
    /// Whether all values are numbers.
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }
}

/// The rings of all temporal layers, with one pointer for all lanes and an age for each.
///
/// A lane is reset by setting its age to 0: what is left in its slots is hidden. A lane that is held while the others
/// step has its ring turned by one slot, so that it lies relative to the pointer as before.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<LayerCache>,
    newest: usize,
    ages: Vec<usize>,
    held: Vec<(usize, Vec<[Tensor<4>; 2]>)>,
    context_frames: usize,
    device: Device,
}

impl Cache {
    /// Empty rings for `lanes` lanes.
    pub fn new(config: &ModelConfig, lanes: usize, device: &Device) -> Self {
        let stack = &config.dynamics;
        let shape = [lanes, config.context_frames, FRAME_TOKENS * stack.kv_heads, stack.head_dim()];
        let layer = || LayerCache {
            keys: Tensor::zeros(shape, device),
            values: Tensor::zeros(shape, device),
            slot: 0,
        };
        Self {
            layers: (0..stack.layers).filter(|i| i % config.temporal_every == 0).map(|_| layer()).collect(),
            newest: 0,
            ages: vec![0; lanes],
            held: Vec::new(),
            context_frames: config.context_frames,
            device: device.clone(),
        }
    }

    /// Lanes in each ring.
    pub fn lanes(&self) -> usize {
        self.ages.len()
    }

    /// Forgets what `lane` has seen.
    pub fn reset(&mut self, lane: usize) {
        self.ages[lane] = 0;
    }

    /// Moves the pointer on by one frame for the lanes where `mask` is true and says what the new frame may see. The
    /// pass that follows writes into every lane; [`settle`](Self::settle) then puts the held lanes right.
    pub fn advance(&mut self, mask: &[bool]) -> Timeline {
        let context = self.context_frames;
        let held = (0..self.lanes()).filter(|lane| !mask[*lane] && self.ages[*lane] > 0);
        self.held =
            held.map(|lane| (lane, self.layers.iter().map(|layer| layer.unrolled(lane)).collect())).collect();
        self.newest = (self.newest + 1) % context;
        self.layers.iter_mut().for_each(|layer| layer.slot = self.newest);
        let ages: Vec<_> = self.ages.iter().map(|age| (age + 1).min(context)).collect();
        for (age, stepped) in self.ages.iter_mut().zip(mask) {
            *age = (*age + usize::from(*stepped)).min(context);
        }
        Timeline::ring(&ages, context, &self.device)
    }

    /// Gives the lanes that were held their rings back, turned to the new pointer.
    pub fn settle(&mut self) {
        for (lane, rings) in std::mem::take(&mut self.held) {
            for (layer, ring) in self.layers.iter_mut().zip(rings) {
                layer.put_unrolled(lane, ring);
            }
        }
    }

    /// The frames in `lane`'s rings, oldest first: for each layer its keys and then its values, flat.
    pub fn lane(&self, lane: usize) -> LaneCache {
        let (age, context) = (self.ages[lane], self.context_frames);
        if age == 0 {
            return LaneCache::default();
        }
        let part = |ring: Tensor<4>| plain(ring.narrow(1, context - age, age));
        let values = self.layers.iter().flat_map(|layer| layer.unrolled(lane)).flat_map(part).collect();
        LaneCache { age, newest: context - 1, values }
    }

    /// Puts into `lane` what [`lane`](Self::lane) gave, here or in another cache of the same model. False, and nothing
    /// is changed, if the sizes do not fit.
    pub fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        let [_, context, rows, width] = self.layers.first().map_or([0; 4], |layer| layer.keys.dims());
        // Only an age in range may be multiplied: any number can stand in damaged bytes.
        if saved.age > context {
            return false;
        }
        let len = saved.age * rows * width;
        if saved.values.len() != len * 2 * self.layers.len() {
            return false;
        }
        self.ages[lane] = saved.age;
        let empty = Tensor::zeros([1, context - saved.age, rows, width], &self.device);
        let ring = |values: &[f32]| {
            let frames = TensorData::new(values.to_vec(), [1, saved.age, rows, width]);
            match saved.age {
                0 => empty.clone(),
                age if age == context => Tensor::from_data(frames, &self.device),
                _ => Tensor::cat(vec![empty.clone(), Tensor::from_data(frames, &self.device)], 1),
            }
        };
        for (i, layer) in self.layers.iter_mut().enumerate() {
            let (keys, values) = saved.values[2 * i * len..2 * (i + 1) * len].split_at(len);
            layer.put_unrolled(lane, [ring(keys), ring(values)]);
        }
        true
    }

    /// The layers' rings, in the order of the temporal layers.
    pub fn layers_mut(&mut self) -> &mut [LayerCache] {
        &mut self.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    #[test]
    fn a_lane_of_an_impossible_age_or_size_is_refused() {
        let mut cache = Cache::new(&ModelConfig::new(Preset::Nano, 3, 1), 1, &Device::flex());
        let fits = cache.lane(0);
        for age in [1, 33, usize::MAX / 2, usize::MAX] {
            assert!(!cache.set_lane(0, &LaneCache { age, ..fits.clone() }), "age {age}");
        }
        assert!(!cache.set_lane(0, &LaneCache { age: 0, newest: 0, values: vec![0.0] }));
        assert!(cache.set_lane(0, &fits));
    }
}
