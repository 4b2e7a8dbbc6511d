//! A family's world under way: what actions do, what scripts want, what the state observation is.

use std::sync::Arc;

use rapier3d::prelude::*;
use worldstep_env::physics::World;
use worldstep_env::{Buffer, EnvError, Pose as WorldPose, Space, Velocity};

use super::Family;
use super::build::{Built, triple};
use super::file::{ActionFile, ActionKind, Motion as BodyMotion};
use super::motion::{Motion, Names};
use super::parameters::{ValueScope, evaluate};
use crate::clips::SynthError;
use crate::scenario::recording::{Simulation, Stepped};

/// Values of a body in the state observation: position, quaternion xyzw, linear and angular velocity.
pub(in crate::scenario) const STATE_WIDTH: usize = 13;

/// One clip's world, with what drives it.
pub(in crate::scenario) struct Play {
    family: Arc<Family>,
    values: std::collections::BTreeMap<String, f64>,
    pub built: Built,
    start: Vec<WorldPose>,
    drives: Vec<Drive>,
    rows: usize,
    row: usize,
}

/// One number of the action, resolved.
struct Drive {
    kind: ActionKind,
    body: Option<RigidBodyHandle>,
    joints: Vec<ImpulseJointHandle>,
    direction: Vector,
    scale: f32,
    travel: [f32; 2],
    /// How far it has gone, metres.
    travelled: f32,
}

impl Play {
    /// The world that `built` is, over `rows` rows.
    pub fn new(
        family: Arc<Family>,
        values: std::collections::BTreeMap<String, f64>,
        built: Built,
        rows: usize,
    ) -> Result<Self, String> {
        let drives = family
            .file
            .actions
            .iter()
            .map(|action| Drive::resolve(action, &ValueScope { values: &values, repeated: None }, &built))
            .collect::<Result<_, _>>()?;
        let mut start = Vec::new();
        built.world.poses(&mut start);
        let mut play = Self { family, values, built, start, drives, rows, row: 0 };
        play.built.world.record(true);
        // Rules and scripts that name what is not there are found here, not when a row is reached.
        play.present(|motion| play.check_rules(motion))?;
        Ok(play)
    }

    fn check_rules(&self, motion: Motion<'_>) -> Result<(), String> {
        let scope = motion.at(0, None);
        for action in &self.family.file.actions {
            evaluate(&action.script, &scope, || format!("actions.{}.script", action.name))?;
        }
        for outcome in &self.family.file.outcomes {
            if let Some(rule) = &outcome.when {
                evaluate(rule, &scope, || format!("outcomes.{}.when", outcome.name))?;
            }
        }
        match &self.family.file.goal {
            Some(goal) => evaluate(goal, &scope, || "goal".to_owned()).map(drop),
            None => Ok(()),
        }
    }

    /// Names of the bodies.
    pub fn names(&self) -> &Names {
        &self.built.names
    }

    /// Drawn values.
    pub fn values(&self) -> &std::collections::BTreeMap<String, f64> {
        &self.values
    }

