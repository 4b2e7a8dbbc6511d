use worldstep_env::{AutoresetMode, EnvError, TruthSource as _, TruthVectorEnv, VectorEnv, make_truth};
use worldstep_model::neural_env::AuditTruth;
use worldstep_synth::RenderedVectorEnv;

/// Physics with eyes, to be stepped beside some lanes of a dream.
pub struct TruthBeside {
    truth: RenderedVectorEnv<TruthVectorEnv>,
    /// Names of the objects that the model tracks, in its order.
    objects: Vec<String>,
}

impl TruthBeside {
    /// `lanes` lanes of task `id`, seen in frames of `side` × `side` pixels, in which `objects` are looked for by name.
    ///
    /// # Errors
    /// [`EnvError::UnknownTask`], or [`EnvError::Engine`] where there is no graphics driver.
    pub fn new(id: &str, (lanes, side): (usize, u32), objects: &[String]) -> Result<Self, EnvError> {
        let truth = make_truth(id, lanes, AutoresetMode::Disabled)?;
        let truth = RenderedVectorEnv::new(truth, side, side)
            .map_err(|error| EnvError::Engine { message: error.to_string() })?;
        Ok(Self { truth, objects: objects.to_vec() })
    }
}

impl AuditTruth for TruthBeside {
    fn env(&self) -> &dyn VectorEnv {
        &self.truth
    }

    fn env_mut(&mut self) -> &mut dyn VectorEnv {
        &mut self.truth
    }

    fn objects(&self, lane: usize, out: &mut Vec<f32>) {
        let instances = &self.truth.scene(lane).instances;
        let (mut poses, mut velocities) = (Vec::new(), Vec::new());
        self.truth.poses(lane, &mut poses);
        self.truth.velocities(lane, &mut velocities);
        for name in &self.objects {
            // What is not there cannot be where it is believed to be.
            let found = instances.iter().position(|instance| &instance.name == name);
            let known = found.and_then(|i| Some((poses.get(i)?.position, velocities.get(i)?.linear)));
            let (position, velocity) = known.unwrap_or(([f32::NAN; 3], [f32::NAN; 3]));
            out.extend(position.into_iter().chain(velocity));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn objects_are_told_in_the_models_order() {
        let names = ["paddle".to_owned(), "ball".to_owned(), "ghost".to_owned()];
        let mut truth = TruthBeside::new("CatchBehindScreen-v0", (2, 64), &names).unwrap();
        truth.env_mut().reset_all(Some(3)).unwrap();
        let mut told = Vec::new();
        truth.objects(1, &mut told);
        // The task's table: ball position and velocity, paddle height and velocity.
        let mut state = Vec::new();
        truth.truth.state(1, &mut state);
        assert_eq!(told[6..12], state[..6]);
        assert_eq!((told[2], told[5]), (state[6], state[7]));
        assert!(told[12..].iter().all(|value| value.is_nan()) && told.len() == 18);
    }
}
