use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use rapier3d::prelude::*;
use rapier3d_urdf::urdf_rs;
use rapier3d_urdf::{UrdfLoaderOptions, UrdfRobot};

use super::model::{LinkSpec, Mimic, Source};
use super::{Control, JointKind, JointSpec, RobotModel, drive, look, mjcf, unhonoured};
use crate::EnvError;

const GREY: [f32; 3] = [0.22; 3];
/// A limit of effort or speed that is 0 in the file means none was written.
const UNLIMITED: f32 = f32::INFINITY;

/// Reads URDF.
pub(super) fn read(
    text: &str,
    document: &roxmltree::Document<'_>,
    folder: &Path,
) -> Result<RobotModel, EnvError> {
    check_tree(document)?;
    let loaded =
        catch_unwind(AssertUnwindSafe(|| UrdfRobot::from_str(text, UrdfLoaderOptions::default(), folder)));
    let (mut robot, file) = loaded
        .map_err(|_| EnvError::Robot { message: "the URDF loader gave up on it".to_owned() })?
        .map_err(|error| EnvError::Robot { message: format!("{error:#}") })?;
    // ROS's convention: what hangs on a link called `world` stands still.
    for (i, link) in robot.links.iter_mut().enumerate() {
        let root = robot.joints.iter().all(|joint| joint.link2 != i);
        if root && file.links[link.urdf_link_index].name == "world" {
            link.body.set_body_type(RigidBodyType::Fixed, false);
        }
    }
    let joints = joints(&robot, &file);
    let links = robot
        .links
        .iter()
        .map(|link| {
            let described = &file.links[link.urdf_link_index];
            LinkSpec {
                name: described.name.clone(),
                color_linear: color(described, &file).unwrap_or(GREY),
                shapes: link
                    .colliders
                    .iter()
                    .map(|part| {
                        let place = *part.collider.position();
                        (part.collider.shared_shape().clone(), place)
                    })
                    .collect(),
            }
        })
        .collect();
    let actuators = drive::for_joints(&joints, Control::Force);
    let warnings = unhonoured::of_urdf(document);
    Ok(RobotModel {
        source: Source::Urdf(Box::new(robot)),
        joints,
        actuators,
        warnings,
        links,
        self_contacts: true,
        weightless: false,
    })
}

/// The loader takes joints on trust; a joint to nowhere or a second parent would become a robot with parts missing.
fn check_tree(document: &roxmltree::Document<'_>) -> Result<(), EnvError> {
    let refuse = |message: String| Err(EnvError::Robot { message });
    let parts = |tag| document.root_element().children().filter(move |node| node.has_tag_name(tag));
    let links: Vec<_> = parts("link").filter_map(|link| link.attribute("name")).collect();
    if links.is_empty() {
        return refuse("there is no <link>, expected at least one".to_owned());
    }
    let mut hung: Vec<(&str, &str)> = Vec::new();
    for joint in parts("joint") {
        let name = joint.attribute("name").unwrap_or_default();
        let end = |tag| joint.children().find(|node| node.has_tag_name(tag))?.attribute("link");
        let [Some(parent), Some(child)] = [end("parent"), end("child")] else {
            return refuse(format!("joint {name:?} lacks <parent link=…/> or <child link=…/>"));
        };
        if let Some(unknown) = [parent, child].iter().find(|end| !links.contains(end)) {
            return refuse(format!("joint {name:?} names link {unknown:?}, which is not there"));
        }
        if let Some((_, first)) = hung.iter().find(|(link, _)| *link == child) {
            return refuse(format!("link {child:?} hangs on both {first:?} and {name:?}, expected a tree"));
        }
        hung.push((child, name));
    }
    Ok(())
}

fn color(link: &urdf_rs::Link, file: &urdf_rs::Robot) -> Option<[f32; 3]> {
    let material = link.visual.iter().find_map(|visual| visual.material.as_ref())?;
    let shared = || file.materials.iter().find(|known| known.name == material.name)?.color.as_ref();
    let rgba = material.color.as_ref().or_else(shared)?.rgba.0;
    Some([rgba[0], rgba[1], rgba[2]].map(|value| look::linear(value as f32)))
}

fn joints(robot: &UrdfRobot, file: &urdf_rs::Robot) -> Vec<JointSpec> {
    let described: Vec<_> =
        robot.joints.iter().map(|joint| &file.joints[joint.source_urdf_joint_index()]).collect();
    let limit = |value: f64| if value > 0.0 { value as f32 } else { UNLIMITED };
    described
        .iter()
        .zip(&robot.joints)
        .map(|(joint, loaded)| {
            let kind = mjcf::kind(&loaded.joint);
            let bounded = kind == JointKind::Slider || joint.joint_type == urdf_rs::JointType::Revolute;
            JointSpec {
                name: joint.name.clone(),
                kind,
                limits: bounded.then_some([joint.limit.lower as f32, joint.limit.upper as f32]),
                effort_max: limit(joint.limit.effort),
                velocity_max: limit(joint.limit.velocity),
                damping: joint.dynamics.as_ref().map_or(0.0, |dynamics| dynamics.damping as f32),
                armature: 0.0,
                friction: joint.dynamics.as_ref().map_or(0.0, |dynamics| dynamics.friction as f32),
                mimic: joint.mimic.as_ref().and_then(|mimic| {
                    Some(Mimic {
                        joint: described.iter().position(|other| other.name == mimic.joint)?,
                        coefficient: mimic.multiplier.unwrap_or(1.0) as f32,
                        offset: mimic.offset.unwrap_or(0.0) as f32,
                    })
                }),
                reference: 0.0,
            }
        })
        .collect()
}
