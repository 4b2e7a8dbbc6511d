//! A LeRobotDataset v3.0 on disk: raw clips → rows → row groups → files, with the `meta` files that say what is in them.

mod channel;
mod clip;
mod content_hash;
mod dataset;
mod encode;
mod episode_reader;
mod episodes;
mod features;
mod info;
mod merge;
mod meta;
mod parquet_file;
mod rows;
mod shard_file;
mod stats;
mod tables;
mod totals;

pub use channel::{ImageChannel, ImageCoding};
pub use clip::{Clip, Column, Facts, Links};
pub use content_hash::{content_hash, set_hash};
pub use dataset::{DatasetWriter, Names};
pub use episode_reader::read_episodes;
pub use episodes::EpisodeEntry;
pub use features::{Feature, FeatureKind, Source, features, hugging_face_schema, info_features, schema};
pub use info::read_info;
pub use merge::{check_shards, merge_shards};
pub use rows::{EncodedEpisode, Place, encode_episode};
pub use stats::FeatureStats;
pub use tables::TABLES;
pub use totals::Totals;
