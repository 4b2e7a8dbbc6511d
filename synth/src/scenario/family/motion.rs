use std::collections::BTreeMap;
use std::ops::Range;

use nalgebra::{Quaternion, UnitQuaternion, Vector3};
use worldstep_env::{Pose, Velocity};

use crate::scenario::expression::{Expression, Scope};

/// Names that a body's state has in expressions, after the body's name and a dot.
pub(in crate::scenario) const QUANTITIES: [&str; 18] = [
    "x", "y", "z", "vx", "vy", "vz", "wx", "wy", "wz", "dx", "dy", "dz", "speed", "spin", "moved", "tilt",
    "turn", "yaw",
];

/// Which instance is called what.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::scenario) struct Names {
    /// Position of each body, members of repeated ones as `block_0`.
    pub bodies: BTreeMap<String, usize>,
    /// Members of repeated bodies.
    pub groups: BTreeMap<String, Range<usize>>,
    /// What else rules and scripts may name: values worked out anew in every row.
    pub signals: BTreeMap<String, Expression>,
}

/// Rows of a clip as expressions see them.
#[derive(Clone, Copy)]
pub(in crate::scenario) struct Motion<'a> {
    pub names: &'a Names,
    pub values: &'a BTreeMap<String, f64>,
    pub fps: u32,
    /// Where everything was at first; as many as there are instances.
    pub start: &'a [Pose],
    /// Row-major, rows × instances.
    pub poses: &'a [Pose],
    /// As `poses`.
    pub velocities: &'a [Velocity],
}

impl<'a> Motion<'a> {
    /// The scope of `row`, at `time_s` if that isn't the row's own time.
    pub fn at(self, row: usize, time_s: Option<f64>) -> MotionScope<'a> {
        let time_s = time_s.unwrap_or(row as f64 / f64::from(self.fps));
        MotionScope { motion: self, row, time_s, it: None }
    }

    fn quantity(&self, body: usize, quantity: &str, row: usize) -> Option<f64> {
        let at = row * self.start.len() + body;
        let (pose, velocity, start) = (self.poses.get(at)?, self.velocities.get(at)?, self.start.get(body)?);
        let moved = Vector3::from(pose.position) - Vector3::from(start.position);
        let axis = |values: [f32; 3], i: usize| Some(f64::from(values[i]));
        match quantity {
            "x" => axis(pose.position, 0),
            "y" => axis(pose.position, 1),
            "z" => axis(pose.position, 2),
            "vx" => axis(velocity.linear, 0),
            "vy" => axis(velocity.linear, 1),
            "vz" => axis(velocity.linear, 2),
            "wx" => axis(velocity.angular, 0),
            "wy" => axis(velocity.angular, 1),
            "wz" => axis(velocity.angular, 2),
            "dx" => axis(moved.into(), 0),
            "dy" => axis(moved.into(), 1),
            "dz" => axis(moved.into(), 2),
            "speed" => Some(f64::from(Vector3::from(velocity.linear).norm())),
            "spin" => Some(f64::from(Vector3::from(velocity.angular).norm())),
            "moved" => Some(f64::from(moved.norm())),
            "tilt" => Some(tilt(start, pose)),
            "turn" => Some(turn(start, pose)),
            "yaw" => Some(yaw(pose)),
            _ => None,
        }
    }
}

fn rotation(pose: &Pose) -> UnitQuaternion<f64> {
    let [x, y, z, w] = pose.quat_xyzw.map(f64::from);
    UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z))
}

/// Angle between the body's z axis now and at first.
fn tilt(start: &Pose, now: &Pose) -> f64 {
    let [before, after] = [start, now].map(|pose| rotation(pose) * Vector3::z());
    libm::acos(before.dot(&after).clamp(-1.0, 1.0))
}

/// Angle of the rotation since the start.
fn turn(start: &Pose, now: &Pose) -> f64 {
    let between = rotation(start).inverse() * rotation(now);
    2.0 * libm::acos(between.w.abs().clamp(0.0, 1.0))
}

/// Angle about the world's z from the world's x axis to the body's.
fn yaw(now: &Pose) -> f64 {
    let ahead = rotation(now) * Vector3::x();
    libm::atan2(ahead.y, ahead.x)
}

/// One row of a clip.
#[derive(Clone, Copy)]
pub(in crate::scenario) struct MotionScope<'a> {
    motion: Motion<'a>,
    row: usize,
    time_s: f64,
    it: Option<usize>,
}

impl Scope for MotionScope<'_> {
    fn value(&self, name: &str) -> Option<f64> {
        if let Some((body, quantity)) = name.split_once('.') {
            let body = if body == "it" { self.it? } else { *self.motion.names.bodies.get(body)? };
            return self.motion.quantity(body, quantity, self.row);
        }
        if name == "t" {
            return Some(self.time_s);
        }
        if let Some(signal) = self.motion.names.signals.get(name) {
            return signal.evaluate(self).ok();
        }
        self.motion.values.get(name).copied()
    }

    fn rows(&self) -> usize {
        self.motion.poses.len() / self.motion.start.len().max(1)
    }

    fn members(&self, group: &str) -> Option<usize> {
        self.motion.names.groups.get(group).map(Range::len)
    }

    fn in_row(&self, row: usize) -> Option<Box<dyn Scope + '_>> {
        let time_s = row as f64 / f64::from(self.motion.fps);
        Some(Box::new(Self { row, time_s, ..*self }))
    }

    fn with_member(&self, group: &str, member: usize) -> Option<Box<dyn Scope + '_>> {
        let range = self.motion.names.groups.get(group)?;
        Some(Box::new(Self { it: Some(range.start + member), ..*self }))
    }
}
