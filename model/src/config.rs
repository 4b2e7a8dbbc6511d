//! Sizes of the world model. One owner: every layer is derived from this at `init`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Levels of the four dimensions of one code: 8·5·5·5 = 1,000 codes.
pub const FSQ_LEVELS: [usize; 4] = [8, 5, 5, 5];
/// Logits for one code: a softmax for each FSQ dimension.
pub const CODE_LOGITS: usize = 23;
/// Patches (and codes) along a side of a frame, whatever its size.
pub const GRID_SIDE: usize = 8;
/// Codes in a frame.
pub const FRAME_CODES: usize = GRID_SIDE * GRID_SIDE;
/// Codes packed into one token, 2 × 2.
pub const CODES_PER_TOKEN: usize = 4;
/// Tokens of a frame that carry codes.
pub const SPATIAL_TOKENS: usize = FRAME_CODES / CODES_PER_TOKEN;
/// Place of the action token, after the spatial ones.
pub const ACTION_TOKEN: usize = SPATIAL_TOKENS;
/// Place of the readout token.
pub const READOUT_TOKEN: usize = ACTION_TOKEN + 1;
/// Tokens of a frame: spatial, action, readout and two registers.
pub const FRAME_TOKENS: usize = READOUT_TOKEN + 3;
/// Levels of context corruption that the dynamics is told of; 0 is clean.
pub const NOISE_LEVELS: usize = 4;

/// Position and linear velocity of one tracked object.
pub const OBJECT_VALUES: usize = 6;

/// Logits of one tracked object's presence: that it exists, and the share of its silhouette that is seen.
pub const PRESENCE_VALUES: usize = 2;

/// The largest size that a configuration may name: what is beyond it is damage, not ambition.
const SIZE_MAX: usize = 1 << 16;

/// More layers would make the refiner a second dynamics, and more steps a slow one.
const REFINER_LAYERS_MAX: usize = 8;
const REFINER_STEPS_MAX: usize = 4;

/// Named sizes, smallest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Under a million parameters: two CPU cores train it in an hour.
    #[default]
    Nano,
    /// 256 × 8, about 8M.
    S,
    /// 384 × 12, about 25M.
    M,
    /// 512 × 12, about 44M.
    L,
}

impl Preset {
    /// The preset of this lower-case name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Nano, Self::S, Self::M, Self::L].into_iter().find(|preset| preset.name() == name)
    }

    /// Its lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nano => "nano",
            Self::S => "s",
            Self::M => "m",
            Self::L => "l",
        }
    }
}

/// Size of square frames. A larger one has larger patches and as many codes, so the dynamics does the same work for it:
/// only encoding and decoding cost more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "usize", into = "usize")]
pub enum FrameSize {
    /// 64 × 64 pixels in patches of 8 × 8.
    #[default]
    Px64,
    /// 128 × 128 pixels in patches of 16 × 16.
    Px128,
}

impl FrameSize {
    /// All there are, smallest first.
    pub const ALL: [Self; 2] = [Self::Px64, Self::Px128];

    /// The size with sides of so many pixels.
    pub fn from_side(side: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.side() == side)
    }

    /// The size whose patches have so many values.
    pub fn from_patch_values(values: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.patch_values() == values)
    }

    /// Pixels along a side.
    pub const fn side(self) -> usize {
        match self {
            Self::Px64 => 64,
            Self::Px128 => 128,
        }
    }

    /// Pixels of a frame.
    pub const fn pixels(self) -> usize {
        self.side() * self.side()
    }

    /// Bytes of a frame, HWC RGB.
    pub const fn bytes(self) -> usize {
        self.pixels() * 3
    }

    /// Pixels along the side of a patch.
    pub const fn patch_side(self) -> usize {
        self.side() / GRID_SIDE
    }

    /// Values of a patch: its pixels' RGB.
    pub const fn patch_values(self) -> usize {
        self.patch_side() * self.patch_side() * 3
    }
}

/// As `64 × 64`.
impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0} × {0}", self.side())
    }
}

impl From<FrameSize> for usize {
    fn from(size: FrameSize) -> Self {
        size.side()
    }
}

