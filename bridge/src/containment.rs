//! Engines run renderers, tensor libraries and physics that may panic. One engine's panic must not end the others.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::wire::{ErrorCode, Refusal};

/// Runs a call into an engine.
///
/// # Errors
/// [`ErrorCode::Engine`] if it panicked. The engine is then in no defined state: ask it nothing more.
pub fn contain<T>(call: impl FnOnce() -> T) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let said = said(panic.as_ref());
        Refusal::new(ErrorCode::Engine, format!("the engine failed ({said}): make the environments again"))
    })
}

/// First line of a panic's message.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.and_then(|text| text.lines().next()).unwrap_or("it gave no reason")
}
