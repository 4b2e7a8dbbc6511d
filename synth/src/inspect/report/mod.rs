//! One self-contained page on a dataset, or on several: what is in it, how it is distributed, and what its clips look
//! like with every annotation drawn.

mod charts;
mod gather;
mod html;
mod overlay;
mod page;
mod paint;
mod sheet;
mod timeline;
mod wheel;

use std::path::Path;

pub use self::paint::Painter;

use self::gather::Gathered;
use super::dataset::{Dataset, find_datasets};
use crate::clips::SynthError;

/// How much a page shows.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Clips of each dataset that are drawn.
    pub clips_drawn: usize,
    /// Frames of each that are drawn.
    pub frames_drawn: usize,
    /// Clips of each dataset whose trajectories go into the distributions, evenly spread; `meta` is counted in full.
    pub clips_read: usize,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self { clips_drawn: 3, frames_drawn: 8, clips_read: 512 }
    }
}

/// The page on the dataset in `dir`, or on all those in its subfolders. `progress` is told the datasets done and those
/// in all.
///
/// # Errors
/// [`SynthError::NoDataset`] if there is none, [`SynthError::Read`] if one of them cannot be read.
pub fn report(
    dir: &Path,
    options: &ReportOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<String, SynthError> {
    let paths = find_datasets(dir)?;
    let mut sections = Vec::new();
    let mut overview = Vec::new();
    for (done, path) in paths.iter().enumerate() {
        progress(done, paths.len());
        let dataset = Dataset::open(path)?;
        let gathered = Gathered::of(&dataset, options.clips_read)?;
        sections.push(page::section(&dataset, &gathered, options)?);
        overview.push((dataset, gathered));
    }
    progress(paths.len(), paths.len());
    Ok(page::whole(dir, &overview, &sections))
}
