//! Datasets read back: from the files alone, decoded to the raw values that were recorded.
//!
//! [`Dataset`] opens a folder and decodes its clips, [`Rows`] gives a clip's values by what they mean; [`check()`]
//! verifies that all of it is whole and physically consistent, [`report()`] draws it as one page.

mod check;
mod clip_reader;
mod dataset;
mod fault;
mod geometry;
mod image_file;
mod parquet_read;
mod report;
mod rows;
mod tables;

pub use check::{CheckOptions, CheckReport, CheckedDataset, check};
pub use dataset::{Dataset, find_datasets};
pub use fault::{Code, Fault, Finding};
pub use report::{Painter, ReportOptions, report};
pub use rows::Rows;
