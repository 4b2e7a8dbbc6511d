use rapier3d::prelude::*;

use super::World;

impl World {
    /// Pushes a body with `force` (N) at `point` (world frame, metres) throughout the coming control step.
    ///
    /// The world's motor gain multiplies it. The force on a soft body's stand-in ([`World::soft_body`]'s root) is shared by all of its mass, wherever `point`
    /// is.
    pub fn apply_force(&mut self, body: RigidBodyHandle, force: [f32; 3], point: [f32; 3]) {
        let force = force.map(|force| force * self.motor_gain);
        match self.soft_of(body) {
            None => {
                self.physics.bodies[body].add_force_at_point(Vector::from(force), Vector::from(point), true);
            }
            Some(soft) => {
                let soft = &mut self.physics.soft_bodies[soft];
                let per_mass = Vector::from(force) / soft.mass().max(f32::MIN_POSITIVE);
                for i in 0..soft.num_particles() {
                    let share = per_mass * soft.particles()[i].mass();
                    soft.add_particle_force(i, share, true);
                }
            }
        }
        self.note_pushed(body);
    }

    fn soft_of(&self, body: RigidBodyHandle) -> Option<SoftBodyHandle> {
        let slot = self.soft.iter().find(|slot| self.bodies[slot.instance] == body)?;
        Some(slot.handle)
    }

    /// Turns a body with `torque` (N·m, world frame) throughout the coming control step; the motor gain multiplies it.
    pub fn apply_torque(&mut self, body: RigidBodyHandle, torque: [f32; 3]) {
        self.physics.bodies[body].add_torque(Vector::from(torque) * self.motor_gain, true);
        self.note_pushed(body);
    }

    fn note_pushed(&mut self, body: RigidBodyHandle) {
        if !self.pushed.contains(&body) {
            self.pushed.push(body);
        }
    }

    /// Lets go of what was pushed for this control step.
    pub(crate) fn release(&mut self) {
        while let Some(handle) = self.pushed.pop() {
            if let Some(soft) = self.soft_of(handle) {
                self.physics.soft_bodies[soft].reset_forces(false);
            }
            let body = &mut self.physics.bodies[handle];
            body.reset_forces(false);
            body.reset_torques(false);
        }
    }

    /// Sets the friction of all colliders of a body.
    pub fn set_friction(&mut self, body: RigidBodyHandle, friction: f32) {
        let colliders = self.physics.bodies[body].colliders().to_vec();
        for collider in colliders {
            if let Some(collider) = self.physics.colliders.get_mut(collider) {
                collider.set_friction(friction);
                collider.set_friction_combine_rule(CoefficientCombineRule::Max);
            }
        }
    }

    /// World gravity, m/s².
    pub fn gravity(&self) -> [f32; 3] {
        self.physics.gravity.to_array()
    }

    /// Sets world gravity, m/s².
    pub fn set_gravity(&mut self, gravity: [f32; 3]) {
        self.physics.gravity = Vector::from(gravity);
    }

    /// Mass (kg, infinite for what no force moves), friction and restitution of each instance, in the scene's order.
    ///
    /// Friction and restitution are those of its first collider, 0 if it has none.
    pub fn physical(&self, out: &mut Vec<[f32; 3]>) {
        out.clear();
        out.extend(self.bodies.iter().enumerate().map(|(i, handle)| {
            let body = self.body(*handle);
            let soft = self.scope().soft_at(i).map(SoftBody::mass);
            let mass = soft.unwrap_or(if body.is_dynamic() { body.mass() } else { f32::INFINITY });
            let collider = body.colliders().first().and_then(|first| self.physics.colliders.get(*first));
            let [friction, restitution] = collider.map_or([0.0; 2], |c| [c.friction(), c.restitution()]);
            [mass, friction, restitution]
        }));
    }
}
