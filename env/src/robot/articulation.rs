use rapier3d::prelude::*;
use rapier3d_mjcf::MjcfMultibodyOptions;
use rapier3d_urdf::UrdfMultibodyOptions;
use serde::{Deserialize, Serialize};

use super::model::Source;
use super::{Actuator, JointKind, RobotModel, look};
use crate::EnvError;
use crate::physics::{Look, World};

/// A robot in a [`World`]: handles of its links and joints, and what its controls are set to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Robot {
    links: Vec<Link>,
    joints: Vec<Joint>,
    actuators: Vec<Actuator>,
    controls: Vec<f32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Link {
    name: String,
    body: RigidBodyHandle,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Joint {
    name: String,
    kind: JointKind,
    handle: MultibodyJointHandle,
    parent: RigidBodyHandle,
    child: RigidBodyHandle,
    limits: Option<[f32; 2]>,
    velocity_max: f32,
    reference: f32,
}

impl World {
    /// Puts a robot into this world, in its file's own place and initial keyframe.
    ///
    /// # Errors
    /// [`EnvError::Robot`] if its joints form a loop.
    pub fn add_robot(&mut self, model: &RobotModel) -> Result<Robot, EnvError> {
        let (bodies, joints) = self.insert_source(&model.source, model.self_contacts);
        let mut robot = Robot {
            links: Vec::new(),
            joints: Vec::new(),
            actuators: model.actuators.clone(),
            controls: vec![0.0; model.actuators.len()],
        };
        for (spec, body) in model.links.iter().zip(bodies) {
            let Some(body) = body else { continue };
            self.show_link(spec, body);
            robot.links.push(Link { name: spec.name.clone(), body });
        }
        for (spec, (handle, [parent, child])) in model.joints.iter().zip(joints) {
            let Some(handle) = handle else {
                let message = format!("joint {:?} closes a loop, expected a tree of links", spec.name);
                return Err(EnvError::Robot { message });
            };
            robot.joints.push(Joint {
                name: spec.name.clone(),
                kind: spec.kind,
                handle,
                parent,
                child,
                limits: spec.limits,
                velocity_max: spec.velocity_max,
                reference: spec.reference,
            });
        }
        robot.add_what_the_loader_left_out(self, model);
        // A first pass, so that masses, poses and Jacobians are there before the first step.
        for link in &robot.links {
            let body = &mut self.physics.bodies[link.body];
            body.recompute_mass_properties_from_colliders(&self.physics.colliders);
            if model.weightless {
                body.set_gravity_scale(0.0, true);
            }
        }
        robot.refresh(self);
        Ok(robot)
    }

    fn show_link(&mut self, spec: &super::model::LinkSpec, body: RigidBodyHandle) {
        let mesh = look::mesh(&spec.shapes);
        if mesh.triangles.is_empty() {
            return;
        }
        let shape = self.add_mesh(mesh);
        let movable = self.body(body).is_dynamic();
        let name = spec.name.clone();
        let look = match movable {
            true => Look::actuated(name, shape, spec.color_linear).of_class("robot"),
            false => Look::fixed(name, shape, spec.color_linear).of_class("support"),
        };
        self.show_body(look, body);
    }

    #[allow(clippy::type_complexity)]
    fn insert_source(
        &mut self,
        source: &Source,
        self_contacts: bool,
    ) -> (Vec<Option<RigidBodyHandle>>, Vec<(Option<MultibodyJointHandle>, [RigidBodyHandle; 2])>) {
        let physics = &mut self.physics;
        match source {
            Source::Mjcf(robot) => {
                let handles = robot.as_ref().clone().insert_using_multibody_joints(
                    &mut physics.bodies,
                    &mut physics.colliders,
                    &mut physics.multibody_joints,
                    &mut physics.impulse_joints,
                    if self_contacts {
                        MjcfMultibodyOptions::empty()
                    } else {
                        MjcfMultibodyOptions::DISABLE_SELF_CONTACTS
                    },
                );
                if let Some(start) = robot.keyframes.first() {
                    handles.apply_keyframe(&mut physics.bodies, &mut physics.multibody_joints, robot, start);
                }
                let bodies = handles.bodies.iter().map(|body| body.as_ref().map(|body| body.body)).collect();
                let joints =
                    handles.joints.iter().map(|joint| (joint.joint, [joint.link1, joint.link2])).collect();
                (bodies, joints)
            }
            Source::Urdf(robot) => {
                let handles = robot.as_ref().clone().insert_using_multibody_joints(
                    &mut physics.bodies,
                    &mut physics.colliders,
                    &mut physics.multibody_joints,
                    if self_contacts {
                        UrdfMultibodyOptions::empty()
                    } else {
                        UrdfMultibodyOptions::DISABLE_SELF_CONTACTS
                    },
                );
                let bodies = handles.links.iter().map(|link| Some(link.body)).collect();
                let joints =
                    handles.joints.iter().map(|joint| (joint.joint, [joint.link1, joint.link2])).collect();
                (bodies, joints)
            }
        }
    }
}

impl Robot {
    /// Position among this robot's joints of the one with this name.
    pub fn joint(&self, name: &str) -> Option<usize> {
        self.joints.iter().position(|joint| joint.name == name)
    }

    /// The body of the link with this name.
    pub fn link(&self, name: &str) -> Option<RigidBodyHandle> {
        self.links.iter().find(|link| link.name == name).map(|link| link.body)
    }

    /// Bodies of all links, in the file's order.
    pub fn bodies(&self) -> impl Iterator<Item = RigidBodyHandle> {
        self.links.iter().map(|link| link.body)
    }

    /// The link that the others hang on, if nothing holds it.
    pub fn base(&self, world: &World) -> Option<RigidBodyHandle> {
        // A file's own floor is a link, too.
        self.bodies().find(|body| {
            world.body(*body).is_dynamic() && !self.joints.iter().any(|joint| joint.child == *body)
        })
    }

    /// Names of all links, in the same order.
    pub fn link_names(&self) -> impl Iterator<Item = &str> {
        self.links.iter().map(|link| link.name.as_str())
    }

    /// Control inputs, in the order that [`command`](Self::command) takes them.
    pub fn actuators(&self) -> &[Actuator] {
        &self.actuators
    }

    /// Where a joint of one axis stands, radians or metres, and how fast it moves.
    pub fn joint_state(&self, world: &World, joint: usize) -> [f32; 2] {
        let joint = &self.joints[joint];
        let Some((body, link)) = world.physics.multibody_joints.get(joint.handle) else { return [0.0; 2] };
        let Some(link) = body.link(link) else { return [0.0; 2] };
        let coordinate = if joint.kind == JointKind::Slider { 0 } else { 3 };
        let velocity = body.joint_velocity(link);
        [link.joint().coords()[coordinate] + joint.reference, velocity.get(0).copied().unwrap_or(0.0)]
    }

    /// Puts joints of one axis where they are to be, with these speeds; poses and velocities of all links follow.
    pub fn set_joints(&self, world: &mut World, states: &[(usize, [f32; 2])]) {
        for (joint, [position, speed]) in states {
            let [now, _] = self.joint_state(world, *joint);
            let Some((body, link)) = world.physics.multibody_joints.get_mut(self.joints[*joint].handle)
            else {
                continue;
            };
            let Some(link) = body.link_mut(link) else { continue };
            link.joint.apply_displacement(&[position - now]);
            let at = link.assembly_id();
            body.generalized_velocity_mut()[at] = *speed;
        }
        self.refresh(world);
    }

    /// Puts the link that the others hang on to `pose`, at rest; the joints keep their positions.
    pub fn set_base(&self, world: &mut World, base: RigidBodyHandle, pose: Pose) {
        world.body_mut(base).set_position(pose, true);
        self.refresh(world);
    }

    /// Gives the whole robot, which hangs on a free `base`, this velocity (m/s, world frame); its joints stay as they are.
    pub fn set_base_velocity(&self, world: &mut World, base: RigidBodyHandle, velocity: [f32; 3]) {
        let joints = &mut world.physics.multibody_joints;
        let index = joints.rigid_body_link(base).map(|link| link.multibody);
        if let Some(body) = index.and_then(|index| joints.get_multibody_mut(index)) {
            // A free base's first coordinates are those of its place.
            for (axis, speed) in velocity.into_iter().enumerate().take(body.ndofs()) {
                body.generalized_velocity_mut()[axis] = speed;
            }
        }
        self.refresh(world);
    }

    /// Sets what the actuators do from now on; each control is clamped to its range.
    ///
    /// # Panics
    /// If there are fewer controls than actuators.
    pub fn command(&mut self, world: &mut World, controls: &[f32]) {
        let gain = world.motor_gain();
        for (i, actuator) in self.actuators.iter().enumerate() {
            let control = controls[i].clamp(actuator.range[0], actuator.range[1]);
            self.controls[i] = control;
            let joint = &self.joints[actuator.joint];
            let axis = if joint.kind == JointKind::Slider { JointAxis::LinX } else { JointAxis::AngX };
            if let Some((body, link)) = world.physics.multibody_joints.get_mut(joint.handle)
                && let Some(link) = body.link_mut(link)
            {
                let target = control - joint.reference;
                actuator.aim(&mut link.joint.data, axis, target, joint.velocity_max, gain);
            }
            world.physics.bodies[joint.child].wake_up(true);
        }
    }

    /// Advances the world one control step under the present controls.
    pub fn control_step(&self, world: &mut World) {
        for _ in 0..world.substeps() {
            self.push(world);
            world.substep();
        }
        for body in self.bodies() {
            let body = world.body_mut(body);
            body.reset_forces(false);
            body.reset_torques(false);
        }
        world.release();
    }

    /// Puts the forces of force actuators on the links, along the axes as they stand now.
    fn push(&self, world: &mut World) {
        if !self.actuators.iter().any(|actuator| matches!(actuator.drive, super::Drive::Force { .. })) {
            return;
        }
        for joint in &self.joints {
            for body in [joint.parent, joint.child] {
                let body = world.body_mut(body);
                body.reset_forces(false);
                body.reset_torques(false);
            }
        }
        for (actuator, control) in self.actuators.iter().zip(&self.controls) {
            let joint = &self.joints[actuator.joint];
            let [_, velocity] = self.joint_state(world, actuator.joint);
            let force = actuator.force(*control, velocity, joint.velocity_max) * world.motor_gain();
            if force != 0.0 {
                self.push_joint(world, joint, force);
            }
        }
    }

    fn push_joint(&self, world: &mut World, joint: &Joint, force: f32) {
        let Some((body, link)) = world.physics.multibody_joints.get(joint.handle) else { return };
        let Some(data) = body.link(link).map(|link| link.joint().data) else { return };
        let frame = *world.body(joint.child).position() * data.local_frame2;
        let along = frame.rotation * Vector::X * force;
        for (body, along) in [(joint.child, along), (joint.parent, -along)] {
            let body = world.body_mut(body);
            if !body.is_dynamic() {
                continue;
            }
            if joint.kind == JointKind::Slider {
                body.add_force_at_point(along, frame.translation, true);
            } else {
                body.add_torque(along, true);
            }
        }
    }

    /// Poses, masses and velocities of the links from the joints' coordinates.
    fn refresh(&self, world: &mut World) {
        let physics = &mut world.physics;
        let mut seen = Vec::new();
        for joint in &self.joints {
            let Some(index) =
                physics.multibody_joints.rigid_body_link(joint.child).map(|link| link.multibody)
            else {
                continue;
            };
            if seen.contains(&index) {
                continue;
            }
            seen.push(index);
            let Some(body) = physics.multibody_joints.get_multibody_mut(index) else { continue };
            body.forward_kinematics(&physics.bodies, true);
            body.update_rigid_bodies(&mut physics.bodies, true);
            let velocity = body.generalized_velocity().into_owned();
            for link in body.links() {
                let moving = body.body_jacobian(link.link_id()) * &velocity;
                let body = &mut physics.bodies[link.rigid_body_handle()];
                if body.is_dynamic() {
                    body.set_linvel(Vector::new(moving[0], moving[1], moving[2]), true);
                    body.set_angvel(Vector::new(moving[3], moving[4], moving[5]), true);
                }
            }
        }
    }

    fn add_what_the_loader_left_out(&self, world: &mut World, model: &RobotModel) {
        self.damp_as_described(world, model);
        for (joint, spec) in self.joints.iter().zip(&model.joints) {
            let leader = spec.mimic.map(|mimic| (mimic, self.joints[mimic.joint].handle));
            let leader = leader.and_then(|(mimic, handle)| {
                let (_, link) = world.physics.multibody_joints.get(handle)?;
                Some((mimic, link))
            });
            let Some((body, link)) = world.physics.multibody_joints.get_mut(joint.handle) else { continue };
            let Some(at) = body.link(link).map(MultibodyLink::assembly_id) else { continue };
            if matches!(model.source, Source::Urdf(_)) && spec.has_one_axis() {
                body.frictions_mut()[at] = spec.friction;
            }
            if let Some((mimic, leader)) = leader {
                let axis_of = |kind| if kind == JointKind::Slider { 0 } else { 3 };
                body.add_dof_coupling(MultibodyDofCoupling {
                    link1: leader,
                    dof1: 0,
                    axis1: axis_of(model.joints[mimic.joint].kind),
                    link2: link,
                    dof2: 0,
                    axis2: axis_of(spec.kind),
                    coeff: mimic.coefficient,
                    offset: mimic.offset,
                });
            }
        }
    }

    /// Gives every joint the damping of its file and no other: Rapier damps each angular axis of a multibody, that of a
    /// free base too, by 0.1 N·m·s/rad if nobody says otherwise.
    fn damp_as_described(&self, world: &mut World, model: &RobotModel) {
        let joints = &mut world.physics.multibody_joints;
        for joint in &self.joints {
            if let Some((body, _)) = joints.get_mut(joint.handle) {
                body.damping_mut().fill(0.0);
            }
        }
        for (joint, spec) in self.joints.iter().zip(&model.joints) {
            let Some((body, link)) = joints.get_mut(joint.handle) else { continue };
            let Some((at, axes)) = body.link(link).map(|link| (link.assembly_id(), link.joint().ndofs()))
            else {
                continue;
            };
            body.damping_mut().rows_mut(at, axes).fill(spec.damping);
        }
    }
}
