//! What is drawn at random for each clip of a family, beyond its own parameters: one config, [`DEFAULTS`].

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::range::Range;
use crate::clips::SynthError;

/// The defaults, documented.
pub const DEFAULTS: &str = include_str!("../../randomisation.toml");
/// Most distractors of a clip.
pub const DISTRACTORS_MAX: usize = 3;

/// The randomisation of a dataset: `synth/randomisation.toml`, or what a file of the user's changes in it; what is read
/// need hold only the changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Randomisation(Groups);

impl<'de> Deserialize<'de> for Randomisation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::changed(toml::Table::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The groups of the config, each of which can be switched off; see the config for what they mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Groups {
    pub physics: Physics,
    pub colors: Colors,
    pub materials: Materials,
    pub textures: Textures,
    pub light: Lighting,
    pub sky: Sky,
    pub camera: Cameras,
    pub distractors: Distractors,
    pub sensor: SensorRanges,
}

macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(missing_docs)]
        pub struct $name { pub enabled: bool, $(pub $field: $kind),* }
    };
}

group!(
    /// What a family's file doesn't say itself.
    Physics {
        size: Range,
        gravity: Range,
        density: Range,
        friction: Range,
        restitution: Range,
        motor_gain: Range,
    }
);
group!(
    /// Colours by role.
    Colors { roles: BTreeMap<String, Palette> }
);
group!(
    /// Highlights.
    Materials { specular: Range, roughness: Range }
);
group!(
    /// Patterns.
    Textures {
        chance: f64,
        ground_chance: f64,
        kinds: Vec<TextureKind>,
        cell: Range,
        ground_cell: Range,
        contrast: Range,
        image: Range,
    }
);
group!(
    /// Sun, and light from everywhere.
    Lighting {
        azimuth: Range,
        elevation: Range,
        sun: Range,
        ambient: Range,
        warmth: Range,
        shadow: Range,
    }
);
group!(
    /// Sky.
    Sky { hue: Range, saturation: Range, value: Range, haze: Range }
);
group!(
    /// The main camera.
    Cameras {
        azimuth: Range,
        elevation: Range,
        fov: Range,
        margin: Range,
        orbit_chance: f64,
        track_chance: f64,
        orbit_rate: Range,
    }
);
group!(
    /// Small things that stand about.
    Distractors { count: Range, size: Range }
);
group!(
    /// Noise and blur of colour images.
    SensorRanges { noise: Range, blur: Range }
);

/// Hue (turns), saturation and value of sRGB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Palette {
    pub hue: Range,
    pub saturation: Range,
    pub value: Range,
}

/// A pattern by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TextureKind {
    Checker,
    Stripes,
    Dots,
    Noise,
    Image,
}

impl Deref for Randomisation {
    type Target = Groups;

    fn deref(&self) -> &Groups {
        &self.0
    }
}

impl Default for Randomisation {
    fn default() -> Self {
        // A test reads the defaults; if they were damaged, nothing would be random.
        Self::parse("").unwrap_or(Self(Groups::default()))
    }
}

impl Randomisation {
    /// The defaults with what the file at `path` changes in them.
    ///
    /// # Errors
    /// [`SynthError::Config`] names the file, the key, and what would be right.
    pub fn load(path: &Path) -> Result<Self, SynthError> {
        let wrong = |message: String| SynthError::Config { path: path.to_owned(), message };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    /// The defaults with what `text` changes in them.
    ///
    /// # Errors
    /// The key, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::changed(read(text)?)
    }

    fn changed(changes: toml::Table) -> Result<Self, String> {
        let mut table = read(DEFAULTS)?;
        overlay(&mut table, changes, "")?;
        let groups: Groups = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        groups.check()?;
        Ok(Self(groups))
    }

    /// This with every group switched off: each clip looks the same, physics is as the families say.
    pub fn off(mut self) -> Self {
        let groups = &mut self.0;
        for enabled in [
            &mut groups.physics.enabled,
            &mut groups.colors.enabled,
            &mut groups.materials.enabled,
            &mut groups.textures.enabled,
            &mut groups.light.enabled,
            &mut groups.sky.enabled,
            &mut groups.camera.enabled,
            &mut groups.distractors.enabled,
            &mut groups.sensor.enabled,
        ] {
            *enabled = false;
        }
        self
    }
}

impl Textures {
    /// Whether pictures are among its kinds.
    pub fn has_pictures(&self) -> bool {
        self.enabled && self.kinds.contains(&TextureKind::Image)
    }
}

impl Randomisation {
    /// This, with pictures among the kinds of textures.
    pub fn with_pictures(mut self) -> Self {
        if !self.0.textures.kinds.contains(&TextureKind::Image) {
            self.0.textures.kinds.push(TextureKind::Image);
        }
        self
    }
}

