use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::sample::{episode_json, row_json};
use crate::clips::SynthError;
use crate::inspect::{Dataset, find_datasets};

/// Smallest bound of a shard that is accepted, bytes.
const SHARD_BYTES_MIN: u64 = 1 << 20;
/// Bytes of a tar header, and what entries are padded to.
const BLOCK: u64 = 512;

/// How shards are cut.
#[derive(Clone, Debug)]
pub struct WebDatasetOptions {
    /// Bytes after which the next sample begins a new shard.
    pub shard_bytes: u64,
}

impl Default for WebDatasetOptions {
    fn default() -> Self {
        Self { shard_bytes: 256 << 20 }
    }
}

/// What was exported.
#[derive(Clone, Debug, Default)]
pub struct WebDataset {
    /// Shards with their number of samples, by path.
    pub shards: BTreeMap<PathBuf, usize>,
    /// Clips.
    pub clips: usize,
    /// Samples, one a frame.
    pub samples: usize,
}

/// Writes the dataset in `dir`, or each of those in its subfolders, as WebDataset shards into `out`.
///
/// A sample is a frame: `ep000001_f00012.rgb.png`, `.depth.tiff`, … with the bytes of the dataset's own images, and
/// `.json` with everything else of that row, events included. Shards are `train-000000.tar`, `val-000000.tar`, …, one
/// series for each split, in the order of the clips; the bytes are the same for the same dataset. Beside them
/// `episodes.jsonl` says what holds for whole clips, and `dataset.json` what holds for all.
///
/// # Errors
/// [`SynthError`] on reading or writing, or if there is something in `out` already.
pub fn export_webdataset(
    dir: &Path,
    out: &Path,
    options: &WebDatasetOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<WebDataset, SynthError> {
    if options.shard_bytes < SHARD_BYTES_MIN {
        let message = format!("shards of {} bytes, expected at least {SHARD_BYTES_MIN}", options.shard_bytes);
        return Err(SynthError::Options { message });
    }
    check_empty(out)?;
    let mut datasets = Vec::new();
    for path in find_datasets(dir)? {
        let below = path.strip_prefix(dir).unwrap_or(Path::new("")).to_owned();
        datasets.push((out.join(below), Dataset::open(&path)?));
    }
    let total = datasets.iter().map(|(_, dataset)| dataset.episodes.len()).sum();
    let mut exported = WebDataset::default();
    for (folder, dataset) in &datasets {
        let mut series = BTreeMap::new();
        for index in 0..dataset.episodes.len() {
            export_clip(dataset, index, (folder, options), &mut series)?;
            exported.clips += 1;
            progress(exported.clips, total);
        }
        for shards in series.into_values() {
            exported.shards.extend(shards.finish()?);
        }
        write_facts(dataset, folder)?;
    }
    exported.samples = exported.shards.values().sum();
    Ok(exported)
}

/// Refuses a folder for an export that holds something already.
///
/// # Errors
/// [`SynthError::Options`].
pub fn check_empty(out: &Path) -> Result<(), SynthError> {
    if out.exists() && !std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none()) {
        let message = format!("{out:?} is not an empty folder; exports go into a new one");
        return Err(SynthError::Options { message });
    }
    Ok(())
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> SynthError {
    let path = path.to_owned();
    move |error| SynthError::Unfinished { path, message: error.to_string() }
}

fn export_clip(
    dataset: &Dataset,
    index: usize,
    (folder, options): (&Path, &WebDatasetOptions),
    series: &mut BTreeMap<String, Series>,
) -> Result<(), SynthError> {
    let entry = &dataset.episodes[index];
    let (clip, images) = dataset.encoded(index)?;
    let rows = dataset.number_rows(&clip);
    let shards = series
        .entry(entry.facts.split.clone())
        .or_insert_with(|| Series::new(folder, &entry.facts.split, options.shard_bytes));
    for t in 0..clip.len {
        let key = format!("ep{index:06}_f{t:05}");
        let mut files = Vec::with_capacity(images.len() + 1);
        for (name, files_of) in &images {
            let bytes = files_of.value(t);
            let kind = if bytes.starts_with(b"\x89PNG") { "png" } else { "tiff" };
            files.push((format!("{key}.{}.{kind}", extension(name)), bytes.to_vec()));
        }
        let json = row_json(&rows, entry, t).to_string();
        files.push((format!("{key}.json"), json.into_bytes()));
        shards.push(&files)?;
    }
    Ok(())
}

/// `observation.images.depth.wrist` is `depth.wrist`.
fn extension(feature: &str) -> &str {
    feature.strip_prefix("observation.images.").unwrap_or(feature)
}

fn write_facts(dataset: &Dataset, folder: &Path) -> Result<(), SynthError> {
    // A dataset without clips has made no shard, and no folder for it.
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    let lines: String = dataset.episodes.iter().map(|entry| format!("{}\n", episode_json(entry))).collect();
    let mut info = json!({ "fps": dataset.fps, "worldstep": dataset.info });
    // Where a part was drawn and how it was cut says nothing about what is in the shards.
    if let Some(info) = info.get_mut("worldstep").and_then(Value::as_object_mut) {
        info.remove("shard");
    }
    for (name, text) in [("episodes.jsonl", lines), ("dataset.json", format!("{info:#}\n"))] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// The shards of one split.
struct Series {
    folder: PathBuf,
    split: String,
    shard_bytes: u64,
    open: Option<Shard>,
    finished: BTreeMap<PathBuf, usize>,
}

/// A shard that is being written, under another name until it is whole.
struct Shard {
    path: PathBuf,
    part: PathBuf,
    tar: tar::Builder<BufWriter<File>>,
    bytes: u64,
    samples: usize,
}

impl Series {
    fn new(folder: &Path, split: &str, shard_bytes: u64) -> Self {
        let finished = BTreeMap::new();
        Self { folder: folder.to_owned(), split: split.to_owned(), shard_bytes, open: None, finished }
    }

    /// Appends one sample; a sample is never cut.
    fn push(&mut self, files: &[(String, Vec<u8>)]) -> Result<(), SynthError> {
        let size: u64 =
            files.iter().map(|(_, bytes)| BLOCK + (bytes.len() as u64).next_multiple_of(BLOCK)).sum();
        if self.open.as_ref().is_some_and(|shard| shard.bytes + size > self.shard_bytes) {
            self.close()?;
        }
        let mut shard = match self.open.take() {
            Some(shard) => shard,
            None => Shard::create(&self.folder, &format!("{}-{:06}.tar", self.split, self.finished.len()))?,
        };
        for (name, bytes) in files {
            shard.append(name, bytes)?;
        }
        shard.bytes += size;
        shard.samples += 1;
        self.open = Some(shard);
        Ok(())
    }

    fn close(&mut self) -> Result<(), SynthError> {
        let Some(shard) = self.open.take() else { return Ok(()) };
        let (path, samples) = (shard.path.clone(), shard.samples);
        shard.finish()?;
        self.finished.insert(path, samples);
        Ok(())
    }

    fn finish(mut self) -> Result<BTreeMap<PathBuf, usize>, SynthError> {
        self.close()?;
        Ok(self.finished)
    }
}

impl Shard {
    fn create(folder: &Path, name: &str) -> Result<Self, SynthError> {
        let (path, part) = (folder.join(name), folder.join(format!("{name}.part")));
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let tar = tar::Builder::new(BufWriter::new(File::create(&part).map_err(failed(&part))?));
        Ok(Self { path, part, tar, bytes: 0, samples: 0 })
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), SynthError> {
        // Nothing of this machine or moment is in the header.
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        self.tar.append_data(&mut header, name, bytes).map_err(failed(&self.part))
    }

    fn finish(self) -> Result<(), SynthError> {
        let mut file = self.tar.into_inner().map_err(failed(&self.part))?;
        file.flush().map_err(failed(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(failed(&self.path))
    }
}
