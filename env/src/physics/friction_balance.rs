use rapier3d::prelude::*;

use super::contact_recorder::Scope;
use super::soft::mean_velocity;

/// Sweeps over the bodies; a pair that rests on the ground alone needs one, a stack a few.
const SWEEPS: u32 = 24;

/// What one contact manifold did in a substep.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touch {
    /// Instance id of the first body, 0 for something unseen.
    pub a: u16,
    /// Instance id of the second body.
    pub b: u16,
    /// From `a` to `b`.
    pub normal: Vector,
    /// Impulse along the normal, N·s.
    pub load: f32,
    /// Friction impulse that `b` received, N·s.
    pub friction: Vector,
    /// Mean of the points, by load.
    pub point: Vector,
    /// Deepest overlap, metres.
    pub penetration: f32,
    /// Whether one of the two is soft: Rapier then tells some of the impulses only.
    pub soft: bool,
}

/// A body whose momentum tells what its contacts gave it.
struct Free {
    id: u16,
    /// Momentum from contacts, N·s.
    gained: Vector,
    /// 1 along the axes that it can move along, 0 along others.
    movable: Vector,
}

/// Makes friction account for the momentum that each free body gained in a substep.
///
/// What gravity, applied forces, drag and normal impulses leave unexplained is friction, as long as no joint acts on
/// the body; it is shared among the body's touches by their loads, in their tangent planes (projections onto one
/// body's balance after the other, Kaczmarz 1937). Touches of soft bodies take up all that is unexplained.
pub(super) fn balance_friction(scope: &Scope<'_>, before: &[Vector], touches: &mut [Touch]) {
    let touched = |id: u16| touches.iter().any(|touch| touch.a == id || touch.b == id);
    let free: Vec<Free> = (0..scope.bodies.len())
        .filter(|i| touched(*i as u16 + 1))
        .filter_map(|i| free_body(scope, i, before[i]))
        .collect();
    for _ in 0..SWEEPS {
        for body in &free {
            settle(body, touches);
        }
    }
}

/// Momentum that a body can only have from its contacts, if that can be told.
fn free_body(scope: &Scope<'_>, instance: usize, before: Vector) -> Option<Free> {
    let physics = scope.physics;
    let body = &physics.bodies[scope.bodies[instance]];
    let jointed = physics.impulse_joints.attached_joints(scope.bodies[instance]).next().is_some();
    let soft = scope.soft_at(instance);
    let held = soft.is_some_and(|soft| {
        soft.particles().iter().any(SoftBodyParticle::is_pinned) || !soft.particle_attachments().is_empty()
    });
    if (soft.is_none() && !body.is_dynamic()) || body.is_sleeping() || jointed || held {
        return None;
    }
    let (mass, after, drag, force) = match soft {
        Some(soft) => {
            let force = soft.particles().iter().map(SoftBodyParticle::force).sum();
            (soft.mass(), mean_velocity(soft), soft.particle_settings().linear_damping, force)
        }
        None => (body.mass(), body.linvel(), body.linear_damping(), body.user_force()),
    };
    let scale = if soft.is_some() { 1.0 } else { body.gravity_scale() };
    let pull = physics.gravity * (mass * scale) + force - (before + after) * (0.5 * mass * drag);
    let inverse = if soft.is_some() { Vector::ONE } else { body.mass_properties().effective_inv_mass };
    Some(Free {
        id: instance as u16 + 1,
        gained: (after - before) * mass - pull * physics.integration_parameters.dt,
        movable: inverse.map(|value| if value > 0.0 { 1.0 } else { 0.0 }),
    })
}

/// Shares what one body's balance lacks among its touches.
fn settle(body: &Free, touches: &mut [Touch]) {
    let sign = |touch: &Touch| match (touch.a == body.id, touch.b == body.id) {
        (true, _) => -1.0,
        (_, true) => 1.0,
        _ => 0.0,
    };
    let (mut lack, mut load) = (body.gained, 0.0);
    for touch in touches.iter() {
        lack -= (touch.normal * touch.load + touch.friction) * sign(touch);
        load += touch.load * f32::abs(sign(touch));
    }
    if load <= 0.0 {
        return;
    }
    for touch in touches.iter_mut() {
        let along = if touch.soft { Vector::ZERO } else { touch.normal * lack.dot(touch.normal) };
        touch.friction += (lack - along) * body.movable * (sign(touch) * touch.load / load);
    }
}
