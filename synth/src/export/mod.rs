//! Datasets in formats of other tools.

mod sample;
mod webdataset;

pub use webdataset::{WebDataset, WebDatasetOptions, check_empty, export_webdataset};
