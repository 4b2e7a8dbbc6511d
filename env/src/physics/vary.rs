use rapier3d::prelude::*;

use super::World;
use crate::Rng;
use crate::randomisation::{Randomisation, between};

impl World {
    /// Draws masses, frictions, dampings, gravity and motor gain from `ranges`; soft bodies keep their
    /// masses.
    pub(crate) fn randomise(&mut self, ranges: &Randomisation, rng: &mut Rng) {
        let physics = &mut self.physics;
        physics.gravity *= between(ranges.gravity, rng);
        self.motor_gain = between(ranges.motor_gain, rng);
        for (_, body) in physics.bodies.iter_mut() {
            if !body.is_dynamic() {
                continue;
            }
            let [mass, inertia] = [ranges.mass, ranges.inertia].map(|range| between(range, rng));
            if [mass, inertia] == [1.0; 2] {
                continue;
            }
            // Of the body as a whole: what its colliders' distances from its middle add to its inertia, too.
            body.recompute_mass_properties_from_colliders(&physics.colliders);
            let whole = scaled(body.mass_properties().local_mprops, mass, inertia);
            for handle in body.colliders() {
                if let Some(collider) = physics.colliders.get_mut(*handle) {
                    collider.set_mass_properties(MassProperties::default());
                }
            }
            body.set_additional_mass_properties(whole, false);
            body.recompute_mass_properties_from_colliders(&physics.colliders);
        }
        for (_, collider) in physics.colliders.iter_mut() {
            collider.set_friction(collider.friction() * between(ranges.friction, rng));
            let restitution = collider.restitution() + between(ranges.restitution, rng);
            collider.set_restitution(restitution.clamp(0.0, 1.0));
        }
        let mut indices: Vec<_> = Vec::new();
        for (body, _) in physics.bodies.iter() {
            if let Some(link) = physics.multibody_joints.rigid_body_link(body)
                && !indices.contains(&link.multibody)
            {
                indices.push(link.multibody);
            }
        }
        for index in indices {
            if let Some(robot) = physics.multibody_joints.get_multibody_mut(index) {
                robot.damping_mut().iter_mut().for_each(|axis| *axis *= between(ranges.joint_damping, rng));
            }
        }
    }

    /// What the forces of motors and of [`apply_force`](Self::apply_force) are multiplied by; 1 unless randomised.
    pub fn motor_gain(&self) -> f32 {
        self.motor_gain
    }
}

fn scaled(mut properties: MassProperties, mass: f32, inertia: f32) -> MassProperties {
    properties.inv_mass /= mass;
    properties.inv_principal_inertia /= mass * inertia;
    properties
}
