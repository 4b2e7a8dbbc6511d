use rapier3d::prelude::*;

use super::friction_balance::{Touch, balance_friction};
use super::soft::{SoftBodySlot, mean_velocity};
use crate::record::{AppliedForce, Contact};

/// Solves the same number of points of a manifold as Rapier's constraints do.
const SOLVED_POINTS_MAX: usize = 4;
/// Impulse below which a touch is none, N·s.
const IMPULSE_MIN: f32 = 1e-6;
/// How near a soft surface must be to something to touch it, beyond its thickness; metres.
const SOFT_REACH: f32 = 0.004;
/// As [`UNLOADED`], for soft bodies, whose points often carry an impulse that Rapier does not tell.
const SOFT_UNLOADED: f32 = 1e-6;
/// Weight of a point without any load, so that a mean over unloaded points is one.
const UNLOADED: f32 = 1e-12;

/// Adds up what happens in a control step's substeps.
///
/// Rapier writes each point's normal impulse of the whole physics step back to its manifold, all solver iterations and
/// restitution included. Of friction it keeps what the last solver iteration ended on, from which
/// [`balance_friction`] recovers the whole. (Rapier's other friction model reports all of it, but brakes a sliding box
/// 6 % less than Coulomb's law.)
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) contacts: Vec<Contact>,
    pub(super) forces: Vec<AppliedForce>,
    /// Substeps recorded of the present control step.
    substep: u32,
    sums: Vec<Sum>,
    touches: Vec<Touch>,
    /// Velocity of each body before the substep, in the scene's order.
    before: Vec<Vector>,
}

/// The part of a world that is recorded.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub physics: &'a PhysicsWorld,
    /// In the scene's order; a soft body's is Rapier's stand-in for it.
    pub bodies: &'a [RigidBodyHandle],
    pub soft: &'a [SoftBodySlot],
    pub substeps: u32,
}

impl Scope<'_> {
    /// The soft body that an instance is, if it is one.
    pub(super) fn soft_at(&self, instance: usize) -> Option<&SoftBody> {
        let slot = self.soft.iter().find(|slot| slot.instance == instance)?;
        self.physics.soft_bodies.get(slot.handle)
    }

    /// Speed of the body that a collider belongs to, the greatest of its particles if it is soft; m/s.
    fn speed_of(&self, collider: &Collider) -> f32 {
        let body = collider.parent().and_then(|parent| self.physics.bodies.get(parent));
        let instance = body.map_or(0, |body| body.user_data as usize).checked_sub(1);
        let speed = |soft: &SoftBody| {
            soft.particle_velocities().map(|velocity| velocity.length()).fold(0.0, f32::max)
        };
        let soft = instance.and_then(|instance| self.soft_at(instance)).map(speed);
        soft.unwrap_or_else(|| body.map_or(0.0, |body| body.linvel().length()))
    }

    fn is_soft(&self, id: u16) -> bool {
        self.soft.iter().any(|slot| slot.instance + 1 == id as usize)
    }
}

/// What a pair of bodies did to each other so far.
struct Sum {
    ids: (u16, u16),
    impulse: Vector,
    point: Vector,
    normal: Vector,
    weight: f32,
    penetration: f32,
}

impl Recorder {
    /// Notes what the coming substep starts from.
    pub(super) fn before_substep(&mut self, scope: &Scope<'_>) {
        if self.substep >= scope.substeps {
            self.substep = 0;
        }
        if self.substep == 0 {
            self.contacts.clear();
            self.forces.clear();
            self.sums.clear();
        }
        self.before.clear();
        self.before.extend(scope.bodies.iter().enumerate().map(|(i, handle)| {
            scope.soft_at(i).map_or_else(|| scope.physics.bodies[*handle].linvel(), mean_velocity)
        }));
        self.record_body_forces(scope);
    }

    /// Adds what the substep did.
    pub(super) fn after_substep(&mut self, scope: &Scope<'_>) {
        self.touches.clear();
        for pair in scope.physics.narrow_phase.contact_pairs() {
            read_pair(scope, pair, &mut self.touches);
        }
        balance_friction(scope, &self.before, &mut self.touches);
        for touch in &self.touches {
            add(&mut self.sums, touch);
        }
        self.record_motors(scope);
        self.substep += 1;
        if self.substep == scope.substeps {
            self.sums.sort_by_key(|sum| sum.ids);
            self.contacts.extend(self.sums.drain(..).filter_map(|sum| sum.finish()));
            self.forces.sort_by_key(|force| force.id);
        }
    }
}

impl Sum {
    fn finish(self) -> Option<Contact> {
        if self.impulse.length() < IMPULSE_MIN && self.penetration <= 0.0 {
            return None;
        }
        Some(Contact {
            a: self.ids.0,
            b: self.ids.1,
            point: (self.point / self.weight).to_array(),
            normal: self.normal.normalize_or_zero().to_array(),
            impulse: self.impulse.to_array(),
            penetration: self.penetration,
        })
    }
}

