use rapier3d::dynamics::RigidBodyAdditionalMassProps;
use rapier3d::prelude::*;

use super::World;
use crate::Rng;
use crate::randomisation::{Randomisation, between};

impl World {
    /// Draws masses, frictions, dampings, gravity and motor gain from `ranges`; soft bodies keep theirs.
    pub(crate) fn randomise(&mut self, ranges: &Randomisation, rng: &mut Rng) {
        let physics = &mut self.physics;
        physics.gravity *= between(ranges.gravity, rng);
        self.motor_gain = between(ranges.motor_gain, rng);
        for (_, body) in physics.bodies.iter_mut() {
            if !body.is_dynamic() {
                continue;
            }
            let [mass, inertia] = [ranges.mass, ranges.inertia].map(|range| between(range, rng));
            for handle in body.colliders() {
                if let Some(collider) = physics.colliders.get_mut(*handle) {
                    collider.set_mass_properties(scaled(collider.mass_properties(), mass, inertia));
                }
            }
            match body.mass_properties().additional_local_mprops.as_deref().copied() {
                None => {}
                Some(RigidBodyAdditionalMassProps::MassProps(more)) => {
                    body.set_additional_mass_properties(scaled(more, mass, inertia), false);
                }
                Some(RigidBodyAdditionalMassProps::Mass(more)) => {
                    body.set_additional_mass(mass * more, false);
                }
            }
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
