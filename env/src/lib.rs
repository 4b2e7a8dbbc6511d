//! Vocabulary and truth: spaces, environments, tasks on Rapier, and the dataset's record types.
//!
//! Data goes one way: **task → frames → dataset → weights → [`VectorEnv`] → wire → policy**. This crate holds both ends:
//! the tasks ([`tasks`], [`TruthVectorEnv`]) and the interface that every engine answers ([`VectorEnv`]).
//!
//! Conventions: SI units, right-handed, z up, gravity −9.81 m/s² along z, angles in radians, quaternions `xyzw`,
//! cameras after OpenCV (x right, y down, z forward).

mod batch;
mod buffer;
pub mod check;
pub mod dataset;
mod draw;
mod error;
pub mod physics;
pub mod policy;
mod randomisation;
pub mod record;
pub mod registry;
mod returns;
pub mod robot;
pub mod scene;
mod send_recv;
pub mod sensor;
mod single_env;
mod space;
mod task;
pub mod tasks;
mod truth_env;
mod truth_vector_env;
mod vector_env;
pub mod wrappers;

/// The physics engine, for tasks that are written elsewhere.
pub use rapier3d;

pub use batch::{Batch, InfoColumn};
pub use buffer::Buffer;
pub use draw::Draw;
pub use error::EnvError;
pub use randomisation::{LATENCY_MAX, Randomisation};
pub use registry::{TaskEntry, make_task, make_truth};
pub use returns::{Published, Returns, measure_returns, published_returns};
pub use scene::{
    Camera, CameraMotion, CameraRig, Instance, Light, Mesh, Pose, SEMANTIC_CLASSES, Scene, Shape, Surface,
    Texture, Velocity, semantic_class,
};
pub use send_recv::{Received, SendRecvEnv};
pub use single_env::{Env, SingleEnv, Step};
pub use space::{BoxSpace, DType, Space};
pub use task::{Action, Outcome, RewardTerm, Rng, Task};
pub use truth_env::{Transition, TruthEnv};
pub use truth_vector_env::TruthVectorEnv;
pub use vector_env::{AutoresetMode, EnvSpec, TruthSource, VectorEnv};
