//! Does an engine keep the promises of [`VectorEnv`]? One checker for truth, pixels and dream, after Gymnasium's
//! `check_env`.

mod row;

use rand::SeedableRng as _;
use thiserror::Error;

use crate::{AutoresetMode, Buffer, EnvError, Rng, Space, VectorEnv};
use row::Row;

/// Makes the engine to be checked with so many lanes and this autoreset mode.
pub type Factory<'a> = dyn FnMut(usize, AutoresetMode) -> Result<Box<dyn VectorEnv>, EnvError> + 'a;

/// How long and how strictly to check.
#[derive(Clone, Copy, Debug)]
pub struct CheckConfig {
    /// Lanes of the vector; at least 2. Default 3.
    pub lanes: usize,
    /// Steps of each compared rollout. Default 40.
    pub steps: usize,
    /// Seed of lane 0 and of the actions. Default 7.
    pub seed: u64,
    /// Largest difference of an observation or reward between a lane and the same environment alone. Default 0 (equal
    /// to the last bit); an engine whose sums depend on the batch size needs more.
    pub lane_tolerance: f32,
}

impl Default for CheckConfig {
    fn default() -> Self {
        Self { lanes: 3, steps: 40, seed: 7, lane_tolerance: 0.0 }
    }
}

/// A promise of [`VectorEnv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Observations are in the space, rewards are numbers, arrays have one row a lane.
    Spaces,
    /// Nothing can be stepped before its first reset.
    ResetFirst,
    /// The same seeds and actions give the same bits.
    Determinism,
    /// A lane does not depend on its neighbours or on their number.
    LaneIndependence,
    /// In [`AutoresetMode::NextStep`] the step after the end resets and returns reward 0 and no flag.
    NextStep,
    /// In [`AutoresetMode::Disabled`] an ended lane cannot be stepped until it is reset.
    Disabled,
    /// An episode is over after `max_episode_steps` at the latest.
    TimeLimit,
    /// A malformed call is refused with the documented error and changes nothing.
    Refusal,
    /// Lanes outside the mask keep everything.
    Mask,
    /// A rollout after `load_lane` is the rollout that would have been.
    SaveLoad,
}

/// Why an engine does not pass.
#[derive(Debug, Error)]
pub enum CheckError {
    /// A call that has to work did not.
    #[error("a valid call failed: {0}")]
    Env(#[from] EnvError),
    /// A promise was broken.
    #[error("{rule:?} is broken: {message}")]
    Broken {
        /// Which promise.
        rule: Rule,
        /// Where, and by which value.
        message: String,
    },
}

fn broken<T>(rule: Rule, message: impl Into<String>) -> Result<T, CheckError> {
    Err(CheckError::Broken { rule, message: message.into() })
}

/// Runs every check with the default [`CheckConfig`].
///
/// # Errors
/// As [`check_env_with`].
pub fn check_env(make: &mut Factory<'_>) -> Result<(), CheckError> {
    check_env_with(make, &CheckConfig::default())
}

/// Runs every check.
///
/// # Errors
/// [`CheckError`] names the first broken rule, or the error of a call that must not fail.
pub fn check_env_with(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    check_reset_first(make, config)?;
    check_determinism(make, config)?;
    check_lanes(make, config)?;
    check_next_step(make, config)?;
    check_disabled(make, config)?;
    check_refusals(make, config)?;
    check_mask(make, config)?;
    check_save_load(make, config)
}

/// The actions of a rollout; lane `i`'s do not depend on the number of lanes.
struct Actions {
    space: Space,
    rngs: Vec<Rng>,
}

impl Actions {
    fn new(env: &dyn VectorEnv, seed: u64, first_lane: usize) -> Self {
        let lanes = first_lane..first_lane + env.num_envs();
        let rngs = lanes.map(|lane| Rng::seed_from_u64(seed ^ (lane as u64 + 1) << 32)).collect();
        Self { space: env.spec().action_space.clone(), rngs }
    }

