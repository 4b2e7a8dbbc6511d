use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use worldstep_env::Rng;

use super::recording::derived_seed;

/// How a number is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// Evenly between two bounds.
    Uniform([f64; 2]),
    /// Evenly in the logarithm between two positive bounds.
    LogUniform([f64; 2]),
    /// A whole number, both bounds included.
    Integer([i64; 2]),
    /// One of these, each as likely.
    Choice(Vec<f64>),
    /// Always this.
    Fixed(f64),
}

impl Default for Range {
    fn default() -> Self {
        Self::Fixed(0.0)
    }
}

impl Range {
    /// Says what is wrong with the bounds, if something is.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Uniform([low, high]) if !(low <= high && low.is_finite() && high.is_finite()) => {
                Err(format!("uniform = [{low}, {high}], expected two finite numbers, the lower one first"))
            }
            Self::LogUniform([low, high]) if !(*low > 0.0 && low <= high && high.is_finite()) => Err(
                format!("log_uniform = [{low}, {high}], expected two positive numbers, the lower one first"),
            ),
            Self::Integer([low, high]) if low > high => {
                Err(format!("integer = [{low}, {high}], expected the lower one first"))
            }
            Self::Choice(values) if values.is_empty() => {
                Err("choice = [], expected at least one value".to_owned())
            }
            Self::Choice(values) if values.iter().any(|value| !value.is_finite()) => {
                Err(format!("choice = {values:?}, expected finite numbers"))
            }
            Self::Fixed(value) if !value.is_finite() => {
                Err(format!("fixed = {value}, expected a finite number"))
            }
            _ => Ok(()),
        }
    }

    /// Says what is wrong if a draw can be outside `low..=high`.
    pub fn within(&self, low: f64, high: f64) -> Result<(), String> {
        let [least, most] = self.bounds();
        if least >= low && most <= high {
            return Ok(());
        }
        Err(format!("from {least} to {most}, expected values in {low} to {high}"))
    }

    /// The least and the greatest draw.
    pub fn bounds(&self) -> [f64; 2] {
        match self {
            Self::Uniform(bounds) | Self::LogUniform(bounds) => *bounds,
            Self::Integer([low, high]) => [*low as f64, *high as f64],
            Self::Choice(values) => [
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ],
            Self::Fixed(value) => [*value; 2],
        }
    }

    /// A draw.
    pub fn sample(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Uniform([low, high]) => low + (high - low) * rng.random_range(0.0..1.0),
            Self::LogUniform([low, high]) => {
                let (low, high) = (libm::log(*low), libm::log(*high));
                libm::exp(low + (high - low) * rng.random_range(0.0..1.0))
            }
            Self::Integer([low, high]) => rng.random_range(*low..=*high) as f64,
            Self::Choice(values) => values[rng.random_range(0..values.len())],
            Self::Fixed(value) => *value,
        }
    }

    /// The value that stands for the whole range when nothing is to be drawn.
    pub fn middle(&self) -> f64 {
        match self {
            Self::Uniform([low, high]) => 0.5 * (low + high),
            Self::LogUniform([low, high]) => libm::sqrt(low * high),
            Self::Integer([low, high]) => low.midpoint(*high) as f64,
            Self::Choice(values) => values[0],
            Self::Fixed(value) => *value,
        }
    }

    /// Whether `value` is in the highest third of the range.
    pub fn is_high(&self, value: f64) -> bool {
        match self {
            Self::Uniform([low, high]) => value > low + (high - low) * 2.0 / 3.0,
            Self::LogUniform([low, high]) => value > low * libm::pow(high / low, 2.0 / 3.0),
            Self::Integer([low, high]) => value > *low as f64 + (high - low) as f64 * 2.0 / 3.0,
            Self::Choice(values) => values.iter().all(|other| *other <= value) && values.len() > 1,
            Self::Fixed(_) => false,
        }
    }
}

/// The seed from which all of a family's draws for a clip follow: with one seed for all families, the same number would
/// give the same gravity, camera and behaviour in each of them.
pub(super) fn family_seed(seed: u64, family: &str) -> u64 {
    derived_seed(seed, family)
}

/// Draws by name, so that what one of them gives doesn't depend on the others, and keeps the record of them.
pub(super) struct Draws {
    seed: u64,
    /// What was drawn.
    pub record: BTreeMap<String, f64>,
}

impl Draws {
    /// Draws of a family, whose own seed for a clip is `seed`; see [`family_seed`].
    pub fn new(seed: u64) -> Self {
        Self { seed, record: BTreeMap::new() }
    }

    /// A random stream of this name.
    pub fn stream(&self, name: &str) -> Rng {
        Rng::seed_from_u64(derived_seed(self.seed, name))
    }

    /// A draw from `range`, or its middle if nothing is to be drawn.
    pub fn draw(&mut self, name: &str, range: &Range, random: bool) -> f64 {
        let value = if random { range.sample(&mut self.stream(name)) } else { range.middle() };
        self.note(name, value);
        value
    }

    /// Writes down a value that was settled otherwise.
    pub fn note(&mut self, name: &str, value: f64) {
        self.record.insert(name.to_owned(), value);
    }
}
