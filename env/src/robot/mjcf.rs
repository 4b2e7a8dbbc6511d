use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rapier3d::prelude::*;
use rapier3d_mjcf::mjcf_rs::body::{Geom, Joint, JointType};
use rapier3d_mjcf::mjcf_rs::extras::{Actuator as Motor, ActuatorKind};
use rapier3d_mjcf::mjcf_rs::model::Model;
use rapier3d_mjcf::{ContactFilterMode, MjcfLoaderOptions, MjcfRobot};

use super::model::{LinkSpec, Source};
use super::{Actuator, Drive, JointKind, JointSpec, RobotModel, look, unhonoured};
use crate::EnvError;

/// sRGB of MuJoCo's own default geom colour.
const GREY: [f32; 3] = [0.5; 3];

/// Reads MJCF.
pub(super) fn read(
    text: &str,
    document: &roxmltree::Document<'_>,
    folder: &Path,
) -> Result<RobotModel, EnvError> {
    check_kinds(document)?;
    let options = MjcfLoaderOptions {
        contact_filter_mode: ContactFilterMode::Asymmetric,
        skip_plane_geoms: false,
        ..MjcfLoaderOptions::default()
    };
    // The loader indexes what a file names; a file that names nonsense must not end the process.
    let loaded = catch_unwind(AssertUnwindSafe(|| MjcfRobot::from_str(text, options, folder)));
    let (mut robot, model) = loaded
        .map_err(|_| EnvError::Robot { message: "the MJCF loader gave up on it".to_owned() })?
        .map_err(|error| EnvError::Robot { message: format!("{error:#}") })?;
    robot.bodies.iter_mut().flat_map(|body| &mut body.colliders).for_each(as_mujoco_collides);
    let joints = joints(&robot, &model);
    let mut warnings = unhonoured::of_mjcf(document);
    let actuators = model
        .actuators
        .iter()
        .enumerate()
        .filter_map(|(i, motor)| match actuator(motor, i, &joints) {
            Ok(actuator) => Some(actuator),
            Err(warning) => {
                warnings.push(warning);
                None
            }
        })
        .collect();
    let links = robot
        .bodies
        .iter()
        .enumerate()
        .map(|(i, body)| {
            let geoms = &model.bodies[body.mjcf_body_id].body.geoms;
            let visual = body.visual_meshes.iter().map(|mesh| (mesh.shape.clone(), mesh.local_pose));
            let solid =
                body.colliders.iter().map(|collider| (collider.shared_shape().clone(), *collider.position()));
            let shapes = if body.visual_meshes.is_empty() { solid.collect() } else { visual.collect() };
            LinkSpec {
                name: body.name.clone().unwrap_or_else(|| format!("body {i}")),
                color_linear: geoms
                    .iter()
                    .find_map(|geom| color(geom, &model))
                    .unwrap_or(GREY)
                    .map(look::linear),
                shapes,
            }
        })
        .collect();
    Ok(RobotModel {
        source: Source::Mjcf(Box::new(robot)),
        joints,
        actuators,
        warnings,
        links,
        self_contacts: true,
        weightless: false,
    })
}

/// The loader takes an unknown kind of joint or geom for its default; better to say so.
fn check_kinds(document: &roxmltree::Document<'_>) -> Result<(), EnvError> {
    let kinds: [(&str, &[&str]); 2] = [
        ("joint", &["hinge", "slide", "ball", "free"]),
        ("geom", &["plane", "hfield", "sphere", "capsule", "ellipsoid", "cylinder", "box", "mesh", "sdf"]),
    ];
    let in_world =
        |node: &roxmltree::Node<'_, '_>| node.ancestors().any(|above| above.has_tag_name("worldbody"));
    for node in document.descendants().filter(in_world) {
        let Some((tag, known)) = kinds.iter().find(|(tag, _)| node.has_tag_name(*tag)) else { continue };
        if let Some(kind) = node.attribute("type").filter(|kind| !known.contains(kind)) {
            let message = format!("<{tag} type={kind:?}>, expected one of {}", known.join(", "));
            return Err(EnvError::Robot { message });
        }
    }
    Ok(())
}

/// MuJoCo lets two geoms touch if either one's `contype` meets the other's `conaffinity`, and takes the larger friction.
fn as_mujoco_collides(collider: &mut Collider) {
    let groups = collider.collision_groups();
    collider.set_collision_groups(InteractionGroups { test_mode: InteractionTestMode::Or, ..groups });
    collider.set_friction_combine_rule(CoefficientCombineRule::Max);
    collider.set_active_hooks(ActiveHooks::empty());
}

fn color(geom: &Geom, model: &Model) -> Option<[f32; 3]> {
    let material = || {
        let name = geom.material.as_deref()?;
        model.assets.materials.iter().find(|material| material.name.as_deref() == Some(name))?.rgba
    };
    geom.rgba.or_else(material).map(|[r, g, b, _]| [r as f32, g as f32, b as f32])
}

