use crate::{Buffer, EnvSpec};

/// One named value for every environment, with a mask that says where it is set.
#[derive(Clone, Debug, PartialEq)]
pub struct InfoColumn {
    /// Name, for instance `success` or `reward/catch`.
    pub name: &'static str,
    /// Value for each environment; meaningless where the mask is false.
    pub values: Vec<f32>,
    /// Where the value is set.
    pub mask: Vec<bool>,
}

/// What the last `reset` or `step` of a [`VectorEnv`](crate::VectorEnv) left: flat preallocated arrays, one row a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `num_envs ×` observation, row-major.
    pub observations: Buffer,
    /// Reward caused by the last action.
    pub rewards: Vec<f32>,
    /// Whether the episode ended by the task's own rules.
    pub terminated: Vec<bool>,
    /// Whether the episode was cut off (time limit, divergence).
    pub truncated: Vec<bool>,
    /// Further named values.
    pub info: Vec<InfoColumn>,
}

impl Batch {
    /// Zeroed arrays for `num_envs` environments of `spec`.
    pub fn new(spec: &EnvSpec, num_envs: usize, info_names: &[&'static str]) -> Self {
        Self {
            observations: spec.observation_space.buffer(num_envs),
            rewards: vec![0.0; num_envs],
            terminated: vec![false; num_envs],
            truncated: vec![false; num_envs],
            info: info_names
                .iter()
                .map(|name| InfoColumn { name, values: vec![0.0; num_envs], mask: vec![false; num_envs] })
                .collect(),
        }
    }

    /// The info column with this name.
    pub fn info(&self, name: &str) -> Option<&InfoColumn> {
        self.info.iter().find(|column| column.name == name)
    }

    /// Whether the episode of `lane` is over.
    pub fn done(&self, lane: usize) -> bool {
        self.terminated[lane] || self.truncated[lane]
    }
}
