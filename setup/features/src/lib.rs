//! Unifies features; holds no code.
