use rapier3d::prelude::*;

use super::friction_balance::{Touch, balance_friction};
use crate::record::{AppliedForce, Contact};

/// Solves the same number of points of a manifold as Rapier's constraints do.
const SOLVED_POINTS_MAX: usize = 4;
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
    pub(super) fn before_substep(
        &mut self,
        physics: &PhysicsWorld,
        bodies: &[RigidBodyHandle],
        substeps: u32,
    ) {
        if self.substep >= substeps {
            self.substep = 0;
        }
        if self.substep == 0 {
            self.contacts.clear();
            self.forces.clear();
            self.sums.clear();
        }
        self.before.clear();
        self.before.extend(bodies.iter().map(|handle| physics.bodies[*handle].linvel()));
        self.record_body_forces(physics, bodies, substeps);
    }

    /// Adds what the substep did.
    pub(super) fn after_substep(
        &mut self,
        physics: &PhysicsWorld,
        bodies: &[RigidBodyHandle],
        substeps: u32,
    ) {
        self.touches.clear();
        for pair in physics.narrow_phase.contact_pairs() {
            read_pair(physics, pair, &mut self.touches);
        }
        balance_friction(physics, bodies, &self.before, &mut self.touches);
        for touch in &self.touches {
            add(&mut self.sums, touch);
        }
        self.record_motors(physics, substeps);
        self.substep += 1;
        if self.substep == substeps {
            self.sums.sort_by_key(|sum| sum.ids);
            self.contacts.extend(self.sums.drain(..).filter_map(|sum| sum.finish()));
            self.forces.sort_by_key(|force| force.id);
        }
    }
}

impl Sum {
    fn finish(self) -> Option<Contact> {
        if self.impulse.length() <= UNLOADED && self.penetration <= 0.0 {
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
fn read_pair(physics: &PhysicsWorld, pair: &ContactPair, touches: &mut Vec<Touch>) {
    let (a, b) = (id_of(physics, pair.collider1), id_of(physics, pair.collider2));
    if a == 0 && b == 0 {
        return;
    }
    for manifold in pair.solver_manifolds() {
        let data = &manifold.data;
        if data.solver_contacts.is_empty() || !data.solver_flags.contains(SolverFlags::COMPUTE_RIGID_IMPULSES)
        {
            continue;
        }
        touches.push(read_manifold(physics, manifold, (a, b)));
    }
}

fn read_manifold(physics: &PhysicsWorld, manifold: &ContactManifold, (a, b): (u16, u16)) -> Touch {
    let data = &manifold.data;
    let mut touch = Touch { a, b, normal: data.normal, ..Touch::default() };
    let mut weight = 0.0;
    let iterations = physics.integration_parameters.num_solver_iterations as f32;
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