    /// Calls `look` with the world as it is, as a motion of one row.
    fn present<T>(&self, look: impl FnOnce(Motion<'_>) -> T) -> T {
        let (mut poses, mut velocities): (Vec<WorldPose>, Vec<Velocity>) = Default::default();
        self.built.world.poses(&mut poses);
        self.built.world.velocities(&mut velocities);
        look(Motion {
            names: &self.built.names,
            values: &self.values,
            fps: self.family.file.fps,
            start: &self.start,
            poses: &poses,
            velocities: &velocities,
        })
    }

    fn time_s(&self) -> f64 {
        self.row as f64 / f64::from(self.family.file.fps)
    }

    /// Sets the velocities of kinematic bodies, forces and motors for the coming control step.
    fn drive(&mut self, action: &[f32]) -> Result<(), String> {
        let dt = 1.0 / self.family.file.fps as f32;
        let mut moves = self.scripted_moves(f64::from(dt))?;
        for (drive, value) in self.drives.iter_mut().zip(action) {
            let world = &mut self.built.world;
            let push = drive.direction * (drive.scale * value);
            match (drive.kind, drive.body) {
                (ActionKind::Force, Some(body)) => {
                    let center = world.body(body).center_of_mass().to_array();
                    world.apply_force(body, push.to_array(), center);
                }
                (ActionKind::Torque, Some(body)) => world.apply_torque(body, push.to_array()),
                (ActionKind::Velocity, Some(body)) => {
                    let [low, high] = drive.travel;
                    let travelled = (drive.travelled + drive.scale * value * dt).clamp(low, high);
                    let velocity = drive.direction * ((travelled - drive.travelled) / dt);
                    drive.travelled = travelled;
                    match moves.iter_mut().find(|(moved, _)| *moved == body) {
                        Some((_, sum)) => *sum += velocity,
                        None => moves.push((body, velocity)),
                    }
                }
                (ActionKind::MotorPosition | ActionKind::MotorVelocity, _) => {
                    drive.joints.iter().for_each(|joint| drive.set_motor(world, *joint, *value));
                }
                _ => {}
            }
        }
        for (body, velocity) in moves {
            self.built.world.body_mut(body).set_linvel(velocity, true);
        }
        Ok(())
    }

    /// Velocities of the bodies whose file says how they move, at the middle of the coming step.
    fn scripted_moves(&self, dt: f64) -> Result<Vec<(RigidBodyHandle, Vector)>, String> {
        let mut moves = Vec::new();
        for body in &self.family.file.bodies {
            let Some(triple) = &body.moves else { continue };
            let velocity = self.present(|motion| -> Result<Vector, String> {
                let scope = motion.at(0, Some(self.time_s() + 0.5 * dt));
                let mut velocity = [0.0; 3];
                for (i, value) in velocity.iter_mut().enumerate() {
                    let key = || format!("bodies.{}.moves[{i}]", body.name);
                    *value = evaluate(&triple[i], &scope, key)? as f32;
                }
                Ok(Vector::from(velocity))
            })?;
            let position = self.built.names.bodies.get(&body.name);
            moves.extend(position.map(|position| (self.built.handles[*position], velocity)));
        }
        Ok(moves)
    }

    fn reached(&self) -> Result<bool, String> {
        let Some(goal) = &self.family.file.goal else { return Ok(false) };
        let time_s = self.time_s();
        let value =
            self.present(|motion| evaluate(goal, &motion.at(0, Some(time_s)), || "goal".to_owned()))?;
        Ok(value != 0.0)
    }

    fn error(&self, message: String) -> SynthError {
        self.family.error(message)
    }
}

impl Drive {
    fn resolve(action: &ActionFile, scope: &ValueScope<'_>, built: &Built) -> Result<Self, String> {
        let key = format!("actions.{}", action.name);
        let body = match &action.body {
            None => None,
            Some(name) => {
                let position = built.names.bodies.get(name);
                let position = position.ok_or(format!("{key}.body: there is no body {name:?}"))?;
                Some(built.handles[*position])
            }
        };
        let joints: Vec<_> = action
            .joint
            .iter()
            .chain(&action.also)
            .map(|name| {
                let handle = built.joints.get(name).copied();
                handle.ok_or(format!("{key}.joint: there is no joint {name:?}"))
            })
            .collect::<Result<_, _>>()?;
        let motor = matches!(action.kind, ActionKind::MotorPosition | ActionKind::MotorVelocity);
        if motor == joints.is_empty() || motor == body.is_some() {
            return Err(format!("{key}: motors need `joint`, other actions need `body` and `direction`"));
        }
        let direction = match (&action.direction, motor) {
            (Some(direction), _) => Vector::from(triple(direction, scope, &format!("{key}.direction"))?),
            (None, true) => Vector::ZERO,
            (None, false) => return Err(format!("{key}: `direction` is missing")),
        };
        let travel = match &action.travel {
            None => [f32::NEG_INFINITY, f32::INFINITY],
            Some([low, high]) => [
                evaluate(low, scope, || format!("{key}.travel[0]"))? as f32,
                evaluate(high, scope, || format!("{key}.travel[1]"))? as f32,
            ],
        };
        let scale = evaluate(&action.scale, scope, || format!("{key}.scale"))? as f32;
        let direction = direction.normalize_or_zero();
        Ok(Self { kind: action.kind, body, joints, direction, scale, travel, travelled: 0.0 })
    }

