//! Sessions that have lanes in an engine.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::place::Place;
use crate::session::Token;
use crate::wire::{ErrorCode, LaneRows, Refusal};

/// A session's lanes, which are contiguous, so that its rows are one slice.
pub struct Tenant {
    /// In the engine.
    pub lanes: Range<usize>,
    /// Lanes that were reset or loaded; the others draw their first seed from their index in the session, as they
    /// would in an engine of their own.
    pub started: Vec<bool>,
    /// Rows from before the tenant moved, and the environments that have not been touched since.
    pub kept: Option<(LaneRows, Vec<bool>)>,
    /// Where its observations are left.
    pub place: Place,
}

impl Tenant {
    /// Whether its rows are what the engine shows of its lanes.
    pub fn is_plain(&self) -> bool {
        self.kept.is_none() && !self.started.contains(&false)
    }

    /// Takes note that the environments of `mask` have rows of their own again.
    pub fn touch(&mut self, mask: &[bool]) {
        let Some((_, untouched)) = &mut self.kept else { return };
        untouched.iter_mut().zip(mask).for_each(|(untouched, touched)| *untouched &= !touched);
        if !untouched.contains(&true) {
            self.kept = None;
        }
    }
}

/// The tenant that a session is.
///
/// # Errors
/// [`ErrorCode::SessionLost`] if it holds no lanes.
pub fn tenant(tenants: &BTreeMap<Token, Tenant>, token: Token) -> Result<&Tenant, Refusal> {
    let none = || Refusal::new(ErrorCode::SessionLost, "the session holds no environments");
    tenants.get(&token).ok_or_else(none)
}
