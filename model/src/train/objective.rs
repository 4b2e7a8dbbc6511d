//! What the dynamics learns beside the plain prediction of the next frame: every trick against drift, with its numbers and
//! a value that switches it off.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::config::{NOISE_LEVELS, RefinerConfig};

/// Frames that a roll-out may go at most: each costs a pass.
const HORIZON_MAX: usize = 64;

/// The dynamics' objective. In JSON, what is left out has its default; the model's card records the whole of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveOptions {
    /// Faults put into the frames that the model sees.
    pub corruption: Corruption,
    /// Extra weight of a code that changes from one frame to the next; a code that stays weighs 1. 0 is off.
    pub changed_weight: f32,
    /// Extra weight of a code under something that moves, in either frame. 0 is off.
    pub moving_weight: f32,
    /// Extra weight of a reward that is not 0.
    pub reward_weight: f32,
    /// Extra weight of a termination.
    pub terminated_weight: f32,
    /// Windows that begin as an episode does after a reset.
    pub short_starts: ShortStarts,
    /// Windows in which the model goes on from its own frames.
    pub self_forcing: SelfForcing,
    /// The masked refiner of a new model; null for none.
    pub refiner: Option<RefinerConfig>,
    /// Weight of the refiner's loss beside that of the codes.
    pub refiner_weight: f32,
}

impl Default for ObjectiveOptions {
    fn default() -> Self {
        Self {
            corruption: Corruption::default(),
            changed_weight: 15.0,
            moving_weight: 5.0,
            reward_weight: 9.0,
            terminated_weight: 5.0,
            short_starts: ShortStarts::default(),
            self_forcing: SelfForcing::default(),
            refiner: None,
            refiner_weight: 1.0,
        }
    }
}

/// As JSON, on one line.
impl fmt::Display for ObjectiveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Context corruption: the model is shown the faults that its own predictions have, and told how many to expect
/// ([noise augmentation](https://arxiv.org/abs/2408.14837)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Corruption {
    /// Share of windows without faults; the others have one of the levels from 1 on, each as likely. 1 is off.
    pub clean_share: f64,
    /// Share of codes that each level from 1 on replaces at random, in one of their dimensions; three times as many
    /// under what moves.
    pub code_noise: [f64; NOISE_LEVELS - 1],
    /// Share of frames of each level from 1 on in which the moving parts are stale or those of another moment.
    pub moving_noise: [f64; NOISE_LEVELS - 1],
}

impl Default for Corruption {
    fn default() -> Self {
        Self { clean_share: 0.4, code_noise: [0.01, 0.03, 0.08], moving_noise: [0.06, 0.15, 0.3] }
    }
}

impl Corruption {
    /// Every window is clean.
    pub fn off() -> Self {
        Self { clean_share: 1.0, ..Self::default() }
    }
}

/// Windows that begin at an episode's first frame, as a dream does after a reset: nothing before it is known, the first
/// frames are true, and what follows is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShortStarts {
    /// Share of windows that begin so; the others begin anywhere. 0 is off.
    pub share: f64,
    /// Frames of such a window that are true for certain, as after a reset; corruption and own frames come after them.
    pub true_frames: usize,
}

impl Default for ShortStarts {
    fn default() -> Self {
        Self { share: 0.15, true_frames: 4 }
    }
}

impl ShortStarts {
    /// Windows begin anywhere.
    pub fn off() -> Self {
        Self { share: 0.0, ..Self::default() }
    }
}

/// [Self-forcing](https://arxiv.org/abs/2506.08009): the model's own predictions take the place of true frames, and what
/// follows is still to be the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfForcing {
    /// Share of windows with own frames, from `begin` on. 0 is off.
    pub share: f64,
    /// Share of the dynamics stage after which it begins, with roll-outs of one frame.
    pub begin: f64,
    /// Share of the stage after which roll-outs have their full length.
    pub full: f64,
    /// Frames of a roll-out at full length.
    pub horizon: usize,
    /// Temperature at which own frames are drawn; 0 takes the likeliest codes.
    pub temperature: f32,
}

impl Default for SelfForcing {
    fn default() -> Self {
        Self { share: 0.25, begin: 0.4, full: 0.8, horizon: 8, temperature: 0.0 }
    }
}

impl SelfForcing {
    /// All frames are true ones.
    pub fn off() -> Self {
        Self { share: 0.0, ..Self::default() }
    }

    /// Frames of a roll-out when `fraction` of the stage is done; 0 before it begins.
    pub fn horizon_at(&self, fraction: f64) -> usize {
        if self.share <= 0.0 || fraction < self.begin {
            return 0;
        }
        let grown = (fraction - self.begin) / (self.full - self.begin).max(f64::EPSILON);
        1 + (grown.min(1.0) * (self.horizon as f64 - 1.0)).round() as usize
    }
}

