//! A model with room for more tasks and objects than it has learned.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::codec::plain;
use crate::config::NOISE_LEVELS;
use crate::dynamics::Dynamics;
use crate::model::{Model, ModelCard};

/// The weight whose rows are the values of the action vector and the levels of corruption.
const ACTION_ROWS: &str = "embed_action.weight";

impl Model {
    /// The same model with room for what `card` has: its own tasks first and in their order, which may have got further
    /// objects at the end, then new ones; and further readouts.
    ///
    /// Weights of what was there stay, those that read new action values are 0, those that tell of new objects are fresh:
    /// what it says of a task that it knew is the same as before.
    pub fn extended(self, card: ModelCard) -> Self {
        if card.config == self.card.config {
            return Self { card, ..self };
        }
        let mut learned = Learned::default();
        self.dynamics.visit(&mut learned);
        let action_rows = action_rows(&self.card, &card);
        let mut inherit = Inherit { weights: learned.weights, action_rows, path: Vec::new() };
        let dynamics = Dynamics::new(&card.config, &self.device).map(&mut inherit);
        Self { card, dynamics, ..self }
    }
}

/// Where each row of the old [`ACTION_ROWS`] is in the new one.
fn action_rows(old: &ModelCard, new: &ModelCard) -> Vec<usize> {
    let one_hot = |card: &ModelCard| if card.tasks.len() > 1 { card.tasks.len() } else { 0 };
    let coded = 0..old.coding_width();
    let tasks = new.coding_width()..new.coding_width() + one_hot(old);
    let levels = new.config.action_values..new.config.action_values + NOISE_LEVELS;
    coded.chain(tasks).chain(levels).collect()
}

/// Weights by their path, with their dimensions.
#[derive(Default)]
struct Learned {
    path: Vec<String>,
    weights: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Learned {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        self.weights.insert(self.path.join("."), (value.dims().to_vec(), plain(value)));
    }
}

/// Gives fresh weights the values that were learned, as far as there are some.
struct Inherit {
    weights: HashMap<String, (Vec<usize>, Vec<f32>)>,
    action_rows: Vec<usize>,
    path: Vec<String>,
}

impl ModuleMapper for Inherit {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some((dims, values)) = self.weights.remove(&path) else { return param };
        let action_rows = (path == ACTION_ROWS).then_some(self.action_rows.as_slice());
        param.map(|fresh| {
            let (new_dims, device, learns) = (fresh.dims(), fresh.device(), fresh.is_require_grad());
            let merged = match (action_rows, dims == new_dims) {
                (None, true) => values,
                (None, false) => overlaid(plain(fresh), &new_dims, (&dims, &values)),
                (Some(rows), _) => scattered(new_dims.iter().product(), rows, (dims[D - 1], &values)),
            };
            Tensor::from_data(TensorData::new(merged, new_dims), &device).set_require_grad(learns)
        })
    }
}

/// `values` of dimensions `dims` in the corner of a larger array.
fn overlaid(mut fresh: Vec<f32>, new_dims: &[usize], (dims, values): (&[usize], &[f32])) -> Vec<f32> {
    for (i, value) in values.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for (len, new_len) in dims.iter().zip(new_dims).rev() {
            at += rest % len * stride;
            rest /= len;
            stride *= new_len;
        }
        fresh[at] = *value;
    }
    fresh
}

/// Rows of `width` values put in their places among `len` zeros.
fn scattered(len: usize, rows: &[usize], (width, values): (usize, &[f32])) -> Vec<f32> {
    let mut out = vec![0.0; len];
    for (row, values) in rows.iter().zip(values.chunks_exact(width)) {
        out[row * width..(row + 1) * width].copy_from_slice(values);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_keep_their_corner() {
        let fresh = vec![9.0; 6];
        assert_eq!(
            overlaid(fresh, &[2, 3], (&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
            [1.0, 2.0, 9.0, 3.0, 4.0, 9.0]
        );
        assert_eq!(overlaid(vec![9.0; 3], &[3], (&[2], &[1.0, 2.0])), [1.0, 2.0, 9.0]);
    }

    #[test]
    fn rows_go_where_they_belong() {
        assert_eq!(scattered(6, &[2, 0], (2, &[1.0, 2.0, 3.0, 4.0])), [3.0, 4.0, 0.0, 0.0, 1.0, 2.0]);
    }
}
