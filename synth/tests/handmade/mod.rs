//! Clips made by hand, whose truth is known by construction.
#![allow(dead_code)]

use std::collections::BTreeMap;

use worldstep_env::record::Contact;
use worldstep_env::scene::semantic_class;
use worldstep_env::{Camera, CameraMotion, Instance, Pose, Scene, Shape, Surface, Velocity};
use worldstep_synth::clips::{Link, Sensor, Trajectory};

pub const FPS: u32 = 30;
pub const G: f32 = 9.81;

/// One thing and where it is at any time.
pub struct Thing {
    pub name: &'static str,
    pub shape: Shape,
    pub color_linear: [f32; 3],
    /// Infinite for what never moves.
    pub mass: f32,
    pub path: Box<dyn Fn(f32) -> (Pose, Velocity)>,
}

pub fn at(position: [f32; 3]) -> Pose {
    Pose { position, quat_xyzw: [0.0, 0.0, 0.0, 1.0] }
}

/// A thing that stays where it is.
pub fn fixed(name: &'static str, shape: Shape, position: [f32; 3]) -> Thing {
    let path = move |_: f32| (at(position), Velocity::default());
    Thing { name, shape, color_linear: [0.4, 0.4, 0.4], mass: f32::INFINITY, path: Box::new(path) }
}

/// A floor whose surface is z = 0.
pub fn floor() -> Thing {
    fixed("ground", Shape::Cuboid { half_extents: [5.0, 5.0, 0.1] }, [0.0, 0.0, -0.1])
}

/// A ball of 0.1 m and 1 kg on a path.
pub fn ball(path: impl Fn(f32) -> ([f32; 3], [f32; 3]) + 'static) -> Thing {
    let path = move |t: f32| {
        let (position, linear) = path(t);
        (at(position), Velocity { linear, angular: [0.0; 3] })
    };
    let color_linear = [0.7, 0.02, 0.02];
    Thing {
        name: "ball",
        shape: Shape::Sphere { radius: 0.1 },
        color_linear,
        mass: 1.0,
        path: Box::new(path),
    }
}

/// A camera that looks along y from 6 m away; 3 m wide at the origin.
pub fn camera() -> Camera {
    Camera::new([0.0, -6.0, 0.5], [0.0, 0.0, 0.5], 2.0 * 0.25_f32.atan())
}

/// `rows` rows of `things`.
pub fn clip(things: Vec<Thing>, rows: usize, contacts: Vec<(u32, Contact)>) -> Trajectory {
    let (mut poses, mut velocities) = (Vec::new(), Vec::new());
    for row in 0..=rows {
        for thing in &things {
            let (pose, velocity) = (thing.path)(row as f32 / FPS as f32);
            poses.push(pose);
            velocities.push(velocity);
        }
    }
    let physical = things.iter().map(|thing| [thing.mass, 0.5, 0.5]).collect();
    Trajectory {
        scenario: "handmade".to_owned(),
        seed: 0,
        policy: "noop",
        scene: scene(&things),
        fps: FPS,
        len: rows,
        poses,
        velocities,
        soft_vertices: Vec::new(),
        cameras: vec![camera(); rows + 1],
        state: Vec::new(),
        action: vec![0.0; rows],
        reward: vec![0.0; rows],
        terminated: vec![false; rows],
        truncated: vec![false; rows],
        success: vec![false; rows],
        visibility: Vec::new(),
        contacts,
        forces: Vec::new(),
        events: Vec::new(),
        caption: String::new(),
        outcome: String::new(),
        parameters: BTreeMap::new(),
        physical,
        gravity: [0.0, 0.0, -G],
        joints: Vec::new(),
        sensor: Sensor::default(),
        link: Link::Single,
    }
}

fn scene(things: &[Thing]) -> Scene {
    let class = |thing: &Thing| match thing.shape {
        _ if thing.name == "ground" => "ground",
        _ if thing.name == "screen" => "screen",
        Shape::Sphere { .. } => "ball",
        _ => "block",
    };
    let instance = |(index, thing): (usize, &Thing)| Instance {
        id: index as u16 + 1,
        semantic: semantic_class(class(thing)).unwrap(),
        name: thing.name.to_owned(),
        shape: thing.shape,
        color_linear: thing.color_linear,
        surface: Surface::default(),
        moving: thing.mass.is_finite(),
        actuated: false,
    };
    Scene {
        instances: things.iter().enumerate().map(instance).collect(),
        meshes: Vec::new(),
        camera: camera(),
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.5; 3],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

/// A contact between two ids; the impulse acts on `b`.
pub fn contact(frame: u32, a: u16, b: u16, normal: [f32; 3], impulse: [f32; 3]) -> (u32, Contact) {
    (frame, Contact { a, b, point: [0.0; 3], normal, impulse, penetration: 0.0 })
}

/// A ball (id 2) of 1 kg that falls on the floor (id 1) from `height` (of its underside), bounces with `restitution`
/// until it would leave slower than 0.8 m/s, and lies still from then on. Gives the clip and the frames of its impacts.
pub fn bouncing(height: f32, restitution: f32, rows: usize) -> (Trajectory, Vec<u32>) {
    let mut flights = vec![(0.0_f32, height, 0.0_f32)];
    let mut fall_s = (2.0 * height / G).sqrt();
    let (mut time, mut speed) = (fall_s, G * fall_s);
    let mut impacts = Vec::new();
    while speed * restitution > 0.8 {
        impacts.push((time, speed * (1.0 + restitution)));
        speed *= restitution;
        flights.push((time, 0.0, speed));
        fall_s = 2.0 * speed / G;
        time += fall_s;
    }
    impacts.push((time, speed));
    let end = time;
    let path = move |t: f32| {
        if t >= end {
            return ([0.0, 0.0, 0.1], [0.0; 3]);
        }
        let flight = flights.iter().rev().find(|flight| flight.0 <= t).unwrap();
        let s = t - flight.0;
        ([0.0, 0.0, 0.1 + flight.1 + flight.2 * s - 0.5 * G * s * s], [0.0, 0.0, flight.2 - G * s])
    };
    let mut contacts: Vec<_> = impacts
        .iter()
        .map(|(time, change)| contact((time * FPS as f32) as u32, 1, 2, [0.0, 0.0, 1.0], [0.0, 0.0, *change]))
        .collect();
    let frames = contacts.iter().map(|(frame, _)| *frame).collect();
    let lying = (end * FPS as f32) as u32 + 1;
    let weight = [0.0, 0.0, G / FPS as f32];
    contacts.extend((lying..rows as u32).map(|frame| contact(frame, 1, 2, [0.0, 0.0, 1.0], weight)));
    (clip(vec![floor(), ball(path)], rows, contacts), frames)
}
