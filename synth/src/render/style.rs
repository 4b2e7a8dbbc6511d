//! Which of the colour pipelines draws an instance: chosen on the host, so that the shader never branches on it.

use worldstep_env::{Instance, Light, Surface, Texture};

/// How an instance is coloured. Each pair of kind and style has a pipeline of its own, so that nothing pays for what
/// it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// One fixed light; of a scene without [`Light`].
    Plain,
    /// Sun, sky, ground and shadows.
    Full {
        /// What covers it.
        pattern: Pattern,
        /// Whether it has a highlight.
        gloss: bool,
    },
}

/// What covers a thing; the value is `PATTERN` of `full.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    None,
    Checker,
    Stripes,
    Dots,
    Noise,
    Image,
}

impl Pattern {
    const ALL: [Self; 6] = [Self::None, Self::Checker, Self::Stripes, Self::Dots, Self::Noise, Self::Image];
}

impl Style {
    /// Styles that there are.
    pub const COUNT: usize = 1 + 2 * Pattern::ALL.len();

    /// How `instance` is coloured in a scene with this light.
    pub fn of(light: Option<&Light>, instance: &Instance) -> Self {
        if light.is_none() {
            return Self::Plain;
        }
        let Surface { texture, specular, .. } = instance.surface;
        let pattern = match texture {
            Texture::Plain => Pattern::None,
            Texture::Checker { .. } => Pattern::Checker,
            Texture::Stripes { .. } => Pattern::Stripes,
            Texture::Dots { .. } => Pattern::Dots,
            Texture::Noise { .. } => Pattern::Noise,
            Texture::Image { .. } => Pattern::Image,
        };
        Self::Full { pattern, gloss: specular > 0.0 }
    }

    /// How the sky over a scene with this light is coloured.
    pub fn of_sky(light: Option<&Light>) -> Self {
        light.map_or(Self::Plain, |_| Self::Full { pattern: Pattern::None, gloss: false })
    }

    /// All styles, by [`index`](Self::index).
    pub fn all() -> impl Iterator<Item = Self> {
        let full = Pattern::ALL
            .into_iter()
            .flat_map(|pattern| [false, true].map(|gloss| Self::Full { pattern, gloss }));
        std::iter::once(Self::Plain).chain(full)
    }

    /// Position among all styles.
    pub fn index(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Full { pattern, gloss } => 1 + 2 * pattern as usize + usize::from(gloss),
        }
    }
}
