//! What tasks whose whole state is their fields have in common.

use std::path::Path;

use crate::physics::World;
use crate::robot::{Robot, RobotModel};

/// The four methods of [`Task`](crate::Task) that say where its state is: the
/// world in the field that is named, everything in all fields.
macro_rules! stored_in_world {
    ($($field:ident).+) => {
        fn world(&self) -> &crate::physics::World {
            &self.$($field).+
        }

        fn world_mut(&mut self) -> &mut crate::physics::World {
            &mut self.$($field).+
        }

        fn save(&self) -> Result<Vec<u8>, crate::EnvError> {
            crate::physics::encode(self)
        }

        fn load(&mut self, bytes: &[u8]) -> Result<(), crate::EnvError> {
            *self = crate::physics::decode(bytes)?;
            Ok(())
        }
    };
}
pub(super) use stored_in_world;

/// A robot whose text is part of this crate.
pub(super) fn built_in(text: &str) -> RobotModel {
    // Every task is made by the tests, so a text that cannot be read does not leave this repository.
    RobotModel::from_text(text, Path::new(".")).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Puts a built-in robot into a world.
pub(super) fn add_built_in(world: &mut World, model: &RobotModel) -> Robot {
    world.add_robot(model).unwrap_or_else(|error| unreachable!("{error}"))
}

/// Appends `values`, each kept within ± its bound.
pub(super) fn observe_within(out: &mut Vec<f32>, values: &[f32], bounds: &[f32]) {
    out.extend(values.iter().zip(bounds).map(|(value, bound)| value.clamp(-bound, *bound)));
}

/// Keeps each value within ± its bound.
pub(super) fn keep_within(values: &mut [f32], bounds: impl IntoIterator<Item = f32>) {
    values.iter_mut().zip(bounds).for_each(|(value, bound)| *value = value.clamp(-bound, bound));
}

/// The same angle within ±π.
pub(super) fn wrap_angle(angle: f32) -> f32 {
    use std::f32::consts::{PI, TAU};
    (angle + PI).rem_euclid(TAU) - PI
}