fn add(sums: &mut Vec<Sum>, touch: &Touch) {
    // Records have the lower id first; what is unseen comes second.
    let swap = touch.a == 0 || (touch.b != 0 && touch.b < touch.a);
    let (ids, sign) = if swap { ((touch.b, touch.a), -1.0) } else { ((touch.a, touch.b), 1.0) };
    let slot = sums.iter().position(|sum| sum.ids == ids).unwrap_or_else(|| {
        sums.push(Sum {
            ids,
            impulse: Vector::ZERO,
            point: Vector::ZERO,
            normal: Vector::ZERO,
            weight: 0.0,
            penetration: 0.0,
        });
        sums.len() - 1
    });
    let sum = &mut sums[slot];
    let weight = touch.load + UNLOADED;
    sum.impulse += (touch.normal * touch.load + touch.friction) * sign;
    sum.point += touch.point * weight;
    sum.normal += touch.normal * (weight * sign);
    sum.weight += weight;
    sum.penetration = sum.penetration.max(touch.penetration);
}

/// The instance that a collider belongs to, 0 for none.
fn id_of(physics: &PhysicsWorld, collider: ColliderHandle) -> u16 {
    let parent = physics.colliders.get(collider).and_then(Collider::parent);
    parent.and_then(|body| physics.bodies.get(body)).map_or(0, |body| body.user_data as u16)
}

/// Reads the solved manifolds of a pair, a touch each.
fn read_pair(scope: &Scope<'_>, pair: &ContactPair, touches: &mut Vec<Touch>) {
    let (a, b) = (id_of(scope.physics, pair.collider1), id_of(scope.physics, pair.collider2));
    if a == b {
        return;
    }
    if scope.is_soft(a) || scope.is_soft(b) {
        touches.extend(read_soft_pair(scope, pair).map(|touch| Touch { a, b, ..touch }));
        return;
    }
    for manifold in pair.solver_manifolds() {
        let data = &manifold.data;
        if data.solver_contacts.is_empty() || !data.solver_flags.contains(SolverFlags::COMPUTE_RIGID_IMPULSES)
        {
            continue;
        }
        touches.push(Touch { a, b, ..read_manifold(scope.physics, manifold) });
    }
}

fn read_manifold(physics: &PhysicsWorld, manifold: &ContactManifold) -> Touch {
    let data = &manifold.data;
    let iterations = physics.integration_parameters.num_solver_iterations as f32;
    let mut touch = Touch { normal: data.normal, ..Touch::default() };
    let mut weight = 0.0;
    for contact in data.solver_contacts.iter().take(SOLVED_POINTS_MAX) {
        let [index] = contact.contact_indices();
        let solved = &manifold.points[index as usize].data;
        let (on_a, on_b) = data.solver_contact_world_points(contact, &physics.bodies);
        let point_weight = solved.impulse + UNLOADED;
        touch.load += solved.impulse;
        touch.point += (on_a + on_b) * (0.5 * point_weight);
        weight += point_weight;
        touch.penetration = touch.penetration.max((on_a - on_b).dot(data.normal));
        // The same for every point of the manifold, as friction is solved once for all of them.
        touch.friction = solved.warmstart_tangent_world * -iterations;
    }
    touch.point /= weight;
    touch
}

/// Reads the contacts of a soft body with a rigid one, as one touch. Rapier tells only some of their impulses, which
/// say where they act; how much they are, momentum has to tell.
fn read_soft_pair(scope: &Scope<'_>, pair: &ContactPair) -> Option<Touch> {
    let physics = scope.physics;
    let [first, second] = [pair.collider1, pair.collider2].map(|handle| physics.colliders.get(handle));
    let (first, second) = (first?, second?);
    // Distances are those before the step.
    let travel = scope.speed_of(first).max(scope.speed_of(second)) * physics.integration_parameters.dt;
    let reach = first.contact_skin() + second.contact_skin() + 2.0 * travel + SOFT_REACH;
    let mut touch = Touch { soft: true, ..Touch::default() };
    let mut weight = 0.0;
    for manifold in pair.manifolds() {
        for point in manifold.points.iter().filter(|point| point.dist < reach) {
            let point_weight = point.data.impulse.max(0.0) + SOFT_UNLOADED;
            let on_second = manifold.subshape_pos2().map_or(point.local_p2, |pos| pos * point.local_p2);
            touch.load += point_weight;
            touch.normal += manifold.data.normal * point_weight;
            touch.point += (second.position() * on_second) * point_weight;
            touch.penetration = touch.penetration.max(-point.dist);
            weight += point_weight;
        }
    }
    if weight == 0.0 {
        return None;
    }
    touch.point /= weight;
    touch.normal = touch.normal.normalize_or_zero();
    Some(touch)
}
