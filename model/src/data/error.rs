use std::path::PathBuf;

use thiserror::Error;

/// Why a dataset cannot be read.
#[derive(Debug, Error)]
pub enum DataError {
    /// A file or folder is missing or unreadable.
    #[error("cannot read {path}: {source}; make the dataset with `worldstep synth`", path = path.display())]
    Read {
        /// What was to be read.
        path: PathBuf,
        /// Why it was not. A raw name, so that it is no `source()` beside the message that tells it already.
        r#source: std::io::Error,
    },
    /// Not JSON, or JSON of another kind.
    #[error("{path} is not the info of a Worldstep dataset: {message}", path = path.display())]
    Info {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        message: String,
    },
    /// Written by another version.
    #[error("{path}: {what} is {found}, this build reads {expected}; make the dataset again with `worldstep synth`",
        path = path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// Which version.
        what: &'static str,
        /// The version found.
        found: String,
        /// The version that can be read.
        expected: String,
    },
    /// A damaged or truncated parquet file.
    #[error("{path} is damaged: {message}; make the dataset again with `worldstep synth`", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parquet reader says.
        message: String,
    },
    /// A column that is missing or of the wrong kind.
    #[error("{path}: column {column:?} {message}", path = path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What was expected.
        message: String,
    },
    /// Frames of a size that the model does not take.
    #[error("{path}: frames are {found} pixels, the model takes {expected}; make the dataset with that size",
        path = path.display())]
    FrameSize {
        /// The file.
        path: PathBuf,
        /// Size found, width × height.
        found: String,
        /// Size expected, width × height.
        expected: String,
    },
    /// The dataset holds no clips of the task asked for, or does not say which of its tasks is meant.
    #[error("{path}: {message}", path = path.display())]
    Task {
        /// The dataset.
        path: PathBuf,
        /// Which tasks there are.
        message: String,
    },
    /// Weights that cannot be drawn by.
    #[error("--mix: {message}")]
    Mix {
        /// Which weight, and what there is.
        message: String,
    },
    /// Two datasets that call different things by the same name.
    #[error("{path}: {message}", path = path.display())]
    Differs {
        /// The dataset that differs.
        path: PathBuf,
        /// In what, and what to do.
        message: String,
    },
    /// A configuration or description of a dataset that Worldstep did not write, and what is wrong with it.
    #[error("{path}: {message}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A dataset that Worldstep did not write, without a configuration.
    #[error("{path} was not written by Worldstep: say what is what in {path}/{file} or with --lerobot-config FILE, for \
        instance `task = \"mine\"` and `camera = \"{camera}\"`", path = path.display())]
    NoConfig {
        /// The dataset.
        path: PathBuf,
        /// The configuration's name.
        file: &'static str,
        /// Its cameras.
        camera: String,
    },
    /// Video, and nothing to decode it with.
    #[error("{path} is video, and there is no program {program:?} to decode it: install ffmpeg (`apt-get install \
        ffmpeg`, `brew install ffmpeg`), or name it with `ffmpeg = \"…\"` in the configuration", path = path.display())]
    NoVideoDecoder {
        /// The video.
        path: PathBuf,
        /// The program looked for.
        program: PathBuf,
    },
}