    fn next(&mut self) -> Buffer {
        let mut out = Buffer::empty(self.space.dtype());
        self.rngs.iter_mut().for_each(|rng| self.space.sample(rng, &mut out));
        out
    }
}

fn check_rows(env: &dyn VectorEnv) -> Result<(), CheckError> {
    let (batch, lanes, space) = (env.batch(), env.num_envs(), &env.spec().observation_space);
    if let Err(error) = space.check(&batch.observations, lanes) {
        return broken(Rule::Spaces, format!("observations: {error}"));
    }
    let lens = [batch.rewards.len(), batch.terminated.len(), batch.truncated.len()];
    if lens != [lanes; 3] {
        return broken(Rule::Spaces, format!("reward and flag arrays have {lens:?} rows, expected {lanes}"));
    }
    if let Some(lane) = batch.rewards.iter().position(|reward| !reward.is_finite()) {
        return broken(Rule::Spaces, format!("reward of lane {lane} is {}", batch.rewards[lane]));
    }
    match batch.info.iter().find(|column| column.values.len() != lanes || column.mask.len() != lanes) {
        Some(column) => broken(Rule::Spaces, format!("info {:?} has not {lanes} rows", column.name)),
        None => Ok(()),
    }
}

/// Rows of every lane after a reset with `seed` and after each of `steps` random steps.
fn rollout(
    env: &mut dyn VectorEnv,
    seed: u64,
    first_lane: usize,
    steps: usize,
) -> Result<Vec<Vec<Row>>, CheckError> {
    let mut actions = Actions::new(env, seed, first_lane);
    env.reset_all(Some(seed.wrapping_add(first_lane as u64)))?;
    check_rows(env)?;
    let mut rows = vec![Row::all(env)];
    for _ in 0..steps {
        env.step_all(&actions.next())?;
        check_rows(env)?;
        rows.push(Row::all(env));
    }
    Ok(rows)
}

fn check_reset_first(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    match env.step_all(&actions.next()) {
        Err(EnvError::NeedsReset { .. }) => Ok(()),
        other => broken(Rule::ResetFirst, format!("step before reset gave {other:?}, expected NeedsReset")),
    }
}

fn check_determinism(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let first = rollout(env.as_mut(), config.seed, 0, config.steps)?;
    let again = rollout(env.as_mut(), config.seed, 0, config.steps)?;
    let mut other = make(config.lanes, AutoresetMode::NextStep)?;
    let fresh = rollout(other.as_mut(), config.seed, 0, config.steps)?;
    for (what, rows) in [("after a second reset", &again), ("in a second instance", &fresh)] {
        for (t, (a, b)) in first.iter().zip(rows).enumerate() {
            for (lane, (a, b)) in a.iter().zip(b).enumerate() {
                if let Some(difference) = a.difference(b, 0.0) {
                    let message = format!("lane {lane} step {t} {what}: {difference}");
                    return broken(Rule::Determinism, message);
                }
            }
        }
    }
    Ok(())
}

fn check_lanes(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let together = rollout(env.as_mut(), config.seed, 0, config.steps)?;
    for lane in 0..config.lanes {
        let mut single = make(1, AutoresetMode::NextStep)?;
        // The actions are seeded alike; the environment gets the lane's own seed.
        let mut actions = Actions::new(single.as_ref(), config.seed, lane);
        single.reset_all(Some(config.seed.wrapping_add(lane as u64)))?;
        for (t, rows) in together.iter().enumerate() {
            if t > 0 {
                single.step_all(&actions.next())?;
            }
            let alone = Row::of(single.as_ref(), 0);
            if let Some(difference) = rows[lane].difference(&alone, config.lane_tolerance) {
                let message = format!("lane {lane} differs from the same alone at step {t}: {difference}");
                return broken(Rule::LaneIndependence, message);
            }
        }
    }
    Ok(())
}

/// Steps with random actions until some lane's episode is over; gives that lane.
fn run_to_end(env: &mut dyn VectorEnv, actions: &mut Actions) -> Result<usize, CheckError> {
    let limit = env.spec().max_episode_steps;
    for _ in 0..limit {
        env.step_all(&actions.next())?;
        if let Some(lane) = (0..env.num_envs()).find(|lane| env.batch().done(*lane)) {
            return Ok(lane);
        }
    }
    broken(Rule::TimeLimit, format!("no episode was over after max_episode_steps = {limit} steps"))
}

fn check_next_step(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    env.reset_all(Some(config.seed))?;
    let lane = run_to_end(env.as_mut(), &mut actions)?;
    env.step_all(&actions.next())?;
    check_rows(env.as_ref())?;
    let batch = env.batch();
    if batch.rewards[lane] != 0.0 || batch.done(lane) {
        let message = format!(
            "the step after the end of lane {lane} gave reward {}, terminated {}, truncated {}",
            batch.rewards[lane], batch.terminated[lane], batch.truncated[lane]
        );
        return broken(Rule::NextStep, message);
    }
    env.step_all(&actions.next())?;
    check_rows(env.as_ref())
}

fn check_disabled(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::Disabled)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    env.reset_all(Some(config.seed))?;
    let lane = run_to_end(env.as_mut(), &mut actions)?;
    let before = Row::all(env.as_ref());
    let result = env.step_all(&actions.next());
    if !matches!(result, Err(EnvError::NeedsReset { .. })) {
        return broken(Rule::Disabled, format!("step on ended lane {lane} gave {result:?}"));
    }
    if Row::all(env.as_ref()) != before {
        return broken(Rule::Disabled, "the refused step changed the batch");
    }
    let ended: Vec<_> = (0..config.lanes).map(|lane| env.batch().done(lane)).collect();
    env.reset(&vec![None; config.lanes], &ended)?;
    if (0..config.lanes).any(|lane| env.batch().done(lane)) {
        return broken(Rule::Disabled, "flags of a lane stay set after its reset");
    }
    Ok(env.step_all(&actions.next())?)
}

