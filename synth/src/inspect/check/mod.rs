//! Is a dataset whole, well-formed and physically consistent? Every deviation is a [`Finding`].

mod clip;
mod labels;
mod layout;
mod links;
mod motion;
mod optics;
mod positions;
mod statistics;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use worldstep_env::dataset::{EPISODES_PER_FILE, file_path};

use self::clip::ClipCheck;
use super::dataset::{Dataset, find_datasets};
use super::fault::{Code, Fault, Finding};
use super::parquet_read::ParquetReader;
use super::tables;
use crate::clips::SynthError;
use crate::lerobot::{hugging_face_schema, schema, set_hash};

/// Findings that are kept of one kind; more are only counted.
const FINDINGS_PER_CODE_MAX: usize = 50;
/// Clips that are decoded at the same time.
const CLIPS_AT_ONCE: usize = 16;

/// How closely to look.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// Share of the clips that are decoded, 0 to 1, evenly spread; `meta` is always looked at in full.
    pub sample: f64,
    /// What the content hash of the set has to be.
    pub expected_hash: Option<String>,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { sample: 1.0, expected_hash: None }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// Datasets in the folder.
    pub datasets: Vec<CheckedDataset>,
    /// What is wrong, the first 50 of each kind.
    pub findings: Vec<Finding>,
    /// How often each kind was found.
    pub counts: BTreeMap<Code, usize>,
}

/// One of the datasets that were checked.
#[derive(Clone, Debug)]
pub struct CheckedDataset {
    /// Its folder.
    pub path: PathBuf,
    /// Task id or family name.
    pub scenario: String,
    /// Clips in it.
    pub clips: usize,
    /// Clips that were decoded.
    pub clips_decoded: usize,
    /// Rows that were decoded.
    pub frames_decoded: usize,
    /// Content hash of the set, from the clips' hashes as they are written down.
    pub content_hash: String,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn ok(&self) -> bool {
        self.counts.is_empty()
    }

    fn add(&mut self, dataset: &Path, episode: Option<usize>, fault: Fault) {
        let count = self.counts.entry(fault.code).or_default();
        *count += 1;
        if *count <= FINDINGS_PER_CODE_MAX {
            self.findings.push(Finding { dataset: dataset.to_owned(), episode, fault });
        }
    }

    fn add_all(&mut self, dataset: &Path, faults: impl IntoIterator<Item = (Option<usize>, Fault)>) {
        faults.into_iter().for_each(|(episode, fault)| self.add(dataset, episode, fault));
    }
}

