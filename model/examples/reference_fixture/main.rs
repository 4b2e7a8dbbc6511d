//! Answers the same questions as the PyTorch network in `model/reference`, so that the two can be compared.
//! Shows: the causal pass, cached steps with lanes held and reset, both engines' sampling, encoding and decoding.
//!
//! ```text
//! reference_fixture weights PRESET LIKE MODEL  fresh weights of a preset, for the task of another model
//! reference_fixture answer MODEL INPUTS OUT    what the network says of these inputs
//! reference_fixture check MODEL INPUTS SAID    compares that with what PyTorch said
//! ```
#![allow(clippy::print_stdout, missing_docs)]

mod answers;
mod arrays;

use std::error::Error;
use std::path::Path;

use burn::tensor::Device;
use worldstep_model::config::{FrameSize, ModelConfig, Preset};
use worldstep_model::model::Model;

use answers::answers;
use arrays::{Arrays, Values};

const USAGE: &str = "usage: reference_fixture weights PRESET SIDE LIKE MODEL | answer MODEL INPUTS OUT | check MODEL INPUTS SAID";
/// Sums of a few hundred products in another order, through up to a dozen layers, as a share of the value where that is
/// above 1: single precision keeps five digits of them.
const TOLERANCE: f32 = 1e-4;
/// Share of codes and pixels that may differ: two levels can be equally near to the last digit, and then rounding decides.
const TIES_MAX: f64 = 1e-3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["weights", preset, side, like, model] => fresh(preset, side, like)?.save(Path::new(model))?,
        ["answer", model, inputs, out] => said(model, inputs)?.write(Path::new(out))?,
        ["check", model, inputs, theirs] => {
            compare(&said(model, inputs)?, &Arrays::read(Path::new(theirs))?)?;
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn said(model: &str, inputs: &str) -> Result<Arrays, Box<dyn Error>> {
    let model = Model::load(Path::new(model), &Device::flex())?;
    answers(&model, &Arrays::read(Path::new(inputs))?)
}

/// Random weights of `preset`, for frames of `side` pixels, with every readout that there is, for what the model in `like` dreams.
fn fresh(preset: &str, side: &str, like: &str) -> Result<Model, Box<dyn Error>> {
    let preset = Preset::from_name(preset).ok_or_else(|| format!("no preset {preset:?}"))?;
    let frame = FrameSize::from_side(side.parse()?).ok_or_else(|| format!("no frames of {side} pixels"))?;
    let device = Device::flex();
    device.seed(7);
    let mut card = Model::load(Path::new(like), &device)?.card;
    let (actions, objects) = (card.config.action_values, card.config.tracked_objects);
    card.config = ModelConfig { presence: true, frame, ..ModelConfig::new(preset, actions, objects) };
    Ok(Model::random(card, &device))
}

/// Prints how far each array is off; an error if one is too far.
fn compare(ours: &Arrays, theirs: &Arrays) -> Result<(), Box<dyn Error>> {
    for (name, values) in ours.iter() {
        if ours.shape(name)? != theirs.shape(name)? {
            return Err(
                format!("{name} is {:?} here, {:?} there", ours.shape(name)?, theirs.shape(name)?).into()
            );
        }
        let (off, limit, what) = match values {
            Values::F32(ours) => {
                (farthest(ours, theirs.floats(name)?), f64::from(TOLERANCE), "off by at most")
            }
            Values::U8(ours) => (differing(ours, theirs.bytes(name)?), TIES_MAX, "share that differs:"),
        };
        println!("{name:24} {what} {off:.1e}");
        if off.is_nan() || off > limit {
            return Err(format!("{name}: {what} {off:.1e}, more than {limit:.0e}").into());
        }
    }
    Ok(())
}

fn farthest(ours: &[f32], theirs: &[f32]) -> f64 {
    let off = |(a, b): (&f32, &f32)| f64::from((a - b).abs() / b.abs().max(1.0));
    ours.iter()
        .zip(theirs)
        .map(off)
        .fold(0.0, |most, off| if off.is_nan() { off } else { f64::max(most, off) })
}

fn differing(ours: &[u8], theirs: &[u8]) -> f64 {
    ours.iter().zip(theirs).filter(|(a, b)| a != b).count() as f64 / ours.len().max(1) as f64
}
