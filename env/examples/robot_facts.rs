//! Prints what became of a robot's file as JSON: links, joints, what is not done, and how it moves if nobody drives it.
//! `cargo run -p worldstep-env --example robot_facts -- FILE [SECONDS [JOINT=POSITION ...]]`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use serde_json::json;
use worldstep_env::Camera;
use worldstep_env::physics::World;
use worldstep_env::robot::{JointKind, RobotModel};

/// Control steps in a second, and physics steps in each; Rapier divides these into four of its own.
const FPS: u32 = 50;
const SUBSTEPS: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: robot_facts FILE [SECONDS [JOINT=POSITION ...]]")?;
    let seconds: f32 = arguments.next().map_or(Ok(0.0), |text| text.parse())?;
    let model = RobotModel::from_file(Path::new(&file))?;
    let mut world = World::new(FPS, SUBSTEPS, Camera::new([0.0, -5.0, 1.0], [0.0; 3], 0.6));
    let mut robot = world.add_robot(&model)?;
    let mut start = Vec::new();
    for setting in arguments {
        let (joint, position) = setting.split_once('=').ok_or("expected JOINT=POSITION")?;
        let joint = robot.joint(joint).ok_or_else(|| format!("there is no joint {joint:?}"))?;
        start.push((joint, [position.parse()?, 0.0]));
    }
    robot.set_joints(&mut world, &start);
    robot.command(&mut world, &vec![0.0; robot.actuators().len()]);

    let bodies: Vec<_> = robot.bodies().collect();
    let links: Vec<_> = robot
        .link_names()
        .zip(&bodies)
        .map(|(name, body)| {
            let properties = &world.body(*body).mass_properties().local_mprops;
            json!({
                "name": name,
                "mass": properties.mass(),
                "center": properties.local_com.to_array(),
                "principal_inertia": properties.principal_inertia().to_array(),
            })
        })
        .collect();
    let hinges: Vec<_> =
        model.joints().iter().enumerate().filter(|(_, joint)| joint.kind != JointKind::Fixed).collect();
    let mut track = Vec::new();
    for step in 0..=(seconds * FPS as f32) as u32 {
        let joints: Vec<_> = hinges.iter().map(|(i, _)| robot.joint_state(&world, *i)[0]).collect();
        let places: Vec<_> = bodies.iter().map(|body| world.body(*body).translation().to_array()).collect();
        track.push(json!({ "time": step as f32 / FPS as f32, "joints": joints, "places": places }));
        robot.control_step(&mut world);
    }
    let joints: Vec<_> = hinges
        .iter()
        .map(|(_, joint)| {
            json!({
                "name": joint.name,
                "kind": joint.kind,
                "limits": joint.limits,
                "damping": joint.damping,
                "armature": joint.armature,
            })
        })
        .collect();
    println!("{}", json!({ "links": links, "joints": joints, "warnings": model.warnings(), "track": track }));
    Ok(())
}
