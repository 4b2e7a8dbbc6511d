//! What a clip shows in one or two sentences, each clause of which stands for something on record.

mod clause;
mod color_names;
mod motion;
mod names;
mod words;

pub use clause::{Clause, clauses};
pub use color_names::color_name;
pub use motion::Motion;
pub use words::tell;
