//! A LeRobotDataset v3.0 on disk: rows → row groups → files, with the `meta` files that say what is in them.

mod dataset;
mod encode;
mod episodes;
mod features;
mod meta;
mod parquet_file;
mod rows;
mod stats;

pub use dataset::DatasetWriter;
pub use episodes::EpisodeEntry;
pub use stats::FeatureStats;
