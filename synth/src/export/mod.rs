//! Datasets in formats of other tools.

mod sample;
mod webdataset;

pub use webdataset::{WebDataset, WebDatasetOptions, export_webdataset};
