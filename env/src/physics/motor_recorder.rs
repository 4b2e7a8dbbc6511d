use rapier3d::prelude::*;

use super::contact_recorder::{Recorder, Scope};
use crate::record::AppliedForce;

impl Recorder {
    /// Adds the forces that scripts and tasks put on bodies, as the coming substep will apply them.
    pub(super) fn record_body_forces(&mut self, scope: &Scope<'_>) {
        for (i, handle) in scope.bodies.iter().enumerate() {
            let body = &scope.physics.bodies[*handle];
            let (force, torque) = match scope.soft_at(i) {
                Some(soft) => (soft.particles().iter().map(SoftBodyParticle::force).sum(), Vector::ZERO),
                None => (body.user_force(), body.user_torque()),
            };
            let movable = body.is_dynamic() || scope.soft_at(i).is_some();
            if movable && (force != Vector::ZERO || torque != Vector::ZERO) {
                self.add_force(i as u16 + 1, body.center_of_mass(), [force, torque], scope.substeps);
            }
        }
    }

    /// Adds what joint motors did. Rapier tells the impulse of its last solver iteration, which stands for the substep.
    pub(super) fn record_motors(&mut self, scope: &Scope<'_>) {
        let physics = scope.physics;
        let parameters = &physics.integration_parameters;
        let iteration = parameters.dt / parameters.num_solver_iterations as f32;
        for (_, joint) in physics.impulse_joints.iter() {
            let motors = joint.data.motor_axes & !joint.data.locked_axes;
            if motors.is_empty() {
                continue;
            }
            let [Some(parent), Some(child)] =
                [joint.body1(), joint.body2()].map(|body| physics.bodies.get(body))
            else {
                continue;
            };
            let frame = *parent.rotation() * joint.data.local_frame1.rotation;
            let (mut force, mut torque) = (Vector::ZERO, Vector::ZERO);
            for (i, motor) in joint.data.motors.iter().enumerate() {
                if motors.bits() & (1 << i) == 0 {
                    continue;
                }
                let axis = frame * [Vector::X, Vector::Y, Vector::Z][i % 3];
                let on_child = axis * (-motor.impulse / iteration);
                *(if i < 3 { &mut force } else { &mut torque }) += on_child;
            }
            let at = child.position() * joint.data.local_frame2.translation;
            for (body, sign) in [(child, 1.0), (parent, -1.0)] {
                if body.user_data != 0 && body.is_dynamic() {
                    self.add_force(body.user_data as u16, at, [force * sign, torque * sign], scope.substeps);
                }
            }
        }
    }

    /// Adds a force of one substep to its body's mean over the control step.
    fn add_force(&mut self, id: u16, point: Vector, [force, torque]: [Vector; 2], substeps: u32) {
        let share = 1.0 / substeps as f32;
        let slot = self.forces.iter().position(|known| known.id == id).unwrap_or_else(|| {
            let nothing = AppliedForce { id, point: [0.0; 3], force: [0.0; 3], torque: [0.0; 3] };
            self.forces.push(AppliedForce { point: point.to_array(), ..nothing });
            self.forces.len() - 1
        });
        let known = &mut self.forces[slot];
        // A force elsewhere on the same body is this force at the known point and a torque.
        let moved = (point - Vector::from(known.point)).cross(force);
        for (sum, value) in [(&mut known.force, force), (&mut known.torque, torque + moved)] {
            *sum = (Vector::from(*sum) + value * share).to_array();
        }
    }
}