/// The joints in the order in which the loader made them, the order that handles come in.
fn joints(robot: &MjcfRobot, model: &Model) -> Vec<JointSpec> {
    let named =
        |name: &str| model.joint_by_name(name).map(|(body, joint)| &model.bodies[body].body.joints[joint]);
    let mut nameless = model
        .bodies
        .iter()
        .flat_map(|entry| &entry.body.joints)
        .filter(|joint| joint.name.is_none() && joint.type_ != JointType::Free);
    robot
        .joints
        .iter()
        .enumerate()
        .map(|(i, joint)| {
            let kind = kind(&joint.joint);
            let file = match &joint.name {
                Some(name) => named(name),
                None if kind == JointKind::Fixed => None,
                None => nameless.next(),
            };
            let axis = if kind == JointKind::Slider { JointAxis::LinX } else { JointAxis::AngX };
            let reference = file.map_or(0.0, |file: &Joint| file.ref_ as f32);
            JointSpec {
                name: joint.name.clone().unwrap_or_else(|| format!("joint {i}")),
                kind,
                limits: joint
                    .joint
                    .limits(axis)
                    .map(|limits| [limits.min + reference, limits.max + reference]),
                effort_max: f32::INFINITY,
                velocity_max: f32::INFINITY,
                damping: joint.damping_per_dof,
                armature: joint.armature_per_dof,
                friction: joint.frictionloss_per_dof,
                mimic: None,
                reference,
            }
        })
        .collect()
}

pub(super) fn kind(joint: &GenericJoint) -> JointKind {
    match JointAxesMask::all() & !joint.locked_axes {
        JointAxesMask::ANG_X => JointKind::Hinge,
        JointAxesMask::LIN_X => JointKind::Slider,
        free if free.is_empty() => JointKind::Fixed,
        _ => JointKind::Ball,
    }
}

/// MuJoCo's actuator as a [`Drive`], or what to warn of.
fn actuator(motor: &Motor, i: usize, joints: &[JointSpec]) -> Result<Actuator, String> {
    let name = motor.name.clone().or_else(|| motor.joint.clone()).unwrap_or_else(|| format!("actuator {i}"));
    let driven = motor.joint.as_deref().and_then(|joint| joints.iter().position(|known| known.name == joint));
    let Some(joint) = driven else {
        return Err(format!(
            "actuator {name:?} drives no joint of the file; only joint transmissions are done"
        ));
    };
    if !matches!(joints[joint].kind, JointKind::Hinge | JointKind::Slider) {
        return Err(format!("actuator {name:?} drives {:?}, which has not one axis", joints[joint].name));
    }
    let gear = motor.gear[0] as f32;
    let parameter = |list: &[f64], i: usize| list.get(i).copied().unwrap_or(0.0) as f32;
    let gain = if motor.gainprm.is_empty() { 1.0 } else { parameter(&motor.gainprm, 0) };
    let (kp, kv) = (motor.kp.unwrap_or(1.0) as f32, motor.kv.unwrap_or_default() as f32);
    // With a gear, MuJoCo's length is gear × position and its force on the joint gear × force.
    let servo = |stiffness: f32, damping: f32| Drive::Position {
        stiffness: stiffness * gear * gear,
        damping: damping * gear * gear,
    };
    let drive = match motor.kind {
        ActuatorKind::Motor => Drive::Force { gear },
        ActuatorKind::Position => servo(kp, kv),
        ActuatorKind::Velocity => Drive::Velocity { damping: motor.kv.unwrap_or(1.0) as f32 * gear * gear },
        ActuatorKind::General if motor.bias_type.as_deref() == Some("affine") => {
            let stiffness = -parameter(&motor.biasprm, 1);
            if (stiffness - gain).abs() > 1e-3 * gain.abs() || parameter(&motor.biasprm, 0) != 0.0 {
                return Err(format!("actuator {name:?}: an affine bias that is no servo is not done"));
            }
            servo(stiffness, -parameter(&motor.biasprm, 2))
        }
        ActuatorKind::General => Drive::Force { gear: gain * gear },
        kind => {
            return Err(format!(
                "actuator {name:?} of kind {kind:?} is not done; use motor, position or velocity"
            ));
        }
    };
    if gear != 1.0 && !matches!(drive, Drive::Force { .. }) {
        return Err(format!("actuator {name:?}: a servo with a gear of {gear} is not done"));
    }
    let infinite = [f32::NEG_INFINITY, f32::INFINITY];
    Ok(Actuator {
        name,
        joint,
        drive,
        range: motor.ctrl_range.map_or(infinite, |range| range.map(|value| value as f32)),
        force_max: motor
            .force_range
            .map_or(f32::INFINITY, |range| (range[0].abs().max(range[1].abs())) as f32),
    })
}
