use serde_json::json;
use worldstep_env::{EnvError, Space};
use worldstep_model::action::ActionCoding;
use worldstep_model::config::{FrameSize, ModelConfig, Preset};
use worldstep_model::cuda::{LIBRARY_LANES, ProductNumbers};
use worldstep_model::device::ComputeDevice;
use worldstep_model::engine::agreement::{Agreement, agreement};
use worldstep_model::engine::{BurnEngine, CpuEngine, StepEngine, engine};
use worldstep_model::model::{Model, ModelCard, TaskCard};

use super::{Row, engine_error};

/// Dreams side by side, and steps of each, with resets on the way: a few, and on a GPU also as many as NVIDIA's library
/// multiplies for.
const ROLLOUTS: [(usize, usize); 2] = [(12, 64), (LIBRARY_LANES, 16)];
/// Choices of the models' actions.
const ACTIONS: usize = 3;
/// Objects that the models track.
const OBJECTS: usize = 2;

/// How far an engine may be from the processor's.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    /// Of each number.
    numbers: f64,
    /// Of each normalised feature, which nothing has averaged.
    features: f64,
    /// Share of codes that may be others.
    codes: f64,
    /// Of a byte of decoded frames.
    pixels: f64,
}

impl Tolerance {
    /// Sums in another order through all layers keep five digits in single precision; operands of products in bf16 have
    /// 8 bits, which leaves two digits; in fp8 they have 4, and a digit is left. Where two levels are as likely, rounding
    /// decides.
    fn of(device: ComputeDevice, products: ProductNumbers) -> Self {
        match (device, products) {
            (ComputeDevice::Cpu, _) => Self { numbers: 2e-4, features: 1e-3, codes: 1e-3, pixels: 1.0 },
            (_, ProductNumbers::Wide) => Self { numbers: 0.05, features: 0.2, codes: 0.03, pixels: 8.0 },
            (_, ProductNumbers::Fp8) => Self { numbers: 1.0, features: 2.0, codes: 0.2, pixels: 64.0 },
        }
    }
}

/// What was found, and whether that is too far apart.
#[derive(Debug)]
pub struct Numerics {
    /// The differences.
    pub rows: Vec<Row>,
    /// A line on the first that rounding does not explain.
    pub apart: Option<String>,
}

/// The step engine of `device` (burn's, if that is the processor) beside the one for the processor, with the same random
/// weights, through steps with resets: how far they are apart.
///
/// # Errors
/// [`EnvError::Engine`] if the device cannot be used.
pub fn numerics(
    (device, products): (ComputeDevice, ProductNumbers),
    presets: &[Preset],
    show: &mut dyn FnMut(&Row),
) -> Result<Numerics, EnvError> {
    let (tolerance, mut rows, mut apart) = (Tolerance::of(device, products), Vec::new(), None);
    let rollouts = if device == ComputeDevice::Cpu { &ROLLOUTS[..1] } else { &ROLLOUTS[..] };
    let cases = presets.iter().flat_map(|preset| FrameSize::ALL.map(|size| (preset, size)));
    for ((preset, size), rollout) in
        cases.flat_map(|case| rollouts.iter().map(move |rollout| (case, *rollout)))
    {
        let (lanes, steps) = rollout;
        let (found, stepped_by) = measure((device, products), (*preset, size), rollout)?;
        if matches!(device, ComputeDevice::Cuda(_)) && stepped_by != "kernels" {
            return Err(engine_error(format!(
                "{} is stepped by {stepped_by}, expected kernels",
                device.name()
            )));
        }
        let row = |metric, value, unit| {
            let case = json!({
                "engine": "dream", "preset": preset, "device": device.name(), "envs": lanes, "steps": steps,
                "step_engine": stepped_by, "size": size.side(), "products": products.name(),
            });
            Row { case, metric, value, unit, peer: Some("processor's step engine".to_owned()) }
        };
        for (row, most) in [
            (row("rewards_apart", f64::from(found.rewards), "reward"), tolerance.numbers),
            (row("terminated_apart", f64::from(found.terminated), "probability"), tolerance.numbers),
            (row("objects_apart", f64::from(found.objects), "deviations"), tolerance.numbers),
            (row("uncertainty_apart", f64::from(found.uncertainty), "nats"), tolerance.numbers),
            (row("latents_apart", f64::from(found.latents), "deviations"), tolerance.features),
            (row("other_codes", found.other_codes, "share"), tolerance.codes),
            (row("other_encoded", found.other_encoded, "share"), tolerance.codes),
            (row("pixels_apart", f64::from(found.pixels), "levels"), tolerance.pixels),
        ] {
            let mut row = row;
            row.case["tolerance"] = json!(most);
            show(&row);
            if row.value > most && apart.is_none() {
                let (metric, value, side) = (row.metric, row.value, size.side());
                let model = preset.name();
                apart =
                    Some(format!("{metric} of {model} at {side}x{side} is {value}, expected at most {most}"));
            }
            rows.push(row);
        }
    }
    Ok(Numerics { rows, apart })
}

fn measure(
    (device, products): (ComputeDevice, ProductNumbers),
    (preset, size): (Preset, FrameSize),
    (lanes, steps): (usize, usize),
) -> Result<(Agreement, &'static str), EnvError> {
    let model = random_model(preset, size);
    let there = model.on(&device.burn()).with_products(products);
    let mut processor = CpuEngine::new(&model, lanes).map_err(engine_error)?;
    let mut other: Box<dyn StepEngine> = match device {
        ComputeDevice::Cpu => Box::new(BurnEngine::new(&there, lanes)),
        ComputeDevice::Cuda(_) => engine(&there, lanes).map_err(engine_error)?,
    };
    let found = agreement(&model, (&mut processor, other.as_mut()), steps);
    Ok((found, other.name()))
}

/// A model of `preset`, for frames of `size`, that has learned nothing.
pub fn random_model(preset: Preset, size: FrameSize) -> Model {
    let device = ComputeDevice::Cpu.burn();
    device.seed(7);
    let task = TaskCard {
        id: "Random-v0".to_owned(),
        actions: ActionCoding::new(&Space::Discrete { n: ACTIONS as i64, start: 0 }),
        objects: (0..OBJECTS).map(|i| format!("object {i}")).collect(),
        object_mean: vec![0.0; ModelConfig::new(preset, ACTIONS, OBJECTS).object_values()],
        object_scale: vec![1.0; ModelConfig::new(preset, ACTIONS, OBJECTS).object_values()],
        termination_threshold: None,
    };
    let mut card = ModelCard::new(preset, vec![task]);
    card.config.frame = size;
    Model::random(card, &device)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn burns_engine_on_the_processor_agrees_and_every_difference_is_told() {
        let mut shown = 0;
        let found =
            numerics((ComputeDevice::Cpu, ProductNumbers::Wide), &[Preset::Nano], &mut |_| shown += 1)
                .unwrap();
        assert_eq!(found.apart, None);
        let rows = found.rows;
        assert_eq!((rows.len(), shown), (16, 16));
        assert_eq!([&rows[0], &rows[8]].map(|row| row.case["size"].clone()), [64, 128]);
        assert!(rows.iter().all(|row| row.value.is_finite() && row.case["preset"] == "nano"));
        assert_eq!(rows[0].case["step_engine"], "burn");
        assert!(rows[0].value > 0.0, "two engines that round alike are one");
    }
}
