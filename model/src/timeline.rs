use burn::tensor::{Device, Tensor, TensorData};

/// Added to a score that must not count; finite, so that a row is never all −∞.
const HIDDEN: f32 = -1e9;

/// Which frames may see which, and how far apart they are: the same for every temporal layer of one pass.
///
/// Time enters attention only as the distance between two frames, through a learned bias per head and distance. A cached
/// key therefore stays valid for ever, whatever the lane's age.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// `[context_frames, frames * keys]`, one-hot of the distance.
    distance_one_hot: Tensor<2>,
    /// `[lanes or 1, 1, 1, frames, keys]`, 0 or [`HIDDEN`].
    penalty: Tensor<5>,
    frames: usize,
    keys: usize,
}

impl Timeline {
    /// `frames` consecutive frames, each seeing itself and the `context_frames - 1` before it.
    pub fn causal(frames: usize, context_frames: usize, device: &Device) -> Self {
        let mut one_hot = vec![0.0; context_frames * frames * frames];
        let mut penalty = vec![HIDDEN; frames * frames];
        for now in 0..frames {
            for then in (now + 1).saturating_sub(context_frames)..=now {
                one_hot[(now - then) * frames * frames + now * frames + then] = 1.0;
                penalty[now * frames + then] = 0.0;
            }
        }
        Self {
            distance_one_hot: tensor2(one_hot, [context_frames, frames * frames], device),
            penalty: tensor2(penalty, [frames, frames], device).reshape([1, 1, 1, frames, frames]),
            frames,
            keys: frames,
        }
    }

    /// One new frame a lane, the last of a ring of `context_frames` in order of time; lane `i` has `ages[i]` frames in
    /// it, the new one included.
    pub fn ring(ages: &[usize], context_frames: usize, device: &Device) -> Self {
        let mut one_hot = vec![0.0; context_frames * context_frames];
        let mut penalty = vec![HIDDEN; ages.len() * context_frames];
        for slot in 0..context_frames {
            let distance = context_frames - 1 - slot;
            one_hot[distance * context_frames + slot] = 1.0;
            for (lane, age) in ages.iter().enumerate() {
                if distance < *age {
                    penalty[lane * context_frames + slot] = 0.0;
                }
            }
        }
        Self {
            distance_one_hot: tensor2(one_hot, [context_frames, context_frames], device),
            penalty: tensor2(penalty, [ages.len(), context_frames], device).reshape([
                ages.len(),
                1,
                1,
                1,
                context_frames,
            ]),
            frames: 1,
            keys: context_frames,
        }
    }

    /// New frames in a lane.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// What is added to the scores.
    ///
    /// # Shapes
    /// - distance_bias: `[heads, context_frames]`
    /// - output: `[lanes or 1, 1, kv_heads, heads / kv_heads * frames, keys]`
    pub fn bias(&self, distance_bias: Tensor<2>, kv_heads: usize) -> Tensor<5> {
        let heads = distance_bias.dims()[0];
        let lanes = self.penalty.dims()[0];
        let bias = distance_bias.matmul(self.distance_one_hot.clone()).reshape([
            1,
            1,
            heads,
            self.frames,
            self.keys,
        ]);
        (bias + self.penalty.clone()).reshape([lanes, 1, kv_heads, heads / kv_heads * self.frames, self.keys])
    }
}

fn tensor2(values: Vec<f32>, shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
