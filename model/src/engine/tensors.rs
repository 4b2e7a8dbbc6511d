//! A network's weights by name, as every engine reads them.

use std::collections::HashMap;

use burn::store::ModuleSnapshot;

/// A weight that is not there, or not of the size that the configuration asks for.
#[derive(Debug, thiserror::Error)]
#[error(
    "the weights hold no {name} of {expected} values; the model's configuration and its weights do not belong together"
)]
pub struct MissingWeight {
    name: String,
    expected: usize,
}

/// Tensors by name, row-major.
pub struct Tensors(HashMap<String, Vec<f32>>);

impl Tensors {
    /// All weights of `module`.
    pub fn of(module: &impl ModuleSnapshot) -> Self {
        let value = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        let named = module.collect(None, None, false).into_iter().filter_map(|tensor| {
            let name = tensor.name.clone();
            tensor.into_bytes().ok().map(|bytes| (name, value(&bytes)))
        });
        Self(named.collect())
    }

    /// The weight of this name, which has `len` values.
    ///
    /// # Errors
    /// [`MissingWeight`] if there is none, or of another size.
    pub fn take(&mut self, name: &str, len: usize) -> Result<Vec<f32>, MissingWeight> {
        let missing = || MissingWeight { name: name.to_owned(), expected: len };
        self.0.remove(name).filter(|values| values.len() == len).ok_or_else(missing)
    }
}
