//! Possible clips and their impossible twins: the same up to one row, in which something breaks its physics.

use nalgebra::Vector3;
use rand::RngExt as _;
use rapier3d::prelude::{
    Group, InteractionGroups, InteractionTestMode, RigidBodyHandle, RigidBodyType, Vector,
};
use worldstep_env::Camera;
use worldstep_env::policy::ClipPolicy;

use super::FamilySource;
use super::build::bounding_radius;
use super::file::{ViolationFile, ViolationKind};
use super::play::Play;
use crate::annotate::{Ray, RayCaster, vector};
use crate::clips::{Link, SynthError, Trajectory};
use crate::scenario::UnitRequest;
use crate::scenario::range::Draws;
use crate::scenario::recording::{Simulation as _, Source as _, derived_seed, push_world, record};

/// Worlds that are tried until one has a row in which the violation fits.
const WORLDS_MAX: u64 = 200;
/// Where what has vanished is kept, metres.
const AWAY_Z: f32 = -100.0;
/// Points of an outline that must be hidden.
const OUTLINE: usize = 16;

impl ViolationKind {
    /// Name in datasets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vanish => "vanish",
            Self::PassThrough => "pass_through",
            Self::Swap => "swap",
        }
    }
}

impl ViolationFile {
    /// Says which key is missing, if one is.
    pub fn check(&self) -> Result<(), String> {
        let needed: &[(&str, bool)] = match self.kind {
            ViolationKind::Vanish => &[("behind", !self.behind.is_empty())],
            ViolationKind::PassThrough => &[("with", self.with.is_some())],
            ViolationKind::Swap => &[("behind", !self.behind.is_empty()), ("with", self.with.is_some())],
        };
        match needed.iter().find(|(_, given)| !given) {
            Some((key, _)) => Err(format!("violations.{}: `{key}` is missing", self.kind.name())),
            None => Ok(()),
        }
    }
}

/// Whether `family` has impossible twins.
pub(super) fn check(family: &super::Family) -> Result<(), SynthError> {
    if !family.file.violations.is_empty() {
        return Ok(());
    }
    let having: Vec<_> = super::Family::built_in()?
        .iter()
        .filter(|family| family.violations().next().is_some())
        .map(|family| family.name().to_owned())
        .collect();
    let message = format!("{} has no impossible twins; {} have", family.name(), having.join(", "));
    Err(SynthError::Options { message })
}

/// A possible clip and its impossible twin. If the seed's own world gives no chance, those that follow from it are tried.
pub(super) fn pair(source: &FamilySource<'_>) -> Result<Vec<Trajectory>, SynthError> {
    let family = &source.family;
    let seed = source.request.seed;
    for attempt in 0..WORLDS_MAX {
        let world = if attempt == 0 { seed } else { derived_seed(seed, &format!("pair {attempt}")) };
        let request = UnitRequest { seed: world, ..source.request };
        let attempted = FamilySource { family: family.clone(), request };
        if let Some(mut clips) = pair_of_world(&attempted)? {
            for clip in &mut clips {
                // What is gone has no place that an outcome could be told from.
                if !matches!(clip.link, Link::Violation { kind: Some("vanish"), .. }) {
                    attempted.conclude(clip)?;
                }
                clip.seed = seed;
                clip.parameters.insert("pair.world".to_owned(), attempt as f64);
            }
            return Ok(clips);
        }
    }
    let message = format!(
        "none of {WORLDS_MAX} worlds of {} from seed {seed} gives an impossible twin a chance",
        family.name()
    );
    Err(SynthError::Options { message })
}

fn pair_of_world(source: &FamilySource<'_>) -> Result<Option<Vec<Trajectory>>, SynthError> {
    let seed = source.seed();
    let mut stream = Draws::new(seed).stream("violation");
    let violations = &source.family.file.violations;
    let violation = &violations[stream.random_range(0..violations.len())];
    let mut policy = ClipPolicy::new(&source.mix(), seed);
    let (mut play, mut possible) = source.begin(policy.kind())?;
    record(&mut play, &mut policy, &mut possible, source.rows_max())?;
    let rows = chances(violation, &play, &possible);
    if rows.is_empty() {
        return Ok(None);
    }
    let frame = rows[stream.random_range(0..rows.len())];
    let mut policy = ClipPolicy::new(&source.mix(), seed);
    let (mut play, mut impossible) = source.begin(policy.kind())?;
    record(&mut play, &mut policy, &mut impossible, frame)?;
    let snapshot = play.save()?;
    play.load(&snapshot)?;
    violate(violation, &mut play);
    impossible.forget_last_world();
    push_world(play.world(), &mut impossible);
    record(&mut play, &mut policy, &mut impossible, source.rows_max())?;
    let (kind, frame) = (violation.kind.name(), frame as u32);
    possible.link = Link::Violation { kind: None, frame };
    impossible.link = Link::Violation { kind: Some(kind), frame };
    Ok(Some(vec![possible, impossible]))
}