    fn set_motor(&self, world: &mut World, joint: ImpulseJointHandle, value: f32) {
        let Some(data) = world.joint_mut(joint) else { return };
        let axis =
            if data.locked_axes.contains(JointAxesMask::LIN_X) { JointAxis::AngX } else { JointAxis::LinX };
        let Some((stiffness, damping)) = data.motor(axis).map(|motor| (motor.stiffness, motor.damping))
        else {
            return;
        };
        match self.kind {
            ActionKind::MotorPosition => {
                data.set_motor_position(axis, value * self.scale, stiffness, damping)
            }
            _ => data.set_motor_velocity(axis, value * self.scale, damping),
        };
    }
}

impl Simulation for Play {
    fn action_space(&self) -> &Space {
        &self.family.action_space
    }

    fn world(&self) -> &World {
        &self.built.world
    }

    fn state(&self, out: &mut Vec<f32>) {
        self.present(|motion| {
            let mut push = |name: &String| {
                let Some(at) = motion.names.bodies.get(name) else {
                    out.extend([0.0; STATE_WIDTH]);
                    return;
                };
                let (pose, velocity) = (&motion.poses[*at], &motion.velocities[*at]);
                out.extend(pose.position);
                out.extend(pose.quat_xyzw);
                out.extend(velocity.linear);
                out.extend(velocity.angular);
            };
            for body in self.family.file.bodies.iter().filter(|body| body.motion != BodyMotion::Fixed) {
                match body.repeat {
                    None => push(&body.name),
                    Some(_) => (0..body.repeat_max()).for_each(|i| push(&format!("{}_{i}", body.name))),
                }
            }
            self.family.file.soft.iter().for_each(|soft| push(&soft.name));
        });
    }

    fn expert(&self, out: &mut Buffer) {
        let Buffer::F32(out) = out else { return };
        let time_s = self.time_s();
        self.present(|motion| {
            let scope = motion.at(0, Some(time_s));
            // Checked when the clip began; what becomes no number later asks for nothing.
            out.extend(self.family.file.actions.iter().map(|action| {
                crate::scenario::expression::Expression::evaluate(&action.script, &scope)
                    .map_or(0.0, |value| value.clamp(-1.0, 1.0) as f32)
            }));
        });
    }

    fn step(&mut self, action: &Buffer) -> Result<Stepped, SynthError> {
        self.family.action_space.check(action, 1)?;
        let values = action.as_f32().unwrap_or_default();
        self.drive(values).map_err(|message| self.error(message))?;
        self.built.world.control_step();
        self.row += 1;
        // A clip that stops being numbers ends there; curation throws it away.
        let finite = self.built.world.is_finite();
        let success = finite && self.reached().map_err(|message| self.error(message))?;
        let reward = if success { 1.0 } else { 0.0 };
        Ok(Stepped { reward, success, terminated: false, truncated: !finite || self.row >= self.rows })
    }

    fn save(&self) -> Result<Vec<u8>, SynthError> {
        let mut bytes = (self.row as u64).to_le_bytes().to_vec();
        bytes.extend(self.drives.iter().flat_map(|drive| drive.travelled.to_le_bytes()));
        bytes.extend(self.built.world.save()?);
        Ok(bytes)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), SynthError> {
        let damaged = || EnvError::State { message: format!("{} bytes are no snapshot", bytes.len()) };
        let (row, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (travelled, world) = rest.split_at_checked(4 * self.drives.len()).ok_or_else(damaged)?;
        self.built.world.load(world)?;
        self.row = u64::from_le_bytes(*row) as usize;
        for (drive, bytes) in self.drives.iter_mut().zip(travelled.chunks_exact(4)) {
            drive.travelled = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        Ok(())
    }
}
