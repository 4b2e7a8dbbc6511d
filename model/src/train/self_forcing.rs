//! Roll-outs within training windows.
//!
//! One pass over a window predicts the frame after each of its frames. Put in place of the true frame `s + 1`, what the
//! first pass says is the model's own first frame; the next pass has seen it, and so gives `s + 2`. After `j` passes,
//! frames `s + 1 … s + j` are exactly what stepping would have dreamt after the true frame `s`. No pass is
//! differentiated, and each goes only as far as it is read.

use burn::tensor::Tensor;

use super::coded_rows::CodedRows;
use super::dynamics_batch::{DrawnFrames, RollOut, Windows};
use crate::codec::plain;
use crate::config::{RefinerConfig, SPATIAL_TOKENS};
use crate::dynamics::{Dynamics, TOKEN_LOGITS};
use crate::engine::{DREAMT_LEVEL, Foretold, Sampling, refine, sample_codes};
use crate::packing::FRAME_CODE_BYTES;

/// Values of one frame's codes.
const FRAME_VALUES: usize = SPATIAL_TOKENS * TOKEN_LOGITS;

/// Who dreams.
#[derive(Clone, Copy)]
pub struct Dreamer<'a> {
    /// Without autodiff.
    pub dynamics: &'a Dynamics,
    /// What the windows are of.
    pub rows: &'a CodedRows,
    pub refiner: Option<&'a RefinerConfig>,
    /// As in [`Sampling`].
    pub temperature: f32,
}

impl Dreamer<'_> {
    /// Puts the model's own frames into the windows that are to have some.
    pub fn roll_out(&self, windows: &mut Windows) {
        let longest = windows.roll_outs.iter().map(|roll| roll.own.count).max().unwrap_or(0);
        for step in 0..longest {
            let going: Vec<RollOut> =
                windows.roll_outs.iter().filter(|roll| step < roll.own.count).cloned().collect();
            let codes = self.next_frames(windows, &going, step);
            for (roll, codes) in going.iter().zip(codes.chunks_exact(FRAME_CODE_BYTES)) {
                put_own(windows, roll.first_frame + roll.own.from + step + 1, codes);
            }
        }
    }

    /// Codes of the frame that follows the newest own one in each window.
    fn next_frames(&self, windows: &Windows, going: &[RollOut], step: usize) -> Vec<u8> {
        let newest = |roll: &RollOut| roll.own.from + step;
        let length = going.iter().map(newest).max().map_or(0, |newest| newest + 1);
        let input = self.rows.input(&first_frames(windows, going, length), &self.dynamics.device());
        let output = self.dynamics.forward(input, length);
        let said = |all: Tensor<2>| {
            let last = |(i, roll): (usize, &RollOut)| {
                all.clone().narrow(0, (i * length + newest(roll)) * SPATIAL_TOKENS, SPATIAL_TOKENS)
            };
            Tensor::cat(going.iter().enumerate().map(last).collect(), 0)
        };
        let said = Foretold { spatial: said(output.spatial), codes: said(output.codes) };
        let draws: Vec<u64> = going.iter().map(|roll| roll.own.draw.wrapping_add(step as u64)).collect();
        let mut codes = vec![0; going.len() * FRAME_CODE_BYTES];
        let logits = plain(said.codes.clone());
        let frames = logits.chunks_exact(FRAME_VALUES).zip(codes.chunks_exact_mut(FRAME_CODE_BYTES));
        for ((logits, codes), draw) in frames.zip(&draws) {
            sample_codes(logits, self.temperature, *draw, codes);
        }
        if let Some(config) = self.refiner {
            let sampling = Sampling { draws: &draws, temperature: self.temperature };
            refine(self.dynamics, config, &said, sampling, &mut codes);
        }
        codes
    }
}

/// The first `length` frames of each of these windows.
fn first_frames(windows: &Windows, going: &[RollOut], length: usize) -> DrawnFrames {
    let mut frames = DrawnFrames::default();
    for roll in going {
        frames.extend(&windows.frames, roll.first_frame..roll.first_frame + length);
    }
    frames
}

