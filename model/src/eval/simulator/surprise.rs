//! Violation of expectation: is the model more surprised by what cannot happen?

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::codec::{encode_frames, plain};
use crate::config::{CODE_LOGITS, CODES_PER_TOKEN, NOISE_LEVELS, SPATIAL_TOKENS};
use crate::data::{Annotations, ClipRange, Clips};
use crate::dynamics::{FrameInput, TOKEN_LOGITS};
use crate::fsq::{CODE_VALUES, LOGIT_OFFSETS};
use crate::model::Model;
use crate::packing::{FRAME_CODE_BYTES, grid_index, one_hot_tokens};

/// Pairs of a possible and an impossible clip that are alike up to what cannot happen. What counts are the frames from the
/// first one that differs to the end of the shorter clip.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Surprise {
    /// Pairs.
    pub pairs: usize,
    /// Share of the pairs whose impossible clip surprises more, by the mean over its frames; a draw counts half.
    pub accuracy: f64,
    /// The same by the most surprising frame.
    pub accuracy_by_peak: f64,
    /// The same by kind of violation.
    pub by_kind: BTreeMap<String, KindSurprise>,
    /// Mean surprise of possible and impossible clips: negative log-likelihood of the true next codes, nats a softmax.
    pub mean_nats: [f64; 2],
}

/// [`Surprise`] at one kind of violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct KindSurprise {
    /// Pairs.
    pub pairs: usize,
    /// Share of the pairs whose impossible clip surprises more, by the mean.
    pub accuracy: f64,
    /// By the most surprising frame.
    pub accuracy_by_peak: f64,
}

/// The model's surprise at each frame of a clip but the first: mean negative log-likelihood of the frame's true codes
/// after all true frames before it, nats a softmax.
fn surprises((model, task): (&Model, usize), clips: &Clips, range: &ClipRange) -> Vec<f64> {
    let codes = encode_frames(&model.tokenizer, clips.film(range.rows()));
    let frame = SPATIAL_TOKENS * TOKEN_LOGITS;
    let mut one_hot = vec![0.0; range.len * frame];
    let mut actions = Vec::new();
    for t in 0..range.len {
        let seen = &codes[t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES];
        one_hot_tokens(seen, &mut one_hot[t * frame..(t + 1) * frame]);
        model.card.pad_action(task, clips.action(range.start + t), &mut actions);
        actions.extend((0..NOISE_LEVELS).map(|level| f32::from(level == 0)));
    }
    let values = actions.len() / range.len.max(1);
    let device = &model.device;
    let input = FrameInput {
        codes: Tensor::from_data(
            TensorData::new(one_hot, [range.len * SPATIAL_TOKENS, TOKEN_LOGITS]),
            device,
        ),
        actions: Tensor::from_data(TensorData::new(actions, [range.len, values]), device),
    };
    let logits = plain(model.dynamics.forward(input, range.len).codes);
    (1..range.len)
        .map(|t| {
            let next = &codes[t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES];
            frame_surprise(&logits[(t - 1) * frame..t * frame], next)
        })
        .collect()
}

/// Mean over a frame's softmaxes of `log Σ exp(logit) − logit[level]`.
fn frame_surprise(logits: &[f32], codes: &[u8]) -> f64 {
    let mut sum = 0.0;
    for token in 0..SPATIAL_TOKENS {
        for part in 0..CODES_PER_TOKEN {
            for dim in 0..CODE_VALUES {
                let first = token * TOKEN_LOGITS + part * CODE_LOGITS;
                let softmax = &logits[first + LOGIT_OFFSETS[dim]..first + LOGIT_OFFSETS[dim + 1]];
                let level = codes[grid_index(token, part) * CODE_VALUES + dim];
                let max = softmax.iter().copied().fold(f32::MIN, f32::max);
                let total: f32 = softmax.iter().map(|logit| (logit - max).exp()).sum();
                sum += f64::from(total.ln() + max - softmax[usize::from(level)]);
            }
        }
    }
    sum / (SPATIAL_TOKENS * CODES_PER_TOKEN * CODE_VALUES) as f64
}

/// Mean and most surprising frame of a possible and of an impossible clip.
type Twins = [[f64; 2]; 2];

/// Surprise at `pairs_max` pairs of the clips at most; `None` if there are none.
pub fn surprise(
    (model, task): (&Model, usize),
    clips: &Clips,
    annotations: &Annotations,
    pairs_max: usize,
) -> Option<Surprise> {
    let clip_of = |episode: i64| annotations.facts.iter().position(|facts| facts.episode == episode);
    let pairs = annotations.facts.iter().enumerate().filter(|(_, facts)| !facts.violation.is_empty());
    let mut twins: Vec<(String, Twins)> = Vec::new();
    for (impossible, facts) in pairs.take(pairs_max) {
        let Some(possible) = clip_of(facts.pair) else { continue };
        let Some(ranges) = clips.ranges.get(possible).zip(clips.ranges.get(impossible)) else { continue };
        let Some(fork) = fork(clips, ranges) else { continue };
        let of = |range: &ClipRange| surprises((model, task), clips, range);
        if let Some(both) = common([&of(ranges.0), &of(ranges.1)], fork) {
            twins.push((facts.violation.clone(), both));
        }
    }
    weigh(&twins)
}