fn read(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// Puts `changes` over `table`; a range replaces a range, whatever its kind, and keys must be there already.
fn overlay(table: &mut toml::Table, changes: toml::Table, path: &str) -> Result<(), String> {
    const RANGES: [&str; 5] = ["uniform", "log_uniform", "integer", "choice", "fixed"];
    for (key, value) in changes {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let known = table.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(old) = table.get_mut(&key) else {
            return Err(format!("{full} is unknown; there are {known}"));
        };
        match (old, value) {
            (toml::Value::Table(old), toml::Value::Table(new))
                if !old.keys().any(|key| RANGES.contains(&key.as_str())) =>
            {
                overlay(old, new, &full)?;
            }
            (old, new) => *old = new,
        }
    }
    Ok(())
}

impl Groups {
    fn check(&self) -> Result<(), String> {
        const ANY: [f64; 2] = [-1e6, 1e6];
        const FACTOR: [f64; 2] = [1e-6, 1e6];
        const SHARE: [f64; 2] = [0.0, 1.0];
        const TIMES: [f64; 2] = [0.0, 100.0];
        let (physics, textures, light) = (&self.physics, &self.textures, &self.light);
        let (sky, camera) = (&self.sky, &self.camera);
        let mut ranges = vec![
            ("physics.size", &physics.size, FACTOR),
            ("physics.gravity", &physics.gravity, FACTOR),
            ("physics.density", &physics.density, FACTOR),
            ("physics.friction", &physics.friction, TIMES),
            ("physics.restitution", &physics.restitution, SHARE),
            ("physics.motor_gain", &physics.motor_gain, FACTOR),
            ("materials.specular", &self.materials.specular, SHARE),
            ("materials.roughness", &self.materials.roughness, SHARE),
            ("textures.cell", &textures.cell, FACTOR),
            ("textures.ground_cell", &textures.ground_cell, FACTOR),
            ("textures.contrast", &textures.contrast, TIMES),
            ("textures.image", &textures.image, [0.0, f64::from(u32::MAX)]),
            ("light.azimuth", &light.azimuth, ANY),
            ("light.elevation", &light.elevation, [0.0, 90.0]),
            ("light.sun", &light.sun, TIMES),
            ("light.ambient", &light.ambient, TIMES),
            ("light.warmth", &light.warmth, [-1.0, 1.0]),
            ("light.shadow", &light.shadow, SHARE),
            ("sky.hue", &sky.hue, ANY),
            ("sky.saturation", &sky.saturation, SHARE),
            ("sky.value", &sky.value, SHARE),
            ("sky.haze", &sky.haze, SHARE),
            ("camera.azimuth", &camera.azimuth, ANY),
            ("camera.elevation", &camera.elevation, [-90.0, 90.0]),
            ("camera.fov", &camera.fov, [5.0, 120.0]),
            ("camera.margin", &camera.margin, [0.0, 0.9]),
            ("camera.orbit_rate", &camera.orbit_rate, [-100.0, 100.0]),
            ("distractors.count", &self.distractors.count, [0.0, DISTRACTORS_MAX as f64]),
            ("distractors.size", &self.distractors.size, [1e-3, 1.0]),
            ("sensor.noise", &self.sensor.noise, [0.0, 255.0]),
            ("sensor.blur", &self.sensor.blur, [0.0, 16.0]),
        ];
        for palette in self.colors.roles.values() {
            ranges.extend([
                ("colors.roles: hue", &palette.hue, ANY),
                ("colors.roles: saturation", &palette.saturation, SHARE),
                ("colors.roles: value", &palette.value, SHARE),
            ]);
        }
        for (name, range, [low, high]) in ranges {
            range.check().and_then(|()| range.within(low, high)).map_err(|text| format!("{name}: {text}"))?;
        }
        let chances = [
            ("textures.chance", textures.chance),
            ("textures.ground_chance", textures.ground_chance),
            ("camera.orbit_chance", camera.orbit_chance),
            ("camera.track_chance", camera.track_chance),
        ];
        match chances.into_iter().find(|(_, chance)| !(0.0..=1.0).contains(chance)) {
            Some((name, chance)) => Err(format!("{name}: {chance}, expected a chance from 0 to 1")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_a_file_changes_only_what_it_names() {
        let defaults = Randomisation::parse("").unwrap();
        assert_eq!(Randomisation::default(), defaults);
        assert!(defaults.physics.enabled && defaults.colors.roles.contains_key("ground"));
        let text = "[physics]\ngravity = { fixed = 1.62 }\n[sky]\nenabled = false";
        let changed = Randomisation::parse(text).unwrap();
        assert_eq!(changed.physics.gravity, Range::Fixed(1.62));
        assert_eq!(changed.physics.density, defaults.physics.density);
        assert!(!changed.sky.enabled && changed.light == defaults.light);
        let read: Randomisation = toml::from_str(text).unwrap();
        assert_eq!(read, changed);
        let written = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<Randomisation>(&written).unwrap(), read);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, parts) in [
            ("[physic]\nx = 1", ["physic", "physics"]),
            ("[camera]\nzoom = { fixed = 1.0 }", ["camera.zoom", "margin"]),
            ("[light]\nsun = { uniform = [2.0, 1.0] }", ["light.sun", "the lower one first"]),
            ("[distractors]\ncount = { fixed = 9.0 }", ["distractors.count", "0 to 3"]),
            ("[sky]\nhue = { normal = [0.0, 1.0] }", ["normal", "log_uniform"]),
            ("[sensor]\nnoise = { fixed = nan }", ["sensor.noise", "finite"]),
            ("[sensor]\nblur = { choice = [0.0, inf] }", ["sensor.blur", "finite"]),
            ("[textures]\nchance = 1.5", ["textures.chance", "0 to 1"]),
            ("[textures]\ncell = { fixed = 0.0 }", ["textures.cell", "0.000001"]),
            ("[camera]\nmargin = { fixed = 1.0 }", ["camera.margin", "0 to 0.9"]),
        ] {
            let error = Randomisation::parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