impl TryFrom<usize> for FrameSize {
    type Error = String;

    fn try_from(side: usize) -> Result<Self, String> {
        Self::from_side(side).ok_or_else(|| format!("frames of {side} × {side} pixels, expected 64 or 128"))
    }
}

/// A stack of transformer blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackConfig {
    /// Values of one token.
    pub width: usize,
    /// Blocks in the stack.
    pub layers: usize,
    /// Query heads; divides `width`.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Values inside the gated feed-forward layer.
    pub hidden: usize,
}

impl StackConfig {
    /// Values of one head.
    pub fn head_dim(&self) -> usize {
        self.width / self.heads
    }
}

/// The masked refiner: the codes of a predicted frame that the model is least sure of are masked and predicted again, given
/// the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefinerConfig {
    /// Blocks, of the dynamics' own sizes, over the codes of one frame.
    pub layers: usize,
    /// Times that codes are masked and predicted again in each step.
    pub steps: usize,
    /// Codes masked the first time, of [`FRAME_CODES`]; each further time half as many.
    pub masked_codes: usize,
}

impl Default for RefinerConfig {
    fn default() -> Self {
        Self { layers: 1, steps: 1, masked_codes: 16 }
    }
}

impl RefinerConfig {
    /// Codes of a frame that are masked the `step`-th time, from 0: half as many each time, at least one.
    pub fn masked_in(&self, step: usize) -> usize {
        (self.masked_codes >> step).clamp(1, FRAME_CODES)
    }

    /// Whether a refiner of these sizes can be built.
    ///
    /// # Errors
    /// What was found, and what would be right.
    pub fn check(&self) -> Result<(), (String, String)> {
        let Self { layers, steps, masked_codes } = self;
        let range = |value: &usize, max: usize| (1..=max).contains(value);
        if range(layers, REFINER_LAYERS_MAX)
            && range(steps, REFINER_STEPS_MAX)
            && range(masked_codes, FRAME_CODES)
        {
            return Ok(());
        }
        Err((
            format!("layers {layers}, steps {steps}, masked_codes {masked_codes}"),
            format!("1 to {REFINER_LAYERS_MAX}, 1 to {REFINER_STEPS_MAX} and 1 to {FRAME_CODES}"),
        ))
    }
}