/// An objective that cannot be learned.
#[derive(Debug, Error)]
pub enum ObjectiveError {
    /// A number out of its range.
    #[error("objective.{name} is {found}, expected {expected}")]
    Range {
        /// The field.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A file that cannot be read, or is no objective.
    #[error("{path} holds no objective: {message}; it is a JSON object like \"objective\" in a model's model.json",
        path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

impl ObjectiveOptions {
    /// Reads a JSON file; what it leaves out has its default.
    ///
    /// # Errors
    /// [`ObjectiveError`] names the file or the number that is wrong.
    pub fn load(path: &Path) -> Result<Self, ObjectiveError> {
        let wrong = |message: String| ObjectiveError::File { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let options: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        options.check()?;
        Ok(options)
    }

    /// Whether every number is in its range.
    ///
    /// # Errors
    /// Names the first that is not, and its range.
    pub fn check(&self) -> Result<(), ObjectiveError> {
        let Corruption { clean_share, code_noise, moving_noise } = &self.corruption;
        let SelfForcing { share, begin, full, horizon, temperature } = &self.self_forcing;
        shares("corruption.clean_share", &[*clean_share])?;
        shares("corruption.code_noise", code_noise)?;
        shares("corruption.moving_noise", moving_noise)?;
        shares("short_starts.share", &[self.short_starts.share])?;
        count("short_starts.true_frames", self.short_starts.true_frames)?;
        shares("self_forcing.share", &[*share])?;
        shares("self_forcing.begin", &[*begin])?;
        shares("self_forcing.full", &[*full])?;
        count("self_forcing.horizon", *horizon)?;
        weight("self_forcing.temperature", *temperature)?;
        weight("changed_weight", self.changed_weight)?;
        weight("moving_weight", self.moving_weight)?;
        weight("reward_weight", self.reward_weight)?;
        weight("terminated_weight", self.terminated_weight)?;
        weight("refiner_weight", self.refiner_weight)?;
        self.refiner.as_ref().map_or(Ok(()), |refiner| {
            refiner.check().map_err(|(found, expected)| ObjectiveError::Range {
                name: "refiner",
                found,
                expected,
            })
        })
    }
}

fn shares(name: &'static str, values: &[f64]) -> Result<(), ObjectiveError> {
    match values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        Some(value) => {
            Err(ObjectiveError::Range { name, found: value.to_string(), expected: "0 to 1".to_owned() })
        }
        None => Ok(()),
    }
}

fn weight(name: &'static str, value: f32) -> Result<(), ObjectiveError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(ObjectiveError::Range { name, found: value.to_string(), expected: "a number from 0 on".to_owned() })
}

fn count(name: &'static str, value: usize) -> Result<(), ObjectiveError> {
    if (1..=HORIZON_MAX).contains(&value) {
        return Ok(());
    }
    Err(ObjectiveError::Range { name, found: value.to_string(), expected: format!("1 to {HORIZON_MAX}") })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_roll_out_begins_short_and_grows() {
        let forcing = SelfForcing { begin: 0.4, full: 0.8, horizon: 8, ..SelfForcing::default() };
        assert_eq!([0.0, 0.39].map(|fraction| forcing.horizon_at(fraction)), [0, 0]);
        assert_eq!([0.4, 0.65, 0.8, 1.0].map(|fraction| forcing.horizon_at(fraction)), [1, 5, 8, 8]);
        let heights: Vec<_> = (0..=100).map(|i| forcing.horizon_at(f64::from(i) / 100.0)).collect();
        assert!(heights.is_sorted(), "{heights:?}");
        assert_eq!(SelfForcing { full: 0.4, ..forcing }.horizon_at(0.4), 1);
        assert_eq!(SelfForcing::off().horizon_at(1.0), 0);
    }

    #[test]
    fn what_a_file_leaves_out_has_its_default_and_what_is_unknown_is_named() {
        let read: ObjectiveOptions = serde_json::from_str(r#"{"self_forcing": {"share": 0.0}}"#).unwrap();
        assert_eq!(read, ObjectiveOptions { self_forcing: SelfForcing::off(), ..Default::default() });
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<ObjectiveOptions>(&text).unwrap(), read);
        let unknown = serde_json::from_str::<ObjectiveOptions>(r#"{"self_forcings": {}}"#).unwrap_err();
        assert!(unknown.to_string().contains("self_forcings"), "{unknown}");
    }

    #[test]
    fn a_file_that_is_no_objective_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("objective.json");
        let refusal = || ObjectiveOptions::load(&path).unwrap_err().to_string();
        assert!(refusal().contains("objective.json"), "{}", refusal());
        std::fs::write(&path, r#"{"changed": 3}"#).unwrap();
        assert!(refusal().contains("`changed`") && refusal().contains("changed_weight"), "{}", refusal());
        std::fs::write(&path, r#"{"changed_weight": -3}"#).unwrap();
        assert!(refusal().contains("changed_weight is -3"), "{}", refusal());
        std::fs::write(&path, r#"{"changed_weight": 3}"#).unwrap();
        assert_eq!(ObjectiveOptions::load(&path).unwrap().changed_weight, 3.0);
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        ObjectiveOptions::default().check().unwrap();
        type Change = fn(&mut ObjectiveOptions);
        let changes: [(&str, Change); 6] = [
            ("corruption.clean_share is 1.5, expected 0 to 1", |o| o.corruption.clean_share = 1.5),
            ("corruption.code_noise", |o| o.corruption.code_noise[2] = -0.5),
            ("self_forcing.horizon is 0, expected 1 to 64", |o| o.self_forcing.horizon = 0),
            ("short_starts.true_frames", |o| o.short_starts.true_frames = 0),
            ("changed_weight is NaN", |o| o.changed_weight = f32::NAN),
            ("refiner", |o| o.refiner = Some(RefinerConfig { layers: 0, ..RefinerConfig::default() })),
        ];
        for (expected, change) in changes {
            let mut options = ObjectiveOptions::default();
            change(&mut options);
            let message = options.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