/// Replaces frame `frame` of the batch and says that the model made it.
fn put_own(windows: &mut Windows, frame: usize, codes: &[u8]) {
    let seen = &mut windows.frames.seen[frame * FRAME_CODE_BYTES..(frame + 1) * FRAME_CODE_BYTES];
    seen.copy_from_slice(codes);
    windows.frames.levels[frame] = DREAMT_LEVEL as u8;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
    use burn::tensor::{Device, Gradients};
    use rand::{RngExt as _, SeedableRng};
    use worldstep_env::{Rng, Space};

    use super::*;
    use crate::action::ActionCoding;
    use crate::config::{FSQ_LEVELS, ModelConfig, Preset};
    use crate::engine::{BurnEngine, CpuEngine, FrameStep, StepEngine, StepOutput};
    use crate::model::{Model, ModelCard, TaskCard};
    use crate::train::window_plan::OwnFrames;

    const ACTIONS: usize = 3;
    const LENGTH: usize = 12;

    /// Makes a random model restless: without what holds a code, and with strong opinions, its frames go their own way.
    struct Restless;

    impl ModuleMapper for Restless {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let factor = if param.val().dims()[..] == [TOKEN_LOGITS] { 0.0 } else { 3.0 };
            param.map(|values| values * factor)
        }
    }

    fn model(refiner: Option<RefinerConfig>) -> Model {
        let device = Device::flex();
        device.seed(11);
        let config = ModelConfig { context_frames: 7, refiner, ..ModelConfig::new(Preset::Nano, ACTIONS, 1) };
        let task = TaskCard {
            id: "Toy-v0".to_owned(),
            actions: ActionCoding::new(&Space::Discrete { n: ACTIONS as i64, start: 0 }),
            objects: vec!["ball".to_owned()],
            object_mean: vec![0.0; 6],
            object_scale: vec![1.0; 6],
            termination_threshold: None,
        };
        let card = ModelCard { config, ..ModelCard::new(Preset::Nano, vec![task]) };
        let mut model = Model::random(card, &device);
        model.dynamics = model.dynamics.map(&mut Restless);
        model
    }

    /// Two windows of random true frames, the rows that they are, and the actions of these.
    fn windows() -> (Windows, CodedRows, Vec<f32>) {
        let mut rng = Rng::seed_from_u64(4);
        let mut code = |i: usize| rng.random_range(0..FSQ_LEVELS[i % 4] as u8);
        let codes: Vec<u8> = (0..2 * LENGTH * FRAME_CODE_BYTES).map(&mut code).collect();
        let actions: Vec<f32> = (0..2 * LENGTH * ACTIONS).map(|_| rng.random_range(0.0..1.0f32)).collect();
        let own = |from, count, draw| OwnFrames { from, count, draw };
        let windows = Windows {
            frames: DrawnFrames {
                rows: (0..2 * LENGTH as u32).collect(),
                seen: codes.clone(),
                levels: vec![0; 2 * LENGTH],
            },
            roll_outs: vec![
                RollOut { first_frame: 0, own: own(3, 6, 77) },
                RollOut { first_frame: LENGTH, own: own(8, 2, 5) },
            ],
            ..Windows::default()
        };
        let rows = CodedRows::of_one_clip(&model(None).card, codes, &actions);
        (windows, rows, actions)
    }

    /// What stepping dreams after the true frames of a window, frame by frame.
    fn dreamt(engine: &mut dyn StepEngine, said: &mut StepOutput, window: &Stepped<'_>) -> Vec<Vec<u8>> {
        let RollOut { first_frame, own } = window.roll_out;
        let mut frames: Vec<Vec<u8>> = Vec::new();
        for t in 0..own.from + own.count {
            let row = first_frame + t;
            let truth = window.rows.codes(row);
            let own_frame = t.checked_sub(own.from + 1);
            let codes = own_frame.map_or(truth, |i| &frames[i]).to_vec();
            let draw = own.draw.wrapping_add(t.saturating_sub(own.from) as u64);
            let step = FrameStep {
                codes: &codes,
                actions: &window.actions[row * ACTIONS..(row + 1) * ACTIONS],
                levels: &[if own_frame.is_some() { DREAMT_LEVEL } else { 0 }],
                mask: &[true],
                sampling: Sampling { draws: &[draw], temperature: window.temperature },
            };
            engine.step(&step, said);
            if t >= own.from {
                frames.push(said.codes.clone());
            }
        }
        frames
    }

    struct Stepped<'a> {
        roll_out: &'a RollOut,
        rows: &'a CodedRows,
        actions: &'a [f32],
        temperature: f32,
    }

    fn check_against_stepping(model: &Model, temperature: f32) {
        let (mut rolled, rows, actions) = windows();
        let (truth, ..) = windows();
        let refiner = model.card.config.refiner.as_ref();
        Dreamer { dynamics: &model.dynamics, rows: &rows, refiner, temperature }.roll_out(&mut rolled);
        let mut said = StepOutput::new(model, 1);
        for roll_out in &truth.roll_outs {
            let window = Stepped { roll_out, rows: &rows, actions: &actions, temperature };
            let burn = dreamt(&mut BurnEngine::new(model, 1), &mut said, &window);
            let cpu = dreamt(&mut CpuEngine::new(model, 1).unwrap(), &mut said, &window);
            assert_eq!(burn, cpu);
            let own = &roll_out.own;
            for t in 0..LENGTH {
                let frame = roll_out.first_frame + t;
                let got = &rolled.frames.seen[frame * FRAME_CODE_BYTES..(frame + 1) * FRAME_CODE_BYTES];
                if (own.from + 1..=own.from + own.count).contains(&t) {
                    assert_eq!(got, burn[t - own.from - 1], "own frame {t}");
                    assert_eq!(rolled.frames.levels[frame], 1);
                    assert_ne!(got, rows.codes(frame));
                } else {
                    assert_eq!(got, rows.codes(frame), "frame {t}");
                    assert_eq!(rolled.frames.levels[frame], 0);
                }
            }
            assert!(
                burn.windows(2).all(|pair| pair[0] != pair[1]),
                "a dream that stands still proves nothing"
            );
        }
    }

    #[test]
    fn own_frames_are_what_stepping_dreams() {
        let model = model(None);
        check_against_stepping(&model, 0.0);
        check_against_stepping(&model, 0.8);
    }

    /// Gradients of all weights, for one number that depends on all that is said.
    fn gradients(dynamics: &Dynamics, rows: &CodedRows, windows: &Windows) -> Vec<Vec<f32>> {
        struct Read<'a>(&'a Gradients, Vec<Vec<f32>>);
        impl ModuleVisitor for Read<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                self.1.push(param.val().grad(self.0).map(plain).unwrap_or_default());
            }
        }
        let output = dynamics.forward(rows.input(&windows.frames, &dynamics.device()), LENGTH);
        let gradients = (output.codes.powi_scalar(2).mean() + output.objects.sum()).backward();
        let mut read = Read(&gradients, Vec::new());
        dynamics.visit(&mut read);
        read.1
    }

    #[test]
    fn own_frames_are_data_and_pass_no_gradient_on() {
        let model = model(None);
        let (mut rolled, rows, actions) = windows();
        let learner = model.dynamics.clone().train();
        Dreamer { dynamics: &learner.valid(), rows: &rows, refiner: None, temperature: 0.0 }
            .roll_out(&mut rolled);
        let (mut given, ..) = windows();
        for roll_out in given.roll_outs.clone() {
            let window = Stepped { roll_out: &roll_out, rows: &rows, actions: &actions, temperature: 0.0 };
            let mut said = StepOutput::new(&model, 1);
            let frames = dreamt(&mut BurnEngine::new(&model, 1), &mut said, &window);
            for (i, codes) in frames.iter().enumerate() {
                put_own(&mut given, roll_out.first_frame + roll_out.own.from + 1 + i, codes);
            }
        }
        let truth = gradients(&learner, &rows, &windows().0);
        let [rolled, given] = [rolled, given].map(|windows| gradients(&learner, &rows, &windows));
        assert_eq!(rolled, given);
        assert_ne!(rolled, truth, "own frames must matter");
        assert!(rolled.iter().flatten().any(|value| *value != 0.0));
    }

    #[test]
    fn so_they_are_with_a_refiner() {
        let model = model(Some(RefinerConfig { steps: 2, ..RefinerConfig::default() }));
        check_against_stepping(&model, 0.0);
    }
}
