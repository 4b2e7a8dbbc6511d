use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::robot::{RobotModel, RobotSensor, RobotTask, SensorKind};
use worldstep_env::wrappers::{
    ActionRepeat, DomainRandomisation, FrameStack, RecordEpisodeStatistics, TimeLimit,
};
use worldstep_env::{AutoresetMode, Buffer, EnvError, Randomisation, Space, TruthVectorEnv, VectorEnv};

const LANES: usize = 3;
/// The lane that everything bad happens to; the others must not notice.
const WILD: usize = 1;
/// Physics costs more than thinking of it: what comes after this many steps is left out.
const STEPS_MAX: usize = 60;

/// This crate's tasks, and a robot from a file with every sensor.
static ENTRIES: LazyLock<Vec<TaskEntry>> = LazyLock::new(|| {
    let ant = include_str!("../../src/tasks/robots/ant.xml");
    let model = RobotModel::from_text(ant, Path::new(".")).unwrap();
    let sensors = [SensorKind::Imu, SensorKind::Contacts, SensorKind::Range];
    let late = |kind| RobotSensor { noise: 0.1, latency: 2, ..RobotSensor::from(kind) };
    let robot = RobotTask { sensors: sensors.map(late).to_vec(), noise: 0.05, ..RobotTask::default() };
    TASKS.iter().copied().chain([robot.entry("robot/ant", model).unwrap()]).collect()
});

/// What environments of one task live through.
#[derive(Arbitrary, Clone, Debug)]
pub struct Life {
    /// Which task.
    pub task: u8,
    /// Whether ended lanes wait for a reset.
    pub by_hand: bool,
    /// Whether physics is drawn at each start.
    pub random: bool,
    /// Whether there are wrappers around them.
    pub wrapped: bool,
    /// In this order.
    pub operations: Vec<Operation>,
}

/// One thing that a caller does.
#[derive(Arbitrary, Clone, Debug)]
pub enum Operation {
    /// All lanes start anew.
    Reset {
        /// Of lane 0.
        seed: u64,
    },
    /// The wild lane starts anew, with this difficulty in units of 1/200 (above 1 is refused).
    ResetWild {
        /// None goes on with its random stream.
        seed: Option<u64>,
        /// See above.
        difficulty: u8,
    },
    /// All lanes are stepped with members of the action space.
    Step {
        /// Of the others, as a share of each element's range.
        share: u8,
        /// Of the wild lane, bound to bound from one element to the next if this is odd.
        wild: u8,
    },
    /// All lanes are stepped with this bit pattern in one element of the wild lane's action.
    StepBits {
        /// A float32, or the low half of an integer.
        bits: u32,
        /// Which element.
        element: u8,
    },
    /// The wild lane's state is kept.
    Save,
    /// What was kept is loaded into the wild lane.
    Load,
    /// The same with some bits changed, and a checksum that fits.
    Forge {
        /// Where and which bit, each.
        flips: Vec<(u16, u8)>,
        /// Also this many bytes taken off the end.
        cut: u8,
    },
    /// Any bytes are loaded.
    LoadBytes(Vec<u8>),
    /// The state of another task is loaded.
    LoadForeign(u8),
}

/// The wrappers that have states of their own, and one that draws physics.
fn wrap(env: TruthVectorEnv, ranges: &Randomisation) -> Box<dyn VectorEnv> {
    let env = DomainRandomisation::new(env, ranges.clone()).unwrap();
    let env = FrameStack::new(ActionRepeat::new(env, 2).unwrap(), 3).unwrap();
    Box::new(RecordEpisodeStatistics::new(TimeLimit::new(env, 20).unwrap()).unwrap())
}

/// Lives through `life`.
///
/// # Panics
/// If a promise of `VectorEnv` is broken.
pub fn live(life: &Life) {
    let entry = &ENTRIES[usize::from(life.task) % ENTRIES.len()];
    let mut world = Play::new(entry, life);
    for operation in &life.operations {
        if world.steps >= STEPS_MAX {
            break;
        }
        world.carry_out(operation);
        world.check();
    }
}

struct Play {
    entry: &'static TaskEntry,
    env: Box<dyn VectorEnv>,
    /// What lane 0 would be without neighbours.
    alone: Box<dyn VectorEnv>,
    wrapped: bool,
    kept: Option<Vec<u8>>,
    steps: usize,
    started: bool,
}

impl Play {
    fn new(entry: &'static TaskEntry, life: &Life) -> Self {
        let mode = if life.by_hand { AutoresetMode::Disabled } else { AutoresetMode::NextStep };
        let ranges = Randomisation { latency: [0, 3], ..Randomisation::moderate() };
        let make = |lanes| -> Box<dyn VectorEnv> {
            let mut env = TruthVectorEnv::new(entry, lanes, mode).unwrap();
            env.randomise(life.random.then(|| ranges.clone())).unwrap();
            if life.wrapped { wrap(env, &ranges) } else { Box::new(env) }
        };
        let (env, alone) = (make(LANES), make(1));
        Self { entry, env, alone, wrapped: life.wrapped, kept: None, steps: 0, started: false }
    }

    fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Reset { seed } => {
                self.env.reset_all(Some(*seed)).unwrap();
                self.alone.reset_all(Some(*seed)).unwrap();
                self.started = true;
            }
            Operation::ResetWild { seed, difficulty } => {
                let (mut mask, mut seeds) = ([false; LANES], [None; LANES]);
                (mask[WILD], seeds[WILD]) = (true, *seed);
                let difficulty = f32::from(*difficulty) / 200.0;
                let options = BTreeMap::from([("difficulty".to_owned(), difficulty)]);
                let set = self.env.set_options(&options, &mask);
                assert_eq!(set.is_ok(), difficulty <= 1.0, "{set:?}");
                self.env.reset(&seeds, &mask).unwrap();
            }
            Operation::Step { share, wild } => {
                let (tame, wild) = (self.action(*share, false), self.action(*wild, wild % 2 == 1));
                self.step(&tame, &wild);
            }
            Operation::StepBits { bits, element } => {
                let tame = self.action(128, false);
                let mut wild = tame.clone();
                let at = usize::from(*element) % wild.len();
                match &mut wild {
                    Buffer::F32(values) => values[at] = f32::from_bits(*bits),
                    Buffer::I64(values) => values[at] = i64::from(*bits),
                    Buffer::U8(_) | Buffer::U16(_) => {}
                }
                self.step(&tame, &wild);
            }
            Operation::Save => match self.env.save_lane(WILD) {
                Ok(state) => self.kept = Some(state),
                Err(error) => assert!(matches!(error, EnvError::NeedsReset { lane: WILD }), "{error}"),
            },
            Operation::Load => {
                if let Some(state) = self.kept.clone() {
                    self.env.load_lane(WILD, &state).unwrap();
                }
            }
            Operation::Forge { flips, cut } => {
                let Some(mut state) = self.kept.clone() else { return };
                if self.wrapped {
                    // Wrappers keep theirs behind the checksum.
                    let tail = state.len().min(256);
                    let len = state.len();
                    flips
                        .iter()
                        .for_each(|(at, bit)| state[len - 1 - usize::from(*at) % tail] ^= 1 << (bit % 8));
                    self.load_or_leave(&state);
                    return;
                }
                state.truncate(state.len() - 4 - usize::from(*cut).min(state.len() - 5));
                let len = state.len();
                flips.iter().for_each(|(at, bit)| state[usize::from(*at) % len] ^= 1 << (bit % 8));
                state.extend(crc32fast::hash(&state).to_le_bytes());
                self.load_or_leave(&state);
            }
            Operation::LoadBytes(bytes) => self.load_or_leave(bytes),
            Operation::LoadForeign(task) => {
                let other = &ENTRIES[usize::from(*task) % ENTRIES.len()];
                let mut env = TruthVectorEnv::new(other, 1, AutoresetMode::NextStep).unwrap();
                env.reset_all(Some(1)).unwrap();
                let state = env.save_lane(0).unwrap();
                let loaded = self.env.load_lane(WILD, &state);
                assert_eq!(loaded.is_ok(), other.id == self.entry.id && !self.wrapped, "{loaded:?}");
            }
        }
    }

    /// Loads what may be no state: it is taken, or nothing changes.
    fn load_or_leave(&mut self, state: &[u8]) {
        let before = self.env.save_lane(WILD).ok();
        match self.env.load_lane(WILD, state) {
            Ok(()) => {}
            Err(EnvError::State { .. }) => assert_eq!(self.env.save_lane(WILD).ok(), before),
            Err(other) => panic!("{other}"),
        }
    }

    /// A member of the action space.
    fn action(&self, share: u8, alternates: bool) -> Buffer {
        let share = f32::from(share) / 255.0;
        match (self.entry.action_space)() {
            Space::Box(space) => {
                let element = |i: usize| {
                    let (low, high) = space.bounds(i);
                    let share = if alternates && i % 2 == 1 { 1.0 - share } else { share };
                    (low + share * (high - low)).clamp(low, high)
                };
                Buffer::F32((0..space.shape.iter().product()).map(element).collect())
            }
            Space::Discrete { n, start } => Buffer::I64(vec![start + (share * (n - 1) as f32) as i64]),
            other => panic!("no task has actions of {other:?}"),
        }
    }

    fn step(&mut self, tame: &Buffer, wild: &Buffer) {
        self.steps += 1;
        let mut all = tame.clone();
        all.append(wild);
        all.append(tame);
        // Lanes whose episode is over may hold a step up; neighbours must not depend on that.
        let is_member = (self.entry.action_space)().check(wild, 1).is_ok();
        match self.env.step(&all, &[true; LANES]) {
            Ok(()) => {
                assert!(is_member && self.started, "{wild:?} was carried out");
                self.alone.step_all(tame).unwrap();
            }
            Err(EnvError::Action { .. }) => assert!(!is_member, "{wild:?} was refused"),
            Err(EnvError::NeedsReset { .. }) => assert!(is_member),
            Err(other) => panic!("{other}"),
        }
    }

    fn check(&self) {
        let batch = self.env.batch();
        let space = &self.env.spec().observation_space;
        // Before the first reset there are zeros, which need be no members.
        if self.started {
            space.check(&batch.observations, LANES).unwrap();
        }
        assert!(batch.rewards.iter().all(|reward| reward.is_finite()), "{:?}", batch.rewards);
        let (all, alone) = (batch.observations.as_f32().unwrap(), self.alone.batch());
        let own = alone.observations.as_f32().unwrap();
        assert_eq!(all[..own.len()], *own, "lane 0 has noticed its neighbours");
        assert_eq!(batch.rewards[0].to_bits(), alone.rewards[0].to_bits());
        assert_eq!((batch.terminated[0], batch.truncated[0]), (alone.terminated[0], alone.truncated[0]));
    }
}
