use rapier3d::prelude::*;

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
}

/// Makes friction account for the momentum that each free body gained in a substep.
///
/// What gravity, applied forces and normal impulses leave unexplained is friction, as long as no joint or damping acts
/// on the body; it is shared among the body's touches by their loads, in their tangent planes (projections onto one
/// body's balance after the other, Kaczmarz 1937).
pub(super) fn balance_friction(
    physics: &PhysicsWorld,
    bodies: &[RigidBodyHandle],
    before: &[Vector],
    touches: &mut [Touch],
) {
    let free: Vec<(u16, Vector, Vector)> = bodies
        .iter()
        .zip(before)
        .enumerate()
        .filter_map(|(i, (handle, before))| {
            let id = i as u16 + 1;
            touches.iter().any(|touch| touch.a == id || touch.b == id).then_some(())?;
            let gained = momentum_from_contacts(physics, *handle, *before)?;
            let mask = physics.bodies[*handle].mass_properties().effective_inv_mass;
            Some((id, gained, mask.map(|value| if value > 0.0 { 1.0 } else { 0.0 })))
        })
        .collect();
    for _ in 0..SWEEPS {
        for (id, gained, movable) in &free {
            settle(*id, *gained, *movable, touches);
        }
    }
}

/// Momentum that a body can only have from its contacts, if that can be told.
fn momentum_from_contacts(physics: &PhysicsWorld, handle: RigidBodyHandle, before: Vector) -> Option<Vector> {
    let body = &physics.bodies[handle];
    let jointed = physics.impulse_joints.attached_joints(handle).next().is_some();
    if !body.is_dynamic() || body.is_sleeping() || jointed || body.linear_damping() != 0.0 {
        return None;
    }
    let given = physics.gravity * (body.mass() * body.gravity_scale()) + body.user_force();
    Some((body.linvel() - before) * body.mass() - given * physics.integration_parameters.dt)
}

/// Shares what one body's balance lacks among its touches.
fn settle(id: u16, gained: Vector, movable: Vector, touches: &mut [Touch]) {
    let sign = |touch: &Touch| match (touch.a == id, touch.b == id) {
        (true, _) => -1.0,
        (_, true) => 1.0,
        _ => 0.0,
    };
    let (mut lack, mut load) = (gained, 0.0);
    for touch in touches.iter() {
        lack -= (touch.normal * touch.load + touch.friction) * sign(touch);
        load += touch.load * f32::abs(sign(touch));
    }
    if load <= 0.0 {
        return;
    }
    for touch in touches.iter_mut() {
        let tangential = lack - touch.normal * lack.dot(touch.normal);
        touch.friction += tangential * movable * (sign(touch) * touch.load / load);
    }
}
