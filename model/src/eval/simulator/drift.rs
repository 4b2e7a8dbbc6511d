//! What becomes of dreams that go on for hundreds of steps under random actions.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng};
use serde::{Deserialize, Serialize};
use worldstep_env::Rng;

use crate::codec::encode_frames;
use crate::config::FRAME_CODES;
use crate::data::{ClipRange, Clips};
use crate::engine::{DREAMT_LEVEL, FrameStep, Sampling, StepOutput, engine};
use crate::eval::EvalOptions;
use crate::eval::physics::Probe;
use crate::fsq::CODE_VALUES;
use crate::model::{Model, ModelError};
use crate::packing::FRAME_CODE_BYTES;

/// Steps of one block.
const BLOCK_STEPS: usize = 50;
/// Steps between the frames that are looked at.
const LOOK_EVERY: usize = 5;
/// Frames of true clips that say what is ordinary.
const ORDINARY_FRAMES: usize = 4_000;
/// Dreams side by side.
const DREAMS: usize = 16;
/// A dream has collapsed if at its end so many more of its patches than in true frames were never seen at their place …
const STRANGE_MORE: f64 = 0.1;
/// … or if an object that true frames show at least this often is found less often than that.
const SHOWN: f64 = 0.8;
const LOST: f64 = 0.4;

/// Means over some steps of all dreams, or over true frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftBlock {
    /// First step; 0 for true frames.
    pub from_step: usize,
    /// Mean entropy of the next frame's codes, nats.
    pub uncertainty: f64,
    /// Share of patches with a code that no true frame has at that place.
    pub strange_patches: f64,
    /// Mean absolute change of a pixel from frame to frame, grey levels: near 0 where the picture has frozen.
    pub change: f64,
    /// Share of frames in which the probe finds each object; null without a probe.
    pub found: Option<BTreeMap<String, f64>>,
}

/// Dreams of hundreds of steps. Ends of episodes are passed over, so that much of this is beyond what was learned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Steps of each dream.
    pub steps: usize,
    /// Dreams.
    pub dreams: usize,
    /// The same measures on true frames.
    pub truth: DriftBlock,
    /// By blocks of steps.
    pub blocks: Vec<DriftBlock>,
    /// Uncertainty in the last block by that in the first.
    pub uncertainty_growth: f64,
    /// Share of the dreams that collapsed: in the last block, a tenth more of the patches than in true frames are strange,
    /// or an object that true frames nearly always show is found in less than 40% of the frames.
    pub collapsed_share: f64,
}

/// One dream's sums over a block.
#[derive(Clone, Debug, Default)]
struct Sums {
    steps: usize,
    uncertainty: f64,
    strange: f64,
    change: f64,
    looks: usize,
    found: Vec<usize>,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.uncertainty += other.uncertainty;
        self.strange += other.strange;
        self.change += other.change;
        self.looks += other.looks;
        self.found.resize(other.found.len().max(self.found.len()), 0);
        self.found.iter_mut().zip(&other.found).for_each(|(mine, theirs)| *mine += theirs);
    }

    fn found_share(&self, object: usize) -> Option<f64> {
        (self.looks > 0).then(|| self.found.get(object).map(|found| *found as f64 / self.looks as f64))?
    }

    fn block(&self, from_step: usize, names: &[String]) -> DriftBlock {
        let steps = self.steps.max(1) as f64;
        let found = names.iter().enumerate().map(|(i, name)| Some((name.clone(), self.found_share(i)?)));
        DriftBlock {
            from_step,
            uncertainty: self.uncertainty / steps,
            strange_patches: self.strange / steps,
            change: self.change / steps,
            found: found.collect::<Option<BTreeMap<_, _>>>().filter(|found| !found.is_empty()),
        }
    }
}

/// Codes that true frames have at each place.
struct Ordinary(Vec<bool>);

impl Ordinary {
    fn learn(codes: &[u8]) -> Self {
        let mut seen = vec![false; FRAME_CODES << 12];
        for frame in codes.chunks_exact(FRAME_CODE_BYTES) {
            places(frame).for_each(|place| seen[place] = true);
        }
        Self(seen)
    }

    /// Share of the patches whose code no true frame has there.
    fn strange(&self, frame: &[u8]) -> f64 {
        places(frame).filter(|place| !self.0[*place]).count() as f64 / FRAME_CODES as f64
    }
}

/// One number for each patch: where it is and which code it has, three bits a level.
fn places(frame: &[u8]) -> impl Iterator<Item = usize> {
    let code = |code: &[u8]| code.iter().fold(0, |all, level| all << 3 | usize::from(level & 7));
    frame.chunks_exact(CODE_VALUES).enumerate().map(move |(place, levels)| place << 12 | code(levels))
}

