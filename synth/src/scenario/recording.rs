//! From a simulation and a behaviour to rows: what all scenarios share.

use rand::{RngExt as _, SeedableRng as _};
use worldstep_env::physics::World;
use worldstep_env::policy::{ClipPolicy, PolicyKind, PolicyMix};
use worldstep_env::{Buffer, Camera, Pose, Rng, Space, Velocity};

use super::{UnitKind, UnitRequest};
use crate::clips::{Link, Sensor, SynthError, Trajectory};

/// Most clips of one branch group.
const BRANCHES_MAX: usize = 64;
/// Attempts at a branch that does anything else than those before it.
const BRANCH_ATTEMPTS: usize = 16;

/// A world under way that takes actions.
pub(super) trait Simulation {
    /// Space of the actions.
    fn action_space(&self) -> &Space;
    /// The physics behind it.
    fn world(&self) -> &World;
    /// Appends the state observation.
    fn state(&self, out: &mut Vec<f32>);
    /// Appends the script's action.
    fn expert(&self, out: &mut Buffer);
    /// One control step.
    fn step(&mut self, action: &Buffer) -> Result<Stepped, SynthError>;
    /// Everything that the future depends on.
    fn save(&self) -> Result<Vec<u8>, SynthError>;
    /// Goes on from what [`save`](Self::save) gave.
    fn load(&mut self, bytes: &[u8]) -> Result<(), SynthError>;
}

/// What one control step gave.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stepped {
    pub reward: f32,
    pub terminated: bool,
    pub truncated: bool,
    pub success: bool,
}

impl Trajectory {
    /// A trajectory of `scenario` without rows.
    pub(super) fn begin(
        scenario: &str,
        request: &UnitRequest<'_>,
        policy: PolicyKind,
        fps: u32,
        world: &World,
    ) -> Self {
        let (mut physical, mut joints) = (Vec::new(), Vec::new());
        world.physical(&mut physical);
        world.joints(&mut joints);
        Self {
            scenario: scenario.to_owned(),
            seed: request.seed,
            policy: policy.name(),
            scene: world.scene().clone(),
            fps,
            len: 0,
            poses: Vec::new(),
            velocities: Vec::new(),
            soft_vertices: Vec::new(),
            cameras: Vec::new(),
            state: Vec::new(),
            action: Vec::new(),
            reward: Vec::new(),
            terminated: Vec::new(),
            truncated: Vec::new(),
            success: Vec::new(),
            visibility: Vec::new(),
            contacts: Vec::new(),
            forces: Vec::new(),
            events: Vec::new(),
            caption: String::new(),
            outcome: String::new(),
            parameters: std::collections::BTreeMap::new(),
            physical,
            gravity: world.gravity(),
            joints,
            sensor: Sensor::default(),
            link: Link::Single,
        }
    }
}

impl Trajectory {
    /// Takes back the world's state after the last row.
    pub(super) fn forget_last_world(&mut self) {
        fn shorten<T>(values: &mut Vec<T>, rows: usize) {
            values.truncate(values.len() / (rows + 1) * rows);
        }
        shorten(&mut self.poses, self.len);
        shorten(&mut self.velocities, self.len);
        shorten(&mut self.soft_vertices, self.len);
        shorten(&mut self.cameras, self.len);
    }
}

/// Records until the episode ends or `rows_max` rows are there, and the world's state after the last action.
pub(super) fn record(
    simulation: &mut dyn Simulation,
    policy: &mut ClipPolicy,
    trajectory: &mut Trajectory,
    rows_max: usize,
) -> Result<(), SynthError> {
    if trajectory.poses.is_empty() {
        push_world(simulation.world(), trajectory);
    }
    while trajectory.len < rows_max && !ended(trajectory) {
        let space = simulation.action_space().clone();
        simulation.state(&mut trajectory.state);
        let mut action = Buffer::empty(space.dtype());
        policy.decide(&space, &mut |out| simulation.expert(out), &mut action);
        push_action(&action, &mut trajectory.action);
        let stepped = simulation.step(&action)?;
        trajectory.reward.push(stepped.reward);
        trajectory.terminated.push(stepped.terminated);
        trajectory.truncated.push(stepped.truncated);
        trajectory.success.push(stepped.success);
        push_doings(simulation.world(), trajectory);
        trajectory.len += 1;
        push_world(simulation.world(), trajectory);
    }
    Ok(())
}

fn ended(trajectory: &Trajectory) -> bool {
    trajectory.terminated.last() == Some(&true) || trajectory.truncated.last() == Some(&true)
}

pub(super) fn push_world(world: &World, trajectory: &mut Trajectory) {
    let (mut poses, mut velocities): (Vec<Pose>, Vec<Velocity>) = Default::default();
    world.poses(&mut poses);
    world.velocities(&mut velocities);
    let mut corners = Vec::new();
    world.soft_vertices(&mut corners);
    let mut cameras: Vec<Camera> = Vec::new();
    let time_s = trajectory.len as f32 / trajectory.fps as f32;
    trajectory.scene.cameras_at(time_s, &poses, &mut cameras);
    trajectory.poses.extend(poses);
    trajectory.velocities.extend(velocities);
    trajectory.soft_vertices.extend(corners);
    trajectory.cameras.extend(cameras);
}