/// Sizes of tokenizer and dynamics, and what the heads read and predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The preset that these sizes come from.
    pub preset: Preset,
    /// Size of the frames.
    #[serde(default, rename = "frame_side", skip_serializing_if = "is_default")]
    pub frame: FrameSize,
    /// Encoder blocks. They do not attend: a patch's code depends on that patch alone, so that what stands still
    /// keeps its code whatever moves elsewhere.
    pub encoder: StackConfig,
    /// Decoder blocks, attending over all patches.
    pub decoder: StackConfig,
    /// Dynamics blocks.
    pub dynamics: StackConfig,
    /// Every n-th dynamics block attends over time, the first included.
    pub temporal_every: usize,
    /// Frames that a prediction can look back on, the present one included.
    pub context_frames: usize,
    /// Values of one action vector: one-hot for a discrete action, scaled to ±1 for a box.
    pub action_values: usize,
    /// Moving objects whose position and velocity the readout token must tell; 6 values each.
    pub tracked_objects: usize,
    /// Whether the readout tells which objects exist and how much of each is seen; `false` for models that were begun
    /// before there was such a readout.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
    /// Masked refiner of predicted frames; none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refiner: Option<RefinerConfig>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl ModelConfig {
    /// Sizes of `preset` for actions of `action_values` and `tracked_objects` moving objects.
    pub fn new(preset: Preset, action_values: usize, tracked_objects: usize) -> Self {
        let stack =
            |width, layers, heads, kv_heads, hidden| StackConfig { width, layers, heads, kv_heads, hidden };
        let (dynamics, codec_width, temporal_every) = match preset {
            Preset::Nano => (stack(96, 4, 4, 2, 192), 64, 2),
            Preset::S => (stack(256, 8, 8, 4, 704), 128, 4),
            Preset::M => (stack(384, 12, 12, 4, 1024), 192, 4),
            Preset::L => (stack(512, 12, 16, 4, 1408), 256, 4),
        };
        Self {
            preset,
            frame: FrameSize::default(),
            encoder: stack(codec_width, 1, 4, 4, 2 * codec_width),
            decoder: stack(codec_width, 2, 4, 4, 2 * codec_width),
            dynamics,
            temporal_every,
            context_frames: 32,
            action_values,
            tracked_objects,
            presence: false,
            refiner: None,
        }
    }

    /// Values of the readout: 6 for each tracked object, and room for one where nothing moves.
    pub fn object_values(&self) -> usize {
        self.tracked_objects.max(1) * OBJECT_VALUES
    }

    /// Values of the presence readout: 2 for each object that the readout has room for.
    pub fn presence_values(&self) -> usize {
        self.tracked_objects.max(1) * PRESENCE_VALUES
    }

    /// Whether a network of these sizes can be built.
    ///
    /// # Errors
    /// A line that says which size is impossible.
    pub fn check(&self) -> Result<(), String> {
        for (name, stack) in
            [("encoder", &self.encoder), ("decoder", &self.decoder), ("dynamics", &self.dynamics)]
        {
            let sizes = [stack.width, stack.layers, stack.heads, stack.kv_heads, stack.hidden];
            if sizes.iter().any(|size| !(1..=SIZE_MAX).contains(size)) {
                return Err(format!("config.{name} has a size outside 1..={SIZE_MAX}"));
            }
            if !stack.width.is_multiple_of(stack.heads) || !stack.heads.is_multiple_of(stack.kv_heads) {
                return Err(format!(
                    "config.{name}: kv_heads must divide heads, and heads must divide width"
                ));
            }
        }
        let counts = [self.temporal_every, self.context_frames, self.action_values];
        if counts.iter().any(|count| !(1..=SIZE_MAX).contains(count)) || self.tracked_objects > SIZE_MAX {
            return Err(format!("config has a count outside 1..={SIZE_MAX}"));
        }
        self.refiner.as_ref().map_or(Ok(()), |refiner| {
            let wrong = |(found, expected)| format!("config.refiner has {found}, expected {expected}");
            refiner.check().map_err(wrong)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn presets_can_be_built_and_nonsense_cannot() {
        for preset in [Preset::Nano, Preset::S, Preset::M, Preset::L] {
            ModelConfig::new(preset, 3, 2).check().unwrap();
        }
        let mut config = ModelConfig::new(Preset::Nano, 3, 2);
        config.dynamics.heads = 5;
        assert!(config.check().unwrap_err().contains("dynamics"));
        config.dynamics.heads = 0;
        assert!(config.check().is_err());
    }

    #[test]
    fn frames_of_another_size_have_as_many_patches() {
        let mut config = ModelConfig::new(Preset::S, 3, 2);
        assert!(!serde_json::to_string(&config).unwrap().contains("frame_side"));
        config.frame = FrameSize::Px128;
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""frame_side":128"#), "{text}");
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        let wrong = serde_json::from_str::<ModelConfig>(&text.replace("128", "96")).unwrap_err();
        assert!(wrong.to_string().contains("96 × 96 pixels, expected 64 or 128"), "{wrong}");
        for size in FrameSize::ALL {
            assert_eq!(size.patch_values() * FRAME_CODES, size.bytes());
            assert_eq!(FrameSize::from_patch_values(size.patch_values()), Some(size));
        }
    }

    #[test]
    fn a_refiner_is_none_unless_it_is_named_and_possible() {
        let mut config = ModelConfig::new(Preset::Nano, 3, 2);
        assert!(!serde_json::to_string(&config).unwrap().contains("refiner"));
        config.refiner = Some(RefinerConfig::default());
        config.check().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<ModelConfig>(&text).unwrap(), config);
        config.refiner = Some(RefinerConfig { masked_codes: 65, ..RefinerConfig::default() });
        assert!(config.check().unwrap_err().contains("masked_codes 65"));
    }
}
