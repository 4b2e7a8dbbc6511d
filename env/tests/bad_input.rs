//! What a caller, a peer or the physics gets wrong ends in a readable error or a truncated lane, never in a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use rand::{RngExt as _, SeedableRng as _};
use rapier3d::prelude::{RigidBodyBuilder, RigidBodyHandle, Vector};
use worldstep_env::physics::{Look, World};
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{
    Action, AutoresetMode, Buffer, Camera, DType, Draw, EnvError, Outcome, Rng, Shape, Space, Task,
    TruthVectorEnv, VectorEnv as _, make_truth,
};

#[test]
fn an_unknown_task_is_answered_with_the_known_ones() {
    let error = make_truth("PushCub-v0", 1, AutoresetMode::NextStep).err().unwrap().to_string();
    for part in ["PushCub-v0", "CartPole-v0", "CatchBehindScreen-v0", "PushCube-v0"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_scenario_name_finds_its_task() {
    let env = make_truth("push-cube", 1, AutoresetMode::NextStep).unwrap();
    assert_eq!(env.spec().id, "PushCube-v0");
}

#[test]
fn no_lanes_is_an_argument_error() {
    let result = make_truth("CartPole-v0", 0, AutoresetMode::NextStep).map(drop);
    assert!(matches!(result, Err(EnvError::Argument { .. })), "{result:?}");
}

#[test]
fn a_refused_action_is_named_with_what_would_do() {
    let space = Space::bounded(&[-1.0, -2.0], &[1.0, 2.0]);
    let message = |values: Vec<f32>| space.check(&Buffer::F32(values), 2).unwrap_err().to_string();
    assert!(message(vec![0.0; 3]).contains("got 3 values of Float32, expected 4"));
    assert!(message(vec![0.0, 0.0, f32::NAN, 0.0]).contains("value NaN at index 2 is outside [-1, 1]"));
    assert!(message(vec![0.0, 0.0, 0.0, 2.5]).contains("value 2.5 at index 3 is outside [-2, 2]"));
    let wrong_type = space.check(&Buffer::zeros(DType::Int64, 4), 2).unwrap_err().to_string();
    assert!(wrong_type.contains("Int64") && wrong_type.contains("Float32"), "{wrong_type}");
    let discrete = Space::Discrete { n: 3, start: 0 };
    let message = discrete.check(&Buffer::I64(vec![1, 3]), 2).unwrap_err().to_string();
    assert!(message.contains("value 3 at index 1 is not in 0..3"), "{message}");
}

#[test]
fn damaged_and_foreign_states_are_refused_and_change_nothing() {
    let mut env = make_truth("CartPole-v0", 1, AutoresetMode::NextStep).unwrap();
    let mut other = make_truth("PushCube-v0", 1, AutoresetMode::NextStep).unwrap();
    env.reset_all(Some(1)).unwrap();
    other.reset_all(Some(1)).unwrap();
    let good = env.save_lane(0).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x10;
    let foreign = other.save_lane(0).unwrap();
    for (what, bytes) in [("cut", &good[..good.len() / 2]), ("flipped", &flipped), ("foreign", &foreign)] {
        let result = env.load_lane(0, bytes);
        assert!(matches!(result, Err(EnvError::State { .. })), "{what}: {result:?}");
        assert_eq!(env.save_lane(0).unwrap(), good, "{what}");
    }
}

/// `bytes` with some of them changed and a checksum that fits again.
fn forged(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut body = bytes[..bytes.len() - 4].to_vec();
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..body.len());
        body[at] ^= 1 << rng.random_range(0..8);
    }
    let checksum = crc32fast::hash(&body);
    body.extend(checksum.to_le_bytes());
    body
}

