use thiserror::Error;

/// What can go wrong when an environment is made, reset, stepped or restored.
#[derive(Debug, Error)]
pub enum EnvError {
    /// No task has this id.
    #[error("unknown task {id:?}; known tasks: {known}")]
    UnknownTask {
        /// The id asked for.
        id: String,
        /// Ids that exist, separated by commas.
        known: String,
    },
    /// An action that is not in the action space.
    #[error("invalid action: {message}")]
    Action {
        /// Which value, and what would have been accepted.
        message: String,
    },
    /// A call whose arguments do not fit the environment.
    #[error("invalid argument: {message}")]
    Argument {
        /// Which argument, and what would have been accepted.
        message: String,
    },
    /// More than there is room for.
    #[error("{message}")]
    Limit {
        /// What was asked for, and how much of it fits.
        message: String,
    },
    /// `step` was called where `reset` has to come first.
    #[error("environment {lane} needs a reset before it can be stepped")]
    NeedsReset {
        /// Index of the environment in its vector.
        lane: usize,
    },
    /// Bytes that are no state of this environment.
    #[error("cannot load state: {message}")]
    State {
        /// What is wrong with the bytes.
        message: String,
    },
    /// A robot's file that cannot be read.
    #[error("cannot load robot: {message}")]
    Robot {
        /// Which file, and what is wrong with it.
        message: String,
    },
    /// The engine behind the environment failed (renderer, model).
    #[error("{message}")]
    Engine {
        /// What failed and what to do about it.
        message: String,
    },
}
