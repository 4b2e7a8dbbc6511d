//! What a server writes into its log, one function an event, so that names and fields are the same everywhere.
//!
//! Session tokens are passwords and never written: [`session_label`] stands for them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use super::PoolKind;
use super::throttle::Throttle;
use crate::session::Token;
use crate::wire::{ErrorCode, Op, Refusal};

/// Refusals that are written in ten seconds; a peer that sends garbage must not fill the disk.
static REFUSALS: Mutex<Throttle> = Mutex::new(Throttle::new(20, Duration::from_secs(10)));

/// Eight hexadecimal digits that tell a session from others and say nothing of its token.
pub fn session_label(token: Token) -> String {
    blake3::hash(&token.to_le_bytes()).to_hex()[..8].to_owned()
}

/// The server can be reached.
pub fn listening(address: &str, epoch: u64) {
    info!(address, epoch, version = env!("CARGO_PKG_VERSION"), "listening");
}

/// A session was opened.
pub fn session_opened(token: Token, kind: &PoolKind, envs: usize) {
    let [(_, engine), (_, task), (_, obs)] = kind.labels();
    let session = session_label(token);
    info!(session, task, engine, obs, envs, "session opened");
}

/// A client closed its session.
pub fn session_closed(token: Token) {
    info!(session = session_label(token), "session closed");
}

/// A session's lease ran out.
pub fn session_expired(token: Token) {
    warn!(session = session_label(token), "session expired: no message within its lease");
}

/// An engine was made with `envs` environments.
pub fn engine_made(kind: &PoolKind, envs: usize, took: Duration) {
    let [(_, engine), (_, task), (_, obs)] = kind.labels();
    info!(task, engine, obs, envs, seconds = took.as_secs_f64(), "engine made");
}

/// An engine's sessions moved into a larger one.
pub fn engine_grown(kind: &PoolKind, envs_before: usize, envs: usize, took: Duration) {
    let [(_, engine), (_, task), (_, obs)] = kind.labels();
    info!(task, engine, obs, envs_before, envs, seconds = took.as_secs_f64(), "engine grown");
}

/// An engine failed and was ended with its sessions.
pub fn engine_failed(kind: &PoolKind, sessions: usize, failure: &Refusal) {
    let [(_, engine), (_, task), (_, obs)] = kind.labels();
    error!(task, engine, obs, sessions, reason = failure.message, "engine failed");
}

/// A request was refused. Limits that were hit and messages that make no sense are warnings, for their cause is elsewhere
/// than in the client's loop; the rest is its own business and only written for debugging.
pub fn refused(route: &[u8], op: Op, refusal: &Refusal) {
    let peer: String = route.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let (code, reason) = (refusal.code, refusal.message.as_str());
    if !matches!(code, ErrorCode::Limit | ErrorCode::BadMessage | ErrorCode::Engine) {
        debug!(peer, ?op, ?code, reason, "request refused");
        return;
    }
    let passed = REFUSALS.lock().unwrap_or_else(PoisonError::into_inner).pass(Instant::now());
    if let Some(held_back) = passed {
        let what = if code == ErrorCode::Limit { "limit hit" } else { "request refused" };
        warn!(peer, ?op, ?code, reason, not_written_before = held_back, "{what}");
    }
}

/// The server takes no new work and ends once what is under way is done.
pub fn draining(sessions: usize) {
    info!(sessions, "draining");
}

/// The server has ended, and `sessions` with it.
pub fn stopped(sessions: usize) {
    info!(sessions_ended = sessions, "stopped");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_sessions_apart_and_hides_their_tokens() {
        let token = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        let label = session_label(token);
        assert_eq!(label.len(), 8);
        assert_ne!(label, session_label(token + 1));
        let hex = format!("{token:032x}");
        let reversed: String = token.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(!hex.contains(&label) && !reversed.contains(&label));
    }
}