#[test]
fn damaged_and_forged_states_of_every_task_end_in_an_error_or_an_environment() {
    const FORGED: u32 = 25;
    let (mut refused, mut taken) = (0, 0);
    for entry in &TASKS {
        let mut rng = Rng::seed_from_u64(3);
        let mut env = make_truth(entry.id, 1, AutoresetMode::NextStep).unwrap();
        env.reset_all(Some(1)).unwrap();
        let good = env.save_lane(0).unwrap();
        for part in 0..8 {
            let cut = env.load_lane(0, &good[..good.len() * part / 8]);
            assert!(matches!(cut, Err(EnvError::State { .. })), "{}: {cut:?}", entry.id);
        }
        for _ in 0..FORGED {
            let bytes = forged(&good, &mut rng);
            match env.load_lane(0, &bytes) {
                Err(EnvError::State { .. }) => {
                    refused += 1;
                    assert_eq!(env.save_lane(0).unwrap(), good, "{}: a refused state changed it", entry.id);
                }
                Ok(()) => {
                    taken += 1;
                    let mut action = Buffer::empty((entry.action_space)().dtype());
                    (entry.action_space)().sample(&mut rng, &mut action);
                    env.step_all(&action).unwrap();
                    let observations = env.batch().observations.as_f32().unwrap();
                    assert!(observations.iter().all(|value| !value.is_nan()), "{}", entry.id);
                    env.load_lane(0, &good).unwrap();
                }
                Err(other) => panic!("{}: {other}", entry.id),
            }
            // Loading counts episodes, which are part of the state.
            env = make_truth(entry.id, 1, AutoresetMode::NextStep).unwrap();
            env.reset_all(Some(1)).unwrap();
        }
    }
    println!("{refused} forged states refused, {taken} taken");
    assert!(refused > 50 && taken > 50, "{refused} {taken}");
}

/// A falling ball that a positive action sends to infinity and a negative one makes panic.
struct Fragile {
    world: World,
    ball: RigidBodyHandle,
}

static FRAGILE: TaskEntry = TaskEntry {
    id: "Fragile-v0",
    scenario: "fragile",
    summary: "Diverges or panics on demand.",
    fps: 20,
    max_episode_steps: 10,
    action_space: &|| Space::bounded(&[-1.0], &[1.0]),
    state_space: &|| Space::bounded(&[-100.0], &[100.0]),
    reward_terms: &[],
    make: &|| Box::new(Fragile::new()),
};

impl Fragile {
    fn new() -> Self {
        let camera = Camera::new([0.0, -1.0, 0.0], [0.0; 3], 1.0);
        let mut world = World::new(20, 1, camera);
        let look = Look::moving("ball", Shape::Sphere { radius: 0.1 }, [1.0; 3]);
        let ball = world.add_ghost(look, RigidBodyBuilder::dynamic().additional_mass(1.0));
        Self { world, ball }
    }
}

impl Task for Fragile {
    fn reset(&mut self, _: &mut Draw<'_>) {
        *self = Self::new();
    }

    fn step(&mut self, action: Action<'_>) -> Outcome {
        assert!(action.scalar() >= 0.0, "this world panics");
        if action.scalar() > 0.0 {
            self.world.body_mut(self.ball).set_linvel(Vector::new(f32::MAX, f32::NAN, 0.0), true);
        }
        self.world.control_step();
        Outcome { terms: [1.0, 0.0, 0.0, 0.0], ..Outcome::default() }
    }

    fn state(&self, out: &mut Vec<f32>) {
        out.push(self.world.body(self.ball).translation().z);
    }

    fn expert(&self, out: &mut Buffer) {
        out.append(&Buffer::F32(vec![0.0]));
    }

    fn world(&self) -> &World {
        &self.world
    }

    fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    fn save(&self) -> Result<Vec<u8>, EnvError> {
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8]) -> Result<(), EnvError> {
        Ok(())
    }
}

#[test]
fn a_diverged_lane_is_truncated_and_its_neighbours_go_on() {
    for bad in [1.0, -1.0] {
        let mut env = TruthVectorEnv::new(&FRAGILE, 3, AutoresetMode::NextStep).unwrap();
        env.reset_all(Some(0)).unwrap();
        env.step_all(&Buffer::F32(vec![0.0, bad, 0.0])).unwrap();
        let batch = env.batch();
        assert_eq!(batch.truncated, [false, true, false]);
        assert_eq!(batch.terminated, [false; 3]);
        assert_eq!(batch.rewards, [1.0, 0.0, 1.0]);
        assert_eq!(batch.info("diverged").unwrap().values, [0.0, 1.0, 0.0]);
        let heights = batch.observations.as_f32().unwrap().to_vec();
        assert!(heights.iter().all(|height| height.is_finite()) && heights[0] == heights[2], "{heights:?}");
        env.step_all(&Buffer::F32(vec![0.0; 3])).unwrap();
        assert_eq!(env.batch().rewards, [1.0, 0.0, 1.0], "the middle lane resets");
        env.step_all(&Buffer::F32(vec![0.0; 3])).unwrap();
        assert_eq!(env.batch().rewards, [1.0; 3]);
    }
}