/// Actions that must be refused, with what is wrong with them.
fn bad_actions(space: &Space, lanes: usize, good: &Buffer) -> Vec<(&'static str, Buffer)> {
    let mut short = good.clone();
    let mut bad = Vec::new();
    match (&mut short, good) {
        (Buffer::F32(short), Buffer::F32(good)) => {
            short.pop();
            for (what, value) in [("NaN", f32::NAN), ("infinity", f32::INFINITY)] {
                let mut values = good.clone();
                if let Some(last) = values.last_mut() {
                    *last = value;
                }
                bad.push((what, Buffer::F32(values)));
            }
            bad.push(("wrong element type", Buffer::I64(vec![0; lanes * space.flat_len()])));
        }
        (Buffer::I64(short), Buffer::I64(good)) => {
            short.pop();
            let mut values = good.clone();
            if let Some(last) = values.last_mut() {
                *last = i64::MAX;
            }
            bad.push(("value out of range", Buffer::I64(values)));
            bad.push(("wrong element type", Buffer::F32(vec![f32::NAN; lanes * space.flat_len()])));
        }
        _ => {}
    }
    bad.push(("too few values", short));
    bad
}

fn check_refusals(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let lanes = config.lanes;
    let mut env = make(lanes, AutoresetMode::NextStep)?;
    let mut twin = make(lanes, AutoresetMode::NextStep)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    env.reset_all(Some(config.seed))?;
    twin.reset_all(Some(config.seed))?;
    for (what, bad) in bad_actions(&env.spec().action_space.clone(), lanes, &actions.next()) {
        match env.step_all(&bad) {
            Err(EnvError::Action { .. }) => {}
            other => return broken(Rule::Refusal, format!("action with {what} gave {other:?}")),
        }
    }
    let all = vec![true; lanes];
    let seeds = vec![None; lanes];
    let calls = [
        ("a short step mask", env.step(&actions.next(), &all[1..])),
        ("a short reset mask", env.reset(&seeds, &all[1..])),
        ("too few seeds", env.reset(&seeds[1..], &all)),
        ("save of a lane that is not there", env.save_lane(lanes).map(drop)),
        ("load into a lane that is not there", env.load_lane(lanes, &[])),
    ];
    for (what, result) in calls {
        if !matches!(result, Err(EnvError::Argument { .. })) {
            return broken(Rule::Refusal, format!("{what} gave {result:?}, expected Argument"));
        }
    }
    let garbage = env.load_lane(0, b"no state at all");
    if !matches!(garbage, Err(EnvError::State { .. })) {
        return broken(Rule::Refusal, format!("loading garbage gave {garbage:?}, expected State"));
    }
    let action = actions.next();
    env.step_all(&action)?;
    twin.step_all(&action)?;
    if Row::all(env.as_ref()) != Row::all(twin.as_ref()) {
        return broken(Rule::Refusal, "a refused call changed the environment");
    }
    Ok(())
}