/// Checks the dataset in `dir`, or all those in its subfolders. `progress` is told the clips done and those in all.
///
/// # Errors
/// [`SynthError::NoDataset`] if there is none at all; everything else is in the report.
pub fn check(
    dir: &Path,
    options: &CheckOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<CheckReport, SynthError> {
    let mut report = CheckReport::default();
    let mut opened = Vec::new();
    for path in find_datasets(dir)? {
        match Dataset::open(&path) {
            Ok(dataset) => opened.push(dataset),
            Err(error) => report.add(&path, None, Fault::new(Code::Unreadable, reason(&error))),
        }
    }
    let total = opened.iter().map(|dataset| sampled(dataset, options.sample).len()).sum();
    let mut done = 0;
    for dataset in &opened {
        let mut tick = |clips| {
            done += clips;
            progress(done, total);
        };
        check_dataset(dataset, options, &mut report, &mut tick);
    }
    if let Some(expected) = &options.expected_hash {
        let found = report.datasets.iter().map(|d| d.content_hash.as_str()).collect::<Vec<_>>().join("+");
        if found != *expected {
            let message = format!("the set's content hash is {found}, expected {expected}");
            report.add(dir, None, Fault::new(Code::Hash, message));
        }
    }
    Ok(report)
}

/// What an error says, without the advice for those who record.
fn reason(error: &SynthError) -> String {
    match error {
        SynthError::Read { path, message } => format!("{}: {message}", path.display()),
        other => other.to_string(),
    }
}

/// Clips to decode: `share` of all, evenly spread, at least one.
fn sampled(dataset: &Dataset, share: f64) -> Vec<usize> {
    let share = share.clamp(0.0, 1.0);
    let count = dataset.episodes.len();
    let crosses = |index: usize| ((index + 1) as f64 * share).floor() > (index as f64 * share).floor();
    let chosen: Vec<usize> = (0..count).filter(|index| crosses(*index)).collect();
    if chosen.is_empty() && count > 0 { vec![count / 2] } else { chosen }
}

fn check_dataset(
    dataset: &Dataset,
    options: &CheckOptions,
    report: &mut CheckReport,
    tick: &mut dyn FnMut(usize),
) {
    let dir = &dataset.dir;
    report.add_all(dir, layout::check(dataset));
    report.add_all(dir, links::check(dataset));
    report.add_all(dir, statistics::check_totals(dataset));
    let chosen = sampled(dataset, options.sample);
    let mut frames_decoded = 0;
    for clips in chosen.chunk_by(|a, b| a / EPISODES_PER_FILE == b / EPISODES_PER_FILE) {
        let file = clips[0] / EPISODES_PER_FILE;
        match FileCheck::open(dataset, file) {
            Ok((opened, faults)) => {
                report.add_all(dir, faults.into_iter().map(|fault| (None, fault)));
                for some in clips.chunks(CLIPS_AT_ONCE) {
                    let checked: Vec<_> = some.par_iter().map(|index| opened.clip(*index)).collect();
                    for (index, (frames, faults)) in some.iter().zip(checked) {
                        frames_decoded += frames;
                        report.add_all(dir, faults.into_iter().map(|fault| (Some(*index), fault)));
                    }
                    tick(some.len());
                }
            }
            Err(fault) => {
                report.add(dir, None, fault);
                tick(clips.len());
            }
        }
    }
    report.add_all(dir, links::check_branches(dataset));
    report.datasets.push(CheckedDataset {
        path: dir.clone(),
        scenario: dataset.scenario().id.clone(),
        clips: dataset.episodes.len(),
        clips_decoded: chosen.len(),
        frames_decoded,
        content_hash: set_hash(dataset.episodes.iter().map(|entry| entry.hash.as_str())),
    });
}

/// One file of `data`, and the tables of its episodes.
struct FileCheck<'a> {
    dataset: &'a Dataset,
    reader: ParquetReader,
    tables: BTreeMap<i64, tables::EpisodeTables>,
}

impl<'a> FileCheck<'a> {
    fn open(dataset: &'a Dataset, file: usize) -> Result<(Self, Vec<Fault>), Fault> {
        let path = dataset.dir.join(file_path("data", file));
        let reader = ParquetReader::open(&path)?;
        let mut faults = Vec::new();
        let mut wrong = |message: String| {
            faults.push(Fault::new(Code::Schema, format!("{}: {message}", path.display())));
        };
        let expected = (dataset.episodes.len() - file * EPISODES_PER_FILE).min(EPISODES_PER_FILE);
        if reader.groups() != expected {
            wrong(format!("{} row groups, expected {expected}, one an episode", reader.groups()));
        }
        for field in schema(&dataset.features).fields() {
            match reader.schema().field_with_name(field.name()) {
                Ok(found) if found.data_type() == field.data_type() => {}
                Ok(found) => wrong(format!(
                    "column {:?} is {}, expected {}",
                    field.name(),
                    found.data_type(),
                    field.data_type()
                )),
                Err(_) => wrong(format!("column {:?} is missing", field.name())),
            }
        }
        if reader.key("huggingface") != Some(hugging_face_schema(&dataset.features)) {
            wrong("the schema's key \"huggingface\" does not describe the features".to_owned());
        }
        let tables = tables::read(&dataset.dir, file)?;
        let range = file * EPISODES_PER_FILE..file * EPISODES_PER_FILE + expected;
        if let Some(stray) = tables.keys().find(|episode| !range.contains(&(**episode as usize))) {
            let message =
                format!("events/ has rows of episode {stray} in file {file}, which holds {range:?}");
            faults.push(Fault::new(Code::Index, message));
        }
        Ok((Self { dataset, reader, tables }, faults))
    }

    /// Rows that were decoded, and what is wrong with them.
    fn clip(&self, index: usize) -> (usize, Vec<Fault>) {
        let tables = self.tables.get(&(index as i64)).cloned().unwrap_or_default();
        let batch = match self.reader.read(Some(index % EPISODES_PER_FILE)) {
            Ok(batch) => batch,
            Err(fault) => return (0, vec![fault]),
        };
        ClipCheck { dataset: self.dataset, entry: &self.dataset.episodes[index], batch: &batch }.run(tables)
    }
}
