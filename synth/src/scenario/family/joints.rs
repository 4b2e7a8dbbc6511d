//! Joints: a family says where they are in the world at the start, frames in the bodies follow.

use rapier3d::prelude::*;

use super::build::{Built, Materials, triple};
use super::file::{JointFile, JointKind, MotorFile};
use super::parameters::{ValueScope, evaluate};
use crate::scenario::expression::Expression;

/// Adds all joints of the family.
pub(super) fn add(materials: &Materials<'_>, built: &mut Built) -> Result<(), String> {
    for (position, joint) in materials.file.joints.iter().enumerate() {
        let label = joint.name.clone().unwrap_or_else(|| position.to_string());
        let key = format!("joints.{label}");
        let scope = ValueScope { values: materials.values, repeated: None };
        let count = match &joint.repeat {
            None => None,
            Some(repeat) => {
                Some(evaluate(repeat, &scope, || format!("{key}.repeat"))?.clamp(0.0, 64.0) as usize)
            }
        };
        for i in 0..count.unwrap_or(1) {
            let repeated = count.map(|count| (i, count));
            let scope = ValueScope { values: materials.values, repeated };
            let handle = join(joint, &scope, built, &key)?;
            let name = if repeated.is_some() { format!("{label}_{i}") } else { label.clone() };
            built.joints.insert(name, handle);
        }
    }
    Ok(())
}

fn join(
    joint: &JointFile,
    scope: &ValueScope<'_>,
    built: &mut Built,
    key: &str,
) -> Result<ImpulseJointHandle, String> {
    let [a, b] = [body(&joint.between[0], scope, built, key)?, body(&joint.between[1], scope, built, key)?];
    let at = Vector::from(triple(&joint.at, scope, &format!("{key}.at"))?);
    let axis = match &joint.axis {
        Some(axis) => Vector::from(triple(axis, scope, &format!("{key}.axis"))?),
        None => Vector::X,
    };
    if axis.length() < 1e-6 {
        return Err(format!("{key}.axis: has no length, expected a direction"));
    }
    let data = match joint.kind {
        JointKind::Rope | JointKind::Spring => {
            let to = joint.to.as_ref().ok_or(format!("{key}: a rope or spring needs `to`"))?;
            let to = Vector::from(triple(to, scope, &format!("{key}.to"))?);
            distance(joint, scope, (at, to), built, ([a, b], key))?
        }
        kind => {
            let frame = Pose::from_parts(at, GenericJoint::complete_ang_frame(axis.normalize()));
            let [frame_a, frame_b] = [a, b].map(|body| built.world.body(body).position().inv_mul(&frame));
            let (locked, free) = match kind {
                JointKind::Revolute => (JointAxesMask::LOCKED_REVOLUTE_AXES, Some(JointAxis::AngX)),
                JointKind::Prismatic => (JointAxesMask::LOCKED_PRISMATIC_AXES, Some(JointAxis::LinX)),
                JointKind::Spherical => (JointAxesMask::LOCKED_SPHERICAL_AXES, None),
                _ => (JointAxesMask::LOCKED_FIXED_AXES, None),
            };
            let data = GenericJointBuilder::new(locked).local_frame1(frame_a).local_frame2(frame_b);
            drive(joint, data, free, scope, key)?
        }
    };
    Ok(built.world.join(a, b, data.contacts_enabled(joint.contacts).build()))
}

/// Limits, motor and friction of a hinge or slide.
fn drive(
    joint: &JointFile,
    mut data: GenericJointBuilder,
    free: Option<JointAxis>,
    scope: &ValueScope<'_>,
    key: &str,
) -> Result<GenericJointBuilder, String> {
    let Some(axis) = free else {
        let driven = joint.motor.is_some() || joint.limits.is_some() || joint.friction.is_some();
        if driven {
            return Err(format!("{key}: limits, motor and friction are for revolute and prismatic joints"));
        }
        return Ok(data);
    };
    let value = |expression: &Expression, field: &str| {
        evaluate(expression, scope, || format!("{key}.{field}")).map(|value| value as f32)
    };
    if let Some([low, high]) = &joint.limits {
        data = data.limits(axis, [value(low, "limits[0]")?, value(high, "limits[1]")?]);
    }
    if let Some(friction) = &joint.friction {
        let friction = value(friction, "friction")?;
        // A motor without damping is one without give: it would hold the joint for good.
        if friction > 0.0 {
            data = data.motor_model(axis, MotorModel::ForceBased).motor_velocity(axis, 0.0, friction);
        }
    }
    if let Some(MotorFile { target, stiffness, damping, force_max }) = &joint.motor {
        let gain = scope.values["motor_gain"] as f32;
        let [stiffness, damping] = [value(stiffness, "motor.stiffness")?, value(damping, "motor.damping")?];
        data = data.motor_model(axis, MotorModel::ForceBased).motor_position(
            axis,
            value(target, "motor.target")?,
            stiffness * gain,
            damping * gain,
        );
        if let Some(force_max) = force_max {
            data = data.motor_max_force(axis, value(force_max, "motor.force_max")?);
        }
    }
    Ok(data)
}

fn distance(
    joint: &JointFile,
    scope: &ValueScope<'_>,
    (at, to): (Vector, Vector),
    built: &Built,
    ([a, b], key): ([RigidBodyHandle; 2], &str),
) -> Result<GenericJointBuilder, String> {
    let length = match &joint.length {
        Some(length) => evaluate(length, scope, || format!("{key}.length"))? as f32,
        None => (to - at).length(),
    };
    let anchors = [(a, at), (b, to)]
        .map(|(body, point)| built.world.body(body).position().inverse_transform_point(point));
    let data = GenericJointBuilder::new(JointAxesMask::empty())
        .coupled_axes(JointAxesMask::LIN_AXES)
        .local_anchor1(anchors[0])
        .local_anchor2(anchors[1]);
    if joint.kind == JointKind::Rope {
        return Ok(data.limits(JointAxis::LinX, [0.0, length]));
    }
    let motor = joint.motor.as_ref().ok_or(format!("{key}: a spring needs a motor for its stiffness"))?;
    let value = |expression: &Expression, field: &str| {
        evaluate(expression, scope, || format!("{key}.motor.{field}")).map(|value| value as f32)
    };
    Ok(data.motor_model(JointAxis::LinX, MotorModel::ForceBased).motor_position(
        JointAxis::LinX,
        length,
        value(&motor.stiffness, "stiffness")?,
        value(&motor.damping, "damping")?,
    ))
}

/// The body of `link[i + 1]` or `anchor`.
fn body(text: &str, scope: &ValueScope<'_>, built: &Built, key: &str) -> Result<RigidBodyHandle, String> {
    let name = match text.split_once('[').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?))) {
        None => text.to_owned(),
        Some((name, index)) => {
            let index = Expression::parse(index).map_err(|error| format!("{key}.between: {error}"))?;
            format!("{name}_{}", evaluate(&index, scope, || format!("{key}.between"))?)
        }
    };
    let position = built.names.bodies.get(&name).ok_or_else(|| {
        let known: Vec<_> = built.names.bodies.keys().map(String::as_str).collect();
        format!("{key}.between: there is no body {name:?}; there are {}", known.join(", "))
    })?;
    Ok(built.handles[*position])
}