/// The first frame in which two clips differ; `None` if they look alike to the end of the shorter one.
fn fork(clips: &Clips, (a, b): (&ClipRange, &ClipRange)) -> Option<usize> {
    (0..a.len.min(b.len)).find(|t| clips.frame(a.start + t) != clips.frame(b.start + t))
}

/// Mean and peak of the surprises of two clips, each from its second frame on, over the frames from `fork` on that both
/// have.
fn common(surprises: [&[f64]; 2], fork: usize) -> Option<Twins> {
    let end = surprises[0].len().min(surprises[1].len());
    let from = fork.saturating_sub(1);
    (from < end).then(|| {
        surprises.map(|each| {
            let each = &each[from..end];
            [each.iter().sum::<f64>() / each.len() as f64, each.iter().copied().fold(0.0, f64::max)]
        })
    })
}

fn weigh(twins: &[(String, Twins)]) -> Option<Surprise> {
    let accuracy = |twins: &[&Twins], by: usize| {
        let points = twins.iter().map(|[possible, impossible]| {
            if impossible[by] == possible[by] { 0.5 } else { f64::from(impossible[by] > possible[by]) }
        });
        points.sum::<f64>() / twins.len() as f64
    };
    let all: Vec<&Twins> = twins.iter().map(|(_, both)| both).collect();
    let mut kinds: BTreeMap<String, Vec<&Twins>> = BTreeMap::new();
    twins.iter().for_each(|(kind, both)| kinds.entry(kind.clone()).or_default().push(both));
    let mean = |which: usize| all.iter().map(|both| both[which][0]).sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| Surprise {
        pairs: all.len(),
        accuracy: accuracy(&all, 0),
        accuracy_by_peak: accuracy(&all, 1),
        by_kind: kinds
            .into_iter()
            .map(|(kind, some)| {
                let [by_mean, by_peak] = [0, 1].map(|by| accuracy(&some, by));
                (kind, KindSurprise { pairs: some.len(), accuracy: by_mean, accuracy_by_peak: by_peak })
            })
            .collect(),
        mean_nats: [mean(0), mean(1)],
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_more_surprising_twin_should_be_the_impossible_one() {
        let twins = [
            ("vanish".to_owned(), [[1.0, 2.0], [1.5, 1.0]]),
            ("vanish".to_owned(), [[1.0, 2.0], [1.0, 3.0]]),
            ("swap".to_owned(), [[2.0, 2.0], [1.0, 5.0]]),
        ];
        let surprise = weigh(&twins).unwrap();
        assert_eq!((surprise.pairs, surprise.accuracy), (3, 0.5), "one right, one draw, one wrong");
        assert!((surprise.accuracy_by_peak - 2.0 / 3.0).abs() < 1e-12);
        let vanish = KindSurprise { pairs: 2, accuracy: 0.75, accuracy_by_peak: 0.5 };
        assert_eq!(surprise.by_kind["vanish"], vanish);
        assert_eq!(weigh(&[]), None);
    }

    /// What both clips have shown before the fork, and what only the longer one shows, says nothing of the violation.
    #[test]
    fn only_frames_after_the_fork_that_both_have_count() {
        let possible = [9.0, 9.0, 1.0, 3.0];
        let impossible = [9.0, 9.0, 2.0, 4.0, 0.0, 0.0];
        assert_eq!(common([&possible, &impossible], 3), Some([[2.0, 3.0], [3.0, 4.0]]));
        assert_eq!(common([&possible, &impossible], 0), common([&possible, &impossible], 1));
        assert_eq!(common([&possible, &impossible], 5), None);
    }

    /// All logits 0: ln 8 for one of four dimensions, ln 5 for the others. Sure and right: next to nothing.
    #[test]
    fn surprise_is_the_negative_log_likelihood() {
        let codes = vec![2; FRAME_CODE_BYTES];
        let mut logits = vec![0.0; SPATIAL_TOKENS * TOKEN_LOGITS];
        let ignorance = (8f64.ln() + 3.0 * 5f64.ln()) / 4.0;
        assert!((frame_surprise(&logits, &codes) - ignorance).abs() < 1e-5);
        one_hot_tokens(&codes, &mut logits);
        logits.iter_mut().for_each(|logit| *logit *= 30.0);
        assert!(frame_surprise(&logits, &codes) < 1e-5);
        assert!(frame_surprise(&logits, &vec![3; FRAME_CODE_BYTES]) > 29.0);
    }
}
