//! How queries, keys and values lie in a row, known when a kernel is compiled.

use crate::config::StackConfig;

/// Heads of one attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key heads, and as many value heads.
    pub kv: usize,
    /// Values of one head.
    pub dim: usize,
}

impl Heads {
    /// Those of a stack of blocks.
    pub fn new(stack: &StackConfig) -> Self {
        Self { query: stack.heads, kv: stack.kv_heads, dim: stack.head_dim() }
    }

    /// Heads in a row of queries, keys and values.
    pub fn parts(&self) -> usize {
        self.query + 2 * self.kv
    }

    /// Values of a row of queries, keys and values.
    pub fn row(&self) -> usize {
        self.parts() * self.dim
    }
}