/// Dreams from the starts of `ranges` for `options.drift_steps`, each action drawn from those of all clips. `others` are
/// the clips that say what is ordinary, `uncertainty` is the mean one on true frames.
///
/// # Errors
/// [`ModelError::Damaged`] if the weights are not those of the configuration.
pub fn drift(
    (model, task): (&Model, usize),
    clips: &Clips,
    (ranges, others): (&[ClipRange], &[ClipRange]),
    (probe, uncertainty): (Option<&Probe>, f64),
    options: &EvalOptions,
) -> Result<Drift, ModelError> {
    let moving = clips.scenario.instances.iter().filter(|label| label.moving);
    let names: Vec<String> = moving.map(|label| label.name.clone()).collect();
    let dreams = ranges.len().min(DREAMS);
    let mut learned = Vec::new();
    for range in others {
        if learned.len() >= ORDINARY_FRAMES * FRAME_CODE_BYTES {
            break;
        }
        learned.extend(encode_frames(&model.tokenizer, clips.film(range.rows())));
    }
    let ordinary = Ordinary::learn(&learned);
    let watcher = Watcher { ordinary, probe };
    let mut truth = Sums::default();
    for range in ranges {
        let frames = clips.film(range.rows());
        let codes = encode_frames(&model.tokenizer, frames);
        let mut before = None;
        for (t, frame) in frames.chunks_exact(clips.frame_size.bytes()).enumerate() {
            let codes = &codes[t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES];
            truth.add(&watcher.look((codes, frame), before, uncertainty as f32, t));
            before = Some(frame);
        }
    }
    let blocks = dream((model, task), clips, (&ranges[..dreams], options), &watcher)?;
    Ok(report(&truth, &blocks, &names, options.drift_steps))
}

/// What is looked at in a frame.
struct Watcher<'a> {
    ordinary: Ordinary,
    probe: Option<&'a Probe>,
}

impl Watcher<'_> {
    /// Frame `t` as codes and pixels, with the frame before it.
    fn look(
        &self,
        (codes, frame): (&[u8], &[u8]),
        before: Option<&[u8]>,
        uncertainty: f32,
        t: usize,
    ) -> Sums {
        let difference = |before: &[u8]| {
            let sum: u64 = before.iter().zip(frame).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            sum as f64 / frame.len() as f64
        };
        let sights = self.probe.filter(|_| t.is_multiple_of(LOOK_EVERY)).map(|probe| probe.look(frame));
        Sums {
            steps: 1,
            uncertainty: f64::from(uncertainty),
            strange: self.ordinary.strange(codes),
            change: before.map_or(0.0, difference),
            looks: usize::from(sights.is_some()),
            found: sights.iter().flatten().map(|sight| usize::from(sight.is_some())).collect(),
        }
    }
}

/// Sums by block and dream.
fn dream(
    (model, task): (&Model, usize),
    clips: &Clips,
    (ranges, options): (&[ClipRange], &EvalOptions),
    watcher: &Watcher<'_>,
) -> Result<Vec<Vec<Sums>>, ModelError> {
    let (lanes, context) = (ranges.len(), options.context_frames);
    let mut engine = engine(model, lanes)?;
    let mut said = StepOutput::new(model, lanes);
    let starts: Vec<Vec<u8>> = ranges
        .iter()
        .map(|range| encode_frames(&model.tokenizer, clips.film(range.start..range.start + context)))
        .collect();
    let mut rng = Rng::seed_from_u64(0);
    let bytes = clips.frame_size.bytes();
    let mut before = vec![0; lanes * bytes];
    let mut blocks = vec![vec![Sums::default(); lanes]; options.drift_steps.div_ceil(BLOCK_STEPS)];
    for t in 0..context + options.drift_steps {
        if t < context {
            for (codes, start) in said.codes.chunks_exact_mut(FRAME_CODE_BYTES).zip(&starts) {
                codes.copy_from_slice(&start[t * FRAME_CODE_BYTES..(t + 1) * FRAME_CODE_BYTES]);
            }
        }
        let mut actions = Vec::new();
        for range in ranges {
            let row = if t + 1 < context { range.start + t } else { rng.random_range(0..clips.rows()) };
            model.card.pad_action(task, clips.action(row), &mut actions);
        }
        let codes = said.codes.clone();
        let mut frames = vec![0; lanes * bytes];
        engine.decode(&codes, &mut frames);
        let draws: Vec<u64> = (0..lanes).map(|lane| (lane as u64) << 32 | t as u64).collect();
        let levels = vec![if t < context { 0 } else { DREAMT_LEVEL }; lanes];
        let sampling = Sampling { draws: &draws, temperature: options.temperature };
        let mask = vec![true; lanes];
        engine.step(
            &FrameStep { codes: &codes, actions: &actions, levels: &levels, mask: &mask, sampling },
            &mut said,
        );
        if let Some(step) = t.checked_sub(context) {
            for (lane, sums) in blocks[step / BLOCK_STEPS].iter_mut().enumerate() {
                let codes = &codes[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES];
                let pixels = lane * bytes..(lane + 1) * bytes;
                let shown = (codes, &frames[pixels.clone()]);
                sums.add(&watcher.look(shown, Some(&before[pixels]), said.uncertainty[lane], step));
            }
        }
        before = frames;
    }
    Ok(blocks)
}