/// Rows in which the violation would go unseen until its effects show.
fn chances(violation: &ViolationFile, play: &Play, clip: &Trajectory) -> Vec<usize> {
    let at = |name: &String| play.names().bodies.get(name).copied();
    let screens: Vec<usize> = violation.behind.iter().filter_map(at).collect();
    let (Some(body), with) = (at(&violation.body), violation.with.as_ref().and_then(at)) else {
        return Vec::new();
    };
    let mut lookout = Lookout::new(clip, &screens);
    // A twin that stays where nobody looks would be no violation: it must be due to come out again.
    let due = clip.len.saturating_sub(clip.fps as usize / 4);
    let mut hidden = |body: usize| -> Vec<bool> {
        let comes_out = !lookout.is_hidden(due, body);
        (0..clip.len).map(|t| comes_out && lookout.is_hidden(t, body)).collect()
    };
    // Something must be left to see afterwards.
    let rows = 1..clip.len.saturating_sub(clip.fps as usize / 2);
    match (violation.kind, with) {
        (ViolationKind::Vanish, _) => {
            let hidden = hidden(body);
            rows.filter(|t| hidden[*t]).collect()
        }
        (ViolationKind::Swap, Some(other)) => {
            let (hidden, other_hidden) = (hidden(body), hidden(other));
            rows.filter(|t| hidden[*t] && other_hidden[*t]).collect()
        }
        (ViolationKind::PassThrough, Some(wall)) => {
            let ids = [body as u16 + 1, wall as u16 + 1];
            let meets = |a: u16, b: u16| [a, b] == ids || [b, a] == ids;
            let first = clip.contacts.iter().find(|(_, contact)| meets(contact.a, contact.b));
            first.map(|(frame, _)| *frame as usize).filter(|t| rows.contains(t)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn violate(violation: &ViolationFile, play: &mut Play) {
    let handle = |name: &String| play.names().bodies.get(name).map(|position| play.built.handles[*position]);
    let Some(body) = handle(&violation.body) else { return };
    let with = violation.with.as_ref().and_then(handle);
    let world = &mut play.built.world;
    match (violation.kind, with) {
        (ViolationKind::Vanish, _) => {
            let body = world.body_mut(body);
            body.set_translation(Vector::new(0.0, 0.0, AWAY_Z), true);
            body.set_linvel(Vector::ZERO, true);
            body.set_angvel(Vector::ZERO, true);
            body.set_body_type(RigidBodyType::Fixed, true);
        }
        (ViolationKind::Swap, Some(other)) => {
            let (a, b) = (state(world.body(body)), state(world.body(other)));
            set_state(world.body_mut(body), b);
            set_state(world.body_mut(other), a);
        }
        (ViolationKind::PassThrough, Some(wall)) => {
            ignore_each_other(world, body, wall);
        }
        _ => {}
    }
}

type State = (rapier3d::math::Pose, Vector, Vector);

fn state(body: &rapier3d::prelude::RigidBody) -> State {
    (*body.position(), body.linvel(), body.angvel())
}

fn set_state(body: &mut rapier3d::prelude::RigidBody, (pose, linear, angular): State) {
    body.set_position(pose, true);
    body.set_linvel(linear, true);
    body.set_angvel(angular, true);
}

/// Makes two bodies go through each other and nothing else.
fn ignore_each_other(
    world: &mut worldstep_env::physics::World,
    body: RigidBodyHandle,
    wall: RigidBodyHandle,
) {
    let ghost = InteractionGroups::new(Group::GROUP_32, Group::ALL, InteractionTestMode::And);
    let rest = InteractionGroups::new(Group::ALL, Group::ALL ^ Group::GROUP_32, InteractionTestMode::And);
    world.set_collision_groups(body, ghost);
    world.set_collision_groups(wall, rest);
}

/// Looks from the main camera for what some bodies hide.
struct Lookout<'a> {
    clip: &'a Trajectory,
    screens: &'a [usize],
    caster: RayCaster,
}

impl<'a> Lookout<'a> {
    fn new(clip: &'a Trajectory, screens: &'a [usize]) -> Self {
        let caster = RayCaster::new(&clip.scene, clip.poses_at(0), clip.soft_at(0));
        Self { clip, screens, caster }
    }

    /// Whether nothing of `body` is seen in row `t`, for the screens are before all of its outline.
    fn is_hidden(&mut self, t: usize, body: usize) -> bool {
        let (scene, poses) = (&self.clip.scene, self.clip.poses_at(t));
        self.caster.update(scene, poses, self.clip.soft_at(t));
        let camera = &self.clip.cameras_at(t)[0];
        let radius = 1.05 * bounding_radius(&scene.instances[body].shape, &scene.meshes);
        let outline = outline(camera, poses[body].position, radius);
        let origin = vector(camera.position);
        outline.iter().all(|point| {
            let ray = Ray { origin, direction: vector(*point) - origin };
            let before =
                |screen: &usize| self.caster.cast_one(*screen, &ray).is_some_and(|hit| hit.depth < 1.0);
            self.screens.iter().any(before)
        })
    }
}

/// The middle of a sphere and points on its rim as the camera sees it.
fn outline(camera: &Camera, center: [f32; 3], radius: f32) -> Vec<[f32; 3]> {
    let (eye, center) = (Vector3::from(camera.position), Vector3::from(center));
    let view = (center - eye).normalize();
    let right = view.cross(&Vector3::from(camera.up)).normalize();
    let up = right.cross(&view);
    let rim = (0..OUTLINE).map(|i| {
        let angle = std::f32::consts::TAU * i as f32 / OUTLINE as f32;
        center + (right * libm::cosf(angle) + up * libm::sinf(angle)) * radius
    });
    std::iter::once(center).chain(rim).map(Into::into).collect()
}
