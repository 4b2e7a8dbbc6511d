use std::path::Path;

use super::clips::{Clips, Split};
use super::error::DataError;
use super::mix::MixWeight;
use crate::config::FrameSize;
use crate::fnv;

/// The clips of one task in one dataset, and how often they are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The clips.
    pub clips: &'a Clips,
    /// Relative to the other parts; 0 where nothing is to be learned from.
    pub weight: f64,
}

/// All that one training learns from: clips of one or several tasks, of one or several datasets.
///
/// Every task is drawn as often as any other, however many clips it has, and within a task every clip as often as any
/// other, whichever dataset holds it. Weights shift the first, or give a dataset a place of its own beside the tasks.
#[derive(Clone, Debug)]
pub struct Corpus<'a> {
    parts: Vec<Part<'a>>,
    mix: String,
}

impl<'a> From<&'a Clips> for Corpus<'a> {
    fn from(clips: &'a Clips) -> Self {
        Self { parts: vec![Part { clips, weight: 1.0 }], mix: String::new() }
    }
}

impl<'a> Corpus<'a> {
    /// All of `clips`, drawn as `mix` says.
    ///
    /// # Errors
    /// [`DataError::Mix`] if a weight names neither a task nor a dataset, or nothing is left to learn from.
    pub fn new(clips: &'a [Clips], mix: &[MixWeight]) -> Result<Self, DataError> {
        if let Some(unknown) = mix.iter().find(|weight| !clips.iter().any(|clips| named(clips, weight))) {
            let known: Vec<_> = clips.iter().map(|clips| clips.scenario.id.as_str()).collect();
            let message = format!(
                "the weight of {:?} is of no task and of no dataset; tasks are: {}",
                unknown.name,
                known.join(", ")
            );
            return Err(DataError::Mix { message });
        }
        if let Some(other) = clips.iter().find(|part| part.frame_size != clips[0].frame_size) {
            let (path, first) = (other.path.clone(), &clips[0]);
            let message = format!(
                "its frames are {}, those of {} {}; a model learns one size",
                other.frame_size,
                first.path.display(),
                first.frame_size
            );
            return Err(DataError::Differs { path, message });
        }
        let parts: Vec<_> = clips
            .iter()
            .map(|part| {
                let (group, weight) = group(part, mix);
                let all: usize =
                    clips.iter().filter(|other| self::group(other, mix).0 == group).map(count).sum();
                Part { clips: part, weight: weight * count(part) as f64 / (all.max(1) as f64) }
            })
            .collect();
        if !parts.is_empty()
            && parts.iter().all(|part| part.weight == 0.0)
            && clips.iter().any(|c| count(c) > 0)
        {
            return Err(DataError::Mix {
                message: "every weight is 0, so there is nothing to learn from".to_owned(),
            });
        }
        let mix = mix.iter().map(|weight| format!("{}={}", weight.name, weight.weight)).collect::<Vec<_>>();
        Ok(Self { parts, mix: mix.join(" ") })
    }

    /// What there is of each task in each dataset.
    pub fn parts(&self) -> &[Part<'a>] {
        &self.parts
    }

    /// The weights that were asked for, as one line; empty without any.
    pub fn mix(&self) -> &str {
        &self.mix
    }

    /// Ids of the tasks, each once, in the order that they appear in.
    pub fn tasks(&self) -> Vec<&'a str> {
        let mut ids: Vec<&str> = Vec::new();
        for part in &self.parts {
            let id = part.clips.scenario.id.as_str();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// Whether there is a clip to learn from.
    pub fn is_learnable(&self) -> bool {
        self.parts.iter().any(|part| part.weight > 0.0 && count(part.clips) > 0)
    }

    /// The parts of one task.
    pub fn of_task(&self, id: &str) -> impl Iterator<Item = &'a Clips> {
        self.parts.iter().map(|part| part.clips).filter(move |clips| clips.scenario.id == id)
    }

    /// Size of all frames.
    pub fn frame_size(&self) -> FrameSize {
        self.parts.first().map(|part| part.clips.frame_size).unwrap_or_default()
    }

    /// Names all of it: the hash of the only part, or sixteen hexadecimal digits over those of all.
    pub fn hash(&self) -> String {
        match self.parts.as_slice() {
            [only] => only.clips.hash.clone(),
            parts => {
                let hash =
                    parts.iter().fold(fnv::EMPTY, |hash, part| fnv::extend(hash, part.clips.hash.as_bytes()));
                format!("{hash:016x}")
            }
        }
    }

    /// The first dataset's folder.
    pub fn path(&self) -> &'a Path {
        self.parts.first().map_or(Path::new(""), |part| &part.clips.path)
    }
}

/// Clips to learn from: with a frame that has a next one.
fn count(clips: &Clips) -> usize {
    clips.split(Split::Train).filter(|clip| clip.len > 1).count()
}

fn named(clips: &Clips, weight: &MixWeight) -> bool {
    weight.name == clips.scenario.id || names_folder(clips, weight)
}

fn names_folder(clips: &Clips, weight: &MixWeight) -> bool {
    let name = Path::new(&weight.name);
    name == clips.path || Some(name.as_os_str()) == clips.path.file_name()
}

/// What a part shares its weight with, and that weight: its dataset if that has one, else its task.
fn group<'c>(clips: &'c Clips, mix: &'c [MixWeight]) -> (&'c str, f64) {
    let task = |weight: &&MixWeight| weight.name == clips.scenario.id;
    let folder = |weight: &&MixWeight| names_folder(clips, weight) && !task(weight);
    match (mix.iter().find(folder), mix.iter().find(task)) {
        (Some(dataset), _) => (&dataset.name, dataset.weight),
        (None, Some(task)) => (&task.name, task.weight),
        (None, None) => (&clips.scenario.id, 1.0),
    }
}