fn check_mask(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let mut twin = make(config.lanes, AutoresetMode::NextStep)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    env.reset_all(Some(config.seed))?;
    twin.reset_all(Some(config.seed))?;
    let first = actions.next();
    env.step_all(&first)?;
    twin.step_all(&first)?;
    let before = Row::all(env.as_ref());
    let mut mask = vec![false; config.lanes];
    mask[0] = true;
    env.step(&actions.next(), &mask)?;
    env.reset(&vec![Some(config.seed + 1_000); config.lanes], &mask)?;
    if Row::all(env.as_ref())[1..] != before[1..] {
        return broken(Rule::Mask, "a masked step or reset changed the rows of other lanes");
    }
    let action = actions.next();
    env.step_all(&action)?;
    twin.step_all(&action)?;
    if Row::all(env.as_ref())[1..] != Row::all(twin.as_ref())[1..] {
        return broken(Rule::Mask, "a masked step or reset changed the future of other lanes");
    }
    Ok(())
}

fn check_save_load(make: &mut Factory<'_>, config: &CheckConfig) -> Result<(), CheckError> {
    let mut env = make(config.lanes, AutoresetMode::NextStep)?;
    let mut actions = Actions::new(env.as_ref(), config.seed, 0);
    env.reset_all(Some(config.seed))?;
    for _ in 0..config.steps / 4 {
        env.step_all(&actions.next())?;
    }
    let saved = (0..config.lanes).map(|lane| env.save_lane(lane)).collect::<Result<Vec<_>, _>>()?;
    let here = Row::all(env.as_ref());
    let script: Vec<_> = (0..config.steps).map(|_| actions.next()).collect();
    let mut expected = Vec::new();
    for action in &script {
        env.step_all(action)?;
        expected.push(Row::all(env.as_ref()));
    }
    let fresh = make(config.lanes, AutoresetMode::NextStep)?;
    for (what, mut env) in [("in the same instance", env), ("in a fresh instance", fresh)] {
        for (lane, bytes) in saved.iter().enumerate() {
            env.load_lane(lane, bytes)?;
            if Row::of(env.as_ref(), lane).observation != here[lane].observation {
                let message =
                    format!("the observation of lane {lane} after load {what} is not the saved one");
                return broken(Rule::SaveLoad, message);
            }
        }
        for (t, (action, expected)) in script.iter().zip(&expected).enumerate() {
            env.step_all(action)?;
            for (lane, (row, expected)) in Row::all(env.as_ref()).iter().zip(expected).enumerate() {
                if let Some(difference) = row.difference(expected, 0.0) {
                    let message = format!("lane {lane}, {t} steps after load {what}: {difference}");
                    return broken(Rule::SaveLoad, message);
                }
            }
        }
    }
    Ok(())
}
