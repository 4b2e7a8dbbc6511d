use std::sync::Arc;

use worldstep_env::Rng;

use super::coded_rows::CodedRows;
use super::dynamics_batch::{CodedClips, Windows};
use super::objective::ObjectiveOptions;
use super::sampler::Sampler;
use super::window_plan::WindowSizes;
use crate::codec::encode_frames;
use crate::data::{Corpus, Split};
use crate::model::ModelCard;
use crate::tokenizer::Tokenizer;

/// Codes of all frames of each part of `corpus`.
pub fn encode_parts(corpus: &Corpus<'_>, tokenizer: &Tokenizer) -> Vec<Arc<[u8]>> {
    corpus.parts().iter().map(|part| encode_frames(tokenizer, &part.clips.frames).into()).collect()
}

/// One split of a corpus as codes, ready to draw windows from.
pub struct CodedCorpus<'a> {
    parts: Vec<CodedClips<'a>>,
    sampler: Sampler,
}

impl<'a> CodedCorpus<'a> {
    /// `rows` are those of `corpus`. Parts that hold no clip of two frames of `split` are left out, and those that `rows`
    /// lack; `None` if no part is left.
    pub fn new(
        corpus: &Corpus<'a>,
        split: Split,
        (rows, options): (&Arc<CodedRows>, &ObjectiveOptions),
        card: &ModelCard,
    ) -> Option<Self> {
        let coded = corpus.parts().iter().enumerate().filter_map(|(number, part)| {
            let place = (rows, rows.first(number)?);
            Some((part.weight, CodedClips::new(part.clips, split, place, card, options)?))
        });
        let (weights, parts): (Vec<_>, Vec<_>) = coded.unzip();
        (!parts.is_empty()).then(|| Self { parts, sampler: Sampler::new(&weights) })
    }

    /// Draws `count` windows, each from a part drawn by its weight.
    pub fn windows(&self, count: usize, sizes: WindowSizes, rng: &mut Rng) -> Windows {
        let mut out = Windows::default();
        for _ in 0..count {
            self.parts[self.sampler.draw(rng)].push_window(sizes, rng, &mut out);
        }
        out
    }
}
