//! Named arrays in a safetensors file: the only two kinds that the fixtures need.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

/// One array, row-major.
pub enum Values {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

/// Arrays and their shapes by name.
#[derive(Default)]
pub struct Arrays(BTreeMap<String, (Vec<usize>, Values)>);

impl Arrays {
    pub fn read(path: &Path) -> Result<Self, Box<dyn Error>> {
        let bytes =
            std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let mut arrays = Self::default();
        for (name, view) in SafeTensors::deserialize(&bytes)?.tensors() {
            let values = match view.dtype() {
                Dtype::U8 => Values::U8(view.data().to_vec()),
                Dtype::F32 => {
                    Values::F32(view.data().as_chunks().0.iter().copied().map(f32::from_le_bytes).collect())
                }
                other => return Err(format!("{name} holds {other:?}, expected F32 or U8").into()),
            };
            arrays.0.insert(name, (view.shape().to_vec(), values));
        }
        Ok(arrays)
    }

    pub fn write(&self, path: &Path) -> Result<(), Box<dyn Error>> {
        let bytes: Vec<(Dtype, Vec<u8>)> = self
            .0
            .values()
            .map(|(_, values)| match values {
                Values::U8(values) => (Dtype::U8, values.clone()),
                Values::F32(values) => {
                    (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
                }
            })
            .collect();
        let views: Result<Vec<_>, _> = self
            .0
            .iter()
            .zip(&bytes)
            .map(|((name, (shape, _)), (dtype, bytes))| {
                Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?))
            })
            .collect();
        Ok(serialize_to_file(views.map_err(|error: safetensors::SafeTensorError| error)?, None, path)?)
    }

    pub fn put(&mut self, name: &str, shape: &[usize], values: Values) {
        self.0.insert(name.to_owned(), (shape.to_vec(), values));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Values)> {
        self.0.iter().map(|(name, (_, values))| (name.as_str(), values))
    }

    /// The shape of an array that must be there.
    pub fn shape(&self, name: &str) -> Result<&[usize], Box<dyn Error>> {
        Ok(&self.get(name)?.0)
    }

    pub fn bytes(&self, name: &str) -> Result<&[u8], Box<dyn Error>> {
        match &self.get(name)?.1 {
            Values::U8(values) => Ok(values),
            Values::F32(_) => Err(format!("{name} holds F32, expected U8").into()),
        }
    }

    pub fn floats(&self, name: &str) -> Result<&[f32], Box<dyn Error>> {
        match &self.get(name)?.1 {
            Values::F32(values) => Ok(values),
            Values::U8(_) => Err(format!("{name} holds U8, expected F32").into()),
        }
    }

    fn get(&self, name: &str) -> Result<&(Vec<usize>, Values), Box<dyn Error>> {
        self.0.get(name).ok_or_else(|| format!("no array {name:?}").into())
    }
}
