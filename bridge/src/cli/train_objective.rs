use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use worldstep_model::config::RefinerConfig;
use worldstep_model::train::{ObjectiveOptions, SelfForcing, TrainOptions};

/// What the dynamics learns beside the plain prediction of the next frame.
#[derive(Args)]
pub struct ObjectiveArgs {
    /// JSON file with the objective of the dynamics, as "objective" in a model's model.json; what it leaves out is as by
    /// default.
    #[arg(long, value_name = "FILE")]
    objective: Option<PathBuf>,
    /// Share of windows in which the model goes on from its own frames, 0 to 1; 0 is off.
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    self_forcing: Option<f64>,
    /// Layers of a masked refiner of predicted frames in a new model; 0 for none.
    #[arg(long, value_name = "LAYERS")]
    refiner: Option<usize>,
}

impl ObjectiveArgs {
    /// Sets the objective; a flag goes before the file.
    pub fn apply(&self, options: &mut TrainOptions) -> Result<()> {
        if let Some(path) = &self.objective {
            options.objective = ObjectiveOptions::load(path)?;
        }
        let objective = &mut options.objective;
        if let Some(share) = self.self_forcing {
            objective.self_forcing = SelfForcing { share, ..objective.self_forcing.clone() };
        }
        match self.refiner {
            None => (),
            Some(0) => objective.refiner = None,
            Some(layers) => {
                let refiner = objective.refiner.take().unwrap_or_default();
                objective.refiner = Some(RefinerConfig { layers, ..refiner });
            }
        }
        Ok(objective.check()?)
    }
}