/// What the step under way did: contacts and forces.
fn push_doings(world: &World, trajectory: &mut Trajectory) {
    let frame = trajectory.len as u32;
    trajectory.contacts.extend(world.contacts().iter().map(|contact| (frame, *contact)));
    trajectory.forces.extend(world.forces().iter().map(|force| (frame, *force)));
}

fn push_action(action: &Buffer, out: &mut Vec<f32>) {
    match action {
        Buffer::F32(values) => out.extend(values),
        Buffer::I64(values) => out.extend(values.iter().map(|value| *value as f32)),
        Buffer::U8(values) => out.extend(values.iter().map(|value| f32::from(*value))),
        Buffer::U16(values) => out.extend(values.iter().map(|value| f32::from(*value))),
    }
}

/// A number that belongs to `seed` and `label` alone.
pub(super) fn derived_seed(seed: u64, label: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(label.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

/// What a scenario must give so that units can be made of it.
pub(super) trait Source {
    /// A fresh simulation of `seed`, with a trajectory that holds all but rows.
    fn start(&self, policy: PolicyKind) -> Result<(Box<dyn Simulation>, Trajectory), SynthError>;
    /// What behaviours and branches are drawn from.
    fn seed(&self) -> u64;
    /// Behaviours of the scenario's clips.
    fn mix(&self) -> PolicyMix;
    /// Most rows.
    fn rows_max(&self) -> usize;
}

/// A single clip or a group of branches.
pub(super) fn unit(source: &dyn Source, request: &UnitRequest<'_>) -> Result<Vec<Trajectory>, SynthError> {
    match request.kind {
        UnitKind::Branches(count) => branches(source, count),
        UnitKind::Single | UnitKind::Pair => Ok(vec![clip(source)?]),
    }
}

fn clip(source: &dyn Source) -> Result<Trajectory, SynthError> {
    let mut policy = ClipPolicy::new(&source.mix(), source.seed());
    let (mut simulation, mut trajectory) = source.start(policy.kind())?;
    record(simulation.as_mut(), &mut policy, &mut trajectory, source.rows_max())?;
    Ok(trajectory)
}

/// One snapshot, several behaviours, several futures; the snapshot goes through bytes.
fn branches(source: &dyn Source, count: usize) -> Result<Vec<Trajectory>, SynthError> {
    if !(2..=BRANCHES_MAX).contains(&count) {
        let message = format!("a branch group of {count} clips, expected 2 to {BRANCHES_MAX}");
        return Err(SynthError::Options { message });
    }
    let seed = source.seed();
    let parent = clip(source)?;
    let frame = branch_frame(seed, parent.len);
    let mut policy = ClipPolicy::new(&source.mix(), seed);
    let base = policy.kind();
    let (mut simulation, mut shared) = source.start(base)?;
    record(simulation.as_mut(), &mut policy, &mut shared, frame)?;
    let snapshot = simulation.save()?;
    let mut clips = vec![parent];
    for member in 1..count {
        for attempt in 0..BRANCH_ATTEMPTS {
            let (kind, label) = match attempt {
                0 => (branch_kind(base, member), format!("branch {member}")),
                // Two scripts, or an expert whose noise never spoke, do the same: only chance surely does not.
                _ => (PolicyKind::Random, format!("branch {member} attempt {attempt}")),
            };
            let mut policy = ClipPolicy::of_kind(kind, Rng::seed_from_u64(derived_seed(seed, &label)));
            simulation.load(&snapshot)?;
            let mut trajectory = Trajectory { policy: kind.name(), ..shared.clone() };
            record(simulation.as_mut(), &mut policy, &mut trajectory, source.rows_max())?;
            if clips.iter().all(|other| other.action != trajectory.action) {
                clips.push(trajectory);
                break;
            }
        }
        if clips.len() == member {
            let message = format!("branch {member} from row {frame} does what another does");
            return Err(SynthError::Scenario { scenario: shared.scenario, seed: shared.seed, message });
        }
    }
    link_branches(&mut clips, frame);
    Ok(clips)
}

/// Each branch parts where its action first differs from the parent's, at `frame` or later.
fn link_branches(clips: &mut [Trajectory], frame: usize) {
    let Some((parent, branches)) = clips.split_first_mut() else { return };
    parent.link = Link::Branch { member: 0, frame: frame as u32 };
    let width = parent.action.len() / parent.len.max(1);
    for (i, clip) in branches.iter_mut().enumerate() {
        let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
        let first = clip.action.iter().zip(&parent.action).position(differs).map(|at| at / width);
        clip.link = Link::Branch { member: i + 1, frame: first.unwrap_or(frame) as u32 };
    }
}

/// Somewhere in the middle third.
fn branch_frame(seed: u64, len: usize) -> usize {
    let mut rng = Rng::seed_from_u64(derived_seed(seed, "branch frame"));
    rng.random_range(len / 3..=(2 * len / 3).max(len / 3))
}

/// Behaviours other than the parent's first; then those that differ from member to member.
fn branch_kind(base: PolicyKind, member: usize) -> PolicyKind {
    const ONCE: [PolicyKind; 2] = [PolicyKind::Noop, PolicyKind::Scripted];
    let once: Vec<_> = ONCE.into_iter().filter(|kind| *kind != base).collect();
    match (once.get(member / 2), member % 2) {
        (Some(kind), 0) => *kind,
        _ if member % 3 == 2 => PolicyKind::NoisyExpert,
        _ => PolicyKind::Random,
    }
}
