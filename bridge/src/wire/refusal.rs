use serde::{Deserialize, Serialize};
use thiserror::Error;
use worldstep_env::EnvError;

/// Why a request was refused; the client turns each into an exception of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// No task has this id.
    UnknownTask,
    /// An action outside the action space; nothing was stepped.
    BadAction,
    /// Bytes that are no message of this protocol, or arguments that do not fit the session.
    BadMessage,
    /// A protocol version that this server does not speak.
    BadVersion,
    /// The session expired, was closed, or belongs to an earlier run of the server.
    SessionLost,
    /// Too much in flight; try again after `retry_after_ms`.
    Busy,
    /// `step` where `reset` has to come first.
    NeedsReset,
    /// Bytes that are no saved state of this environment.
    BadState,
    /// The renderer or the model failed.
    Engine,
    /// One of the server's limits; the message names it.
    Limit,
    /// Something that this server cannot do.
    Unsupported,
}

/// The typed answer to a request that cannot be served.
#[derive(Clone, Debug, PartialEq, Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// What kind.
    pub code: ErrorCode,
    /// What was wrong and what would have been accepted.
    pub message: String,
    /// When to try again, for [`ErrorCode::Busy`].
    #[serde(default)]
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal that trying again does not cure.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: 0 }
    }

    /// [`ErrorCode::BadMessage`].
    pub fn bad_message(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadMessage, message)
    }

    /// [`ErrorCode::SessionLost`].
    pub fn session_lost(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::SessionLost, message)
    }
}

impl From<EnvError> for Refusal {
    fn from(error: EnvError) -> Self {
        let code = match &error {
            EnvError::UnknownTask { .. } => ErrorCode::UnknownTask,
            EnvError::Action { .. } => ErrorCode::BadAction,
            EnvError::Argument { .. } => ErrorCode::BadMessage,
            EnvError::Limit { .. } => ErrorCode::Limit,
            EnvError::NeedsReset { .. } => ErrorCode::NeedsReset,
            EnvError::State { .. } => ErrorCode::BadState,
            EnvError::Robot { .. } | EnvError::Engine { .. } => ErrorCode::Engine,
        };
        Self::new(code, error.to_string())
    }
}