fn report(truth: &Sums, blocks: &[Vec<Sums>], names: &[String], steps: usize) -> Drift {
    let pooled: Vec<Sums> = blocks
        .iter()
        .map(|dreams| {
            let mut sums = Sums::default();
            dreams.iter().for_each(|dream| sums.add(dream));
            sums
        })
        .collect();
    let ordinary = truth.block(0, names);
    let collapsed = |dream: &&Sums| {
        let strange = dream.strange / dream.steps.max(1) as f64;
        let gone = (0..names.len()).any(|object| {
            let shown = truth.found_share(object).is_some_and(|share| share >= SHOWN);
            shown && dream.found_share(object).is_some_and(|share| share < LOST)
        });
        strange > ordinary.strange_patches + STRANGE_MORE || gone
    };
    let last = blocks.last().map_or(&[][..], Vec::as_slice);
    let blocks: Vec<DriftBlock> =
        pooled.iter().enumerate().map(|(i, sums)| sums.block(i * BLOCK_STEPS, names)).collect();
    let growth = blocks
        .last()
        .zip(blocks.first())
        .map_or(1.0, |(last, first)| last.uncertainty / first.uncertainty.max(1e-9));
    Drift {
        steps,
        dreams: last.len(),
        uncertainty_growth: growth,
        collapsed_share: last.iter().filter(collapsed).count() as f64 / last.len().max(1) as f64,
        truth: ordinary,
        blocks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(strange: f64, found: usize) -> Sums {
        Sums {
            steps: 10,
            uncertainty: 2.0,
            strange: 10.0 * strange,
            change: 5.0,
            looks: 10,
            found: vec![found],
        }
    }

    #[test]
    fn a_code_is_strange_where_it_was_never_seen() {
        let frame = |level: u8| [level, 0, 0, 0].repeat(FRAME_CODES);
        let ordinary = Ordinary::learn(&[frame(1), frame(2)].concat());
        assert_eq!(ordinary.strange(&frame(2)), 0.0);
        let mut half = frame(1);
        half[..FRAME_CODE_BYTES / 2].copy_from_slice(&frame(7)[..FRAME_CODE_BYTES / 2]);
        assert_eq!(ordinary.strange(&half), 0.5);
    }

    #[test]
    fn dreams_collapse_when_they_turn_strange_or_lose_what_is_always_there() {
        let names = ["ball".to_owned()];
        let share = |truth: &Sums, last: Vec<Sums>| {
            report(truth, &[vec![sums(0.0, 10); last.len()], last], &names, 100).collapsed_share
        };
        let truth = sums(0.02, 9);
        assert_eq!(share(&truth, vec![sums(0.02, 8), sums(0.1, 5)]), 0.0);
        assert_eq!(share(&truth, vec![sums(0.2, 9), sums(0.0, 9)]), 0.5, "one is strange");
        assert_eq!(share(&truth, vec![sums(0.0, 3), sums(0.0, 9)]), 0.5, "one has lost the ball");
        assert_eq!(share(&sums(0.0, 5), vec![sums(0.0, 0)]), 0.0, "the truth hides it half of the time too");
    }

    #[test]
    fn growth_is_the_last_block_by_the_first() {
        let mut late = sums(0.0, 9);
        late.uncertainty *= 1.5;
        let drift = report(&sums(0.0, 9), &[vec![sums(0.0, 9)], vec![late]], &["ball".to_owned()], 100);
        assert!((drift.uncertainty_growth - 1.5).abs() < 1e-9);
        assert_eq!((drift.blocks[1].from_step, drift.dreams), (50, 1));
    }
}
