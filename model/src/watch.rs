/// A part of the dynamics' forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassPart {
    /// Codes and actions become tokens.
    Embed,
    /// Attention within the frame, its normalisation and residual included, as in the parts that follow.
    WithinFrame,
    /// Attention over time.
    OverTime,
    /// Gated feed-forward layers.
    FeedForward,
    /// Codes and readouts of the last state.
    Heads,
}

impl PassPart {
    /// All of them, in the order of a pass.
    pub const ALL: [Self; 5] =
        [Self::Embed, Self::WithinFrame, Self::OverTime, Self::FeedForward, Self::Heads];

    /// Its name in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::WithinFrame => "attention_within_frame",
            Self::OverTime => "attention_over_time",
            Self::FeedForward => "feed_forward",
            Self::Heads => "heads",
        }
    }
}

/// Who looks on while a pass is computed. `()` is nobody, and costs nothing.
pub trait Watch {
    /// `part` of a block, or of the whole, has been asked of the device.
    fn done(&mut self, part: PassPart);
}

impl Watch for () {
    fn done(&mut self, _part: PassPart) {}
}
