use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::config::FrameSize;
use crate::data::error::DataError;

/// The configuration's name in a dataset's folder.
pub const CONFIG_FILE: &str = "worldstep.toml";

/// What of a dataset is what; a TOML file.
///
/// ```toml
/// task = "pick-place"                    # name of the task in the model
/// camera = "observation.images.front"    # image or video feature
/// crop = [80, 0, 480, 480]               # left, top, width, height in pixels; the largest centred square by default
/// side = 64                              # pixels a side of the frames that are learned from: 64 (the default) or 128
/// fps = 10                               # at most the dataset's own, which is the default
/// action = "action"                      # the default
/// action_low = [-1.0, -1.0]              # become -1 and +1; least and greatest of meta/stats.json by default
/// action_high = [1.0, 1.0]
/// merge = "last"                         # what stands for the actions of frames left out: last, first, mean or sum
/// reward = "next.reward"                 # not learned by default
/// terminated = "next.done"               # not learned by default
/// moving_levels = 12                     # a pixel that changes by more is foreground; of 255
/// val_every = 10                         # every tenth episode is for validation
/// ffmpeg = "ffmpeg"                      # the program that decodes video
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LerobotConfig {
    /// Name of the task in the model.
    pub task: String,
    /// Image or video feature.
    pub camera: String,
    /// Left, top, width and height in pixels of what is seen, which is scaled to `side`; the largest centred square if not
    /// given.
    pub crop: Option<[u32; 4]>,
    /// Size of the frames that are learned from.
    #[serde(default)]
    pub side: FrameSize,
    /// Frames a second; the dataset's own if not given. Frames between are left out: every n-th stays where the
    /// dataset's rate is a multiple, else those nearest in time.
    pub fps: Option<f64>,
    /// Action feature.
    #[serde(default = "action")]
    pub action: String,
    /// What becomes −1, one value an element; the least value in `meta/stats.json` if not given.
    pub action_low: Option<Vec<f32>>,
    /// What becomes +1; the greatest value in `meta/stats.json` if not given.
    pub action_high: Option<Vec<f32>>,
    /// What stands for the actions of a frame and of those left out after it.
    #[serde(default)]
    pub merge: Merge,
    /// Reward feature; those of frames left out are added up.
    pub reward: Option<String>,
    /// Termination feature.
    pub terminated: Option<String>,
    /// A pixel is foreground if a channel differs by more than this (of 255) from the frame before or after.
    #[serde(default = "moving_levels")]
    pub moving_levels: u8,
    /// Every so-manieth episode is for validation, and the last one of fewer.
    #[serde(default = "val_every")]
    pub val_every: usize,
    /// The program that decodes video features.
    #[serde(default = "ffmpeg")]
    pub ffmpeg: PathBuf,
}

/// What stands for several actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// The last one: right for targets of positions.
    #[default]
    Last,
    /// The first one.
    First,
    /// Their mean: right for velocities and forces.
    Mean,
    /// Their sum: right for steps relative to where the robot is.
    Sum,
}

fn action() -> String {
    "action".to_owned()
}

fn moving_levels() -> u8 {
    12
}

fn val_every() -> usize {
    10
}

fn ffmpeg() -> PathBuf {
    PathBuf::from("ffmpeg")
}

impl LerobotConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`DataError::Read`], or [`DataError::Info`] with what is wrong in the file.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        let wrong = |message: String| DataError::Config { path: path.to_owned(), message };
        let config: Self = toml::from_str(&text).map_err(|error| wrong(one_line(&error, &text)))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.task.is_empty() {
            return Err("task is empty, expected a name".to_owned());
        }
        if let Some(fps) = self.fps.filter(|fps| !(fps.is_finite() && *fps > 0.0)) {
            return Err(format!("fps is {fps}, expected a number above 0"));
        }
        if let Some([_, _, width, height]) = self.crop.filter(|crop| crop[2] == 0 || crop[3] == 0) {
            return Err(format!("crop is {width} × {height} pixels, expected at least 1 × 1"));
        }
        if self.val_every < 2 {
            return Err(format!("val_every is {}, expected at least 2", self.val_every));
        }
        Ok(())
    }
}

/// What TOML says is wrong, and in which line.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].lines().count().max(1));
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_defaults_and_what_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("my.toml");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            LerobotConfig::load(&path)
        };
        let config = load("task = \"pick\"\ncamera = \"observation.images.front\"").unwrap();
        assert_eq!((config.action.as_str(), config.merge, config.val_every), ("action", Merge::Last, 10));
        let good = "task = \"pick\"\ncamera = \"c\"\n";
        for (wrong, expected) in [
            ("fps = 0", "fps is 0"),
            ("crop = [0, 0, 0, 9]", "0 × 9"),
            ("val_every = 1", "val_every is 1"),
            ("merge = \"all\"", "line 3"),
            ("speed = 9", "speed"),
        ] {
            let message = load(&format!("{good}{wrong}")).unwrap_err().to_string();
            assert!(message.contains(expected) && message.contains("my.toml"), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        assert!(load("task = \"pick\"").unwrap_err().to_string().contains("camera"));
    }
}
