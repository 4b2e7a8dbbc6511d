use bevy::math::{DQuat, DVec3};
use worldstep_env::Pose;
use worldstep_env::record::{Joint, JointKind};

use super::{Curation, Reason};
use crate::annotate::{turn, vector};
use crate::clips::Trajectory;

/// Joints whose bodies drift apart, turn against what is free, or go beyond their limits.
pub fn check(trajectory: &Trajectory, curation: &Curation) -> Option<Reason> {
    let index = |id: u16| trajectory.scene.instances.iter().position(|instance| instance.id == id);
    for joint in &trajectory.joints {
        let bodies = [index(joint.a), index(joint.b)];
        let mut rows = 0;
        for row in 0..=trajectory.len {
            let poses = trajectory.poses_at(row);
            let [a, b] = [(bodies[0], &joint.frame_a), (bodies[1], &joint.frame_b)]
                .map(|(body, frame)| Frame::new(body.map(|index| &poses[index]), frame));
            let fault = Fault::new(joint, &a, &b);
            let (excess, unit) = if fault.drift > curation.joint_drift {
                (fault.drift, "m")
            } else if fault.turn > curation.joint_turn {
                (fault.turn, "rad")
            } else {
                rows = 0;
                continue;
            };
            rows += 1;
            if rows >= curation.joint_rows {
                return Some(Reason::JointLimit { row, a: joint.a, b: joint.b, excess, unit });
            }
        }
    }
    None
}

/// A joint's frame in the world.
struct Frame {
    position: DVec3,
    turn: DQuat,
}

impl Frame {
    fn new(body: Option<&Pose>, local: &Pose) -> Self {
        let (place, spin) = (vector(local.position), turn(local.quat_xyzw));
        body.map_or(Self { position: place, turn: spin }, |body| {
            let own = turn(body.quat_xyzw);
            Self { position: vector(body.position) + own * place, turn: own * spin }
        })
    }
}

/// By how much a joint does not hold.
#[derive(Clone, Copy, Debug, Default)]
struct Fault {
    /// Metres.
    drift: f64,
    /// Radians.
    turn: f64,
}

impl Fault {
    fn new(joint: &Joint, a: &Frame, b: &Frame) -> Self {
        let offset = a.turn.conjugate() * (b.position - a.position);
        let between = a.turn.conjugate() * b.turn;
        let apart = offset.length();
        match joint.kind {
            JointKind::Fixed => Self { drift: apart, turn: angle(between) },
            JointKind::Ball => Self { drift: apart, turn: 0.0 },
            JointKind::Hinge => {
                let axis = (between * DVec3::X).x.clamp(-1.0, 1.0).acos();
                let position = wrapped(2.0 * between.x.atan2(between.w));
                Self { drift: apart, turn: axis.max(beyond_angle(joint.limits, position)) }
            }
            JointKind::Slider => {
                let across = offset.with_x(0.0).length();
                Self { drift: across.max(beyond(joint.limits, offset.x)), turn: angle(between) }
            }
            // Only what is too far; a rope may hang loose, and a spring gives by nature.
            JointKind::Distance if joint.motor => Self::default(),
            JointKind::Distance => {
                let longest = joint.limits.map_or(f64::INFINITY, |limits| limits[1].into());
                Self { drift: (apart - longest).max(0.0), turn: 0.0 }
            }
        }
    }
}

/// How far `position` is outside of `limits`.
fn beyond(limits: Option<[f32; 2]>, position: f64) -> f64 {
    limits.map_or(0.0, |[low, high]| (f64::from(low) - position).max(position - f64::from(high)).max(0.0))
}

/// The same on a circle.
fn beyond_angle(limits: Option<[f32; 2]>, angle: f64) -> f64 {
    let Some([low, high]) = limits.map(|limits| limits.map(f64::from)) else { return 0.0 };
    let turned = |by: f64| beyond(limits, angle + by);
    if high - low >= std::f64::consts::TAU {
        return 0.0;
    }
    turned(0.0).min(turned(std::f64::consts::TAU)).min(turned(-std::f64::consts::TAU))
}

fn angle(turn: DQuat) -> f64 {
    2.0 * turn.w.abs().clamp(0.0, 1.0).acos()
}

/// An angle within ±π.
fn wrapped(angle: f64) -> f64 {
    (angle + std::f64::consts::PI).rem_euclid(std::f64::consts::TAU) - std::f64::consts::PI
}
