//! Soft bodies: they fall, rest, drape and hang, keep their shape and their momentum, and go through snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rapier3d::prelude::*;
use worldstep_env::physics::{Look, SoftId, SoftMaterial, SoftShape, World};
use worldstep_env::record::Contact;
use worldstep_env::{Camera, Pose, Shape};

const FPS: u32 = 30;
const UPRIGHT: [f32; 4] = [0.0, 0.0, 0.0, 1.0];

fn world() -> World {
    let mut world = World::new(FPS, 2, Camera::new([0.0, -4.0, 2.0], [0.0; 3], 0.8));
    let look = Look::fixed("ground", Shape::Cuboid { half_extents: [3.0, 3.0, 0.5] }, [0.4; 3]);
    let collider = ColliderBuilder::cuboid(3.0, 3.0, 0.5).friction(0.6);
    world.add(look, RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -0.5)), collider);
    world
}

fn look(class: &'static str) -> Look {
    Look::moving(class, Shape::Sphere { radius: 0.1 }, [0.7, 0.3, 0.1]).of_class(class)
}

fn jelly(world: &mut World, z: f32, hz: f32) -> SoftId {
    let pose = Pose { position: [0.0, 0.0, z], quat_xyzw: UPRIGHT };
    let shape = SoftShape::Cuboid { pose, half_extents: [0.15; 3], particles: [4; 3] };
    let material = SoftMaterial { mass: 1.0, stretch_hz: hz, drag: 0.0, ..SoftMaterial::default() };
    world.add_soft(look("soft_body"), &shape, &material, &[]).unwrap()
}

fn cloth(world: &mut World, z: f32) -> SoftId {
    let pose = Pose { position: [-0.4, -0.4, z], quat_xyzw: UPRIGHT };
    let shape = SoftShape::Cloth { pose, size: [0.8, 0.8], particles: [11, 11] };
    let material = SoftMaterial {
        mass: 0.3,
        radius: 0.012,
        bend_hz: 1.0,
        damping: 0.5,
        drag: 0.5,
        ..Default::default()
    };
    world.add_soft(look("cloth"), &shape, &material, &[]).unwrap()
}

fn rope(world: &mut World, pinned: &[u32]) -> SoftId {
    let shape = SoftShape::Rope { from: [0.0, 1.0, 1.5], to: [1.0, 1.0, 1.5], particles: 20 };
    let material =
        SoftMaterial { mass: 0.3, radius: 0.02, stretch_hz: 60.0, damping: 0.5, ..Default::default() };
    world.add_soft(look("rope"), &shape, &material, pinned).unwrap()
}

/// Least and greatest corner of the soft vertices.
fn bounds(world: &World) -> [[f32; 3]; 2] {
    let mut vertices = Vec::new();
    world.soft_vertices(&mut vertices);
    let meet = |pick: fn(f32, f32) -> f32| {
        vertices.iter().copied().reduce(|a, b| std::array::from_fn(|k| pick(a[k], b[k]))).unwrap()
    };
    [meet(f32::min), meet(f32::max)]
}

fn on(contact: &Contact, id: u16) -> Vector {
    let sign = [(contact.a, -1.0), (contact.b, 1.0)].into_iter().find(|(body, _)| *body == id);
    Vector::from(contact.impulse) * sign.map_or(0.0, |(_, sign)| sign)
}

#[test]
fn a_soft_cube_lands_gives_way_and_keeps_its_volume() {
    let mut world = world();
    let cube = jelly(&mut world, 0.6, 10.0);
    let size = world.soft_body(cube).volume();
    let mut flattest = f32::MAX;
    for _ in 0..90 {
        world.control_step();
        let [low, high] = bounds(&world);
        flattest = flattest.min(high[2] - low[2]);
        assert!(world.is_finite() && low[2] > -0.02, "{low:?}");
    }
    assert!(flattest < 0.27, "it gives way when it lands: {flattest} of 0.31 m");
    let [low, high] = bounds(&world);
    assert!(low[2].abs() < 0.005 && high[2] > 0.25, "at rest on the ground: {low:?} {high:?}");
    let kept = world.soft_body(cube).volume() / size;
    assert!((kept - 1.0).abs() < 0.1, "{kept} of its volume");
    let mut velocities = Vec::new();
    world.velocities(&mut velocities);
    assert!(Vector::from(velocities[1].linear).length() < 0.05, "{velocities:?}");
}

#[test]
fn contacts_of_soft_bodies_account_for_momentum() {
    let mut world = world();
    jelly(&mut world, 0.3, 20.0);
    let box_look = Look::moving("block", Shape::Cuboid { half_extents: [0.1; 3] }, [0.1, 0.2, 0.7]);
    let body = RigidBodyBuilder::dynamic().translation(Vector::new(0.02, 0.0, 0.7)).can_sleep(false);
    world.add(box_look, body, ColliderBuilder::cuboid(0.1, 0.1, 0.1).mass(0.5));
    world.record(true);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let (mut worst, mut met) = (0.0_f32, false);
    for _ in 0..60 {
        world.velocities(&mut before);
        world.control_step();
        world.velocities(&mut after);
        for (i, mass) in [(1, 1.0), (2, 0.5)] {
            let gained = (Vector::from(after[i].linear) - Vector::from(before[i].linear)) * mass;
            let weight = Vector::from(world.gravity()) * (mass / FPS as f32);
            let id = i as u16 + 1;
            let contacts: Vector = world.contacts().iter().map(|contact| on(contact, id)).sum();
            worst = worst.max((gained - weight - contacts).length() / (contacts.length() + weight.length()));
        }
        met |= world.contacts().iter().any(|contact| (contact.a, contact.b) == (2, 3));
    }
    assert!(met, "the box falls on the cube");
    assert!(worst < 2e-3, "{worst} of the momentum is unexplained");
}

#[test]
fn cloth_drapes_over_a_ball_and_a_rope_hangs_from_its_pin() {
    let mut world = world();
    let ball = Look::fixed("ball", Shape::Sphere { radius: 0.25 }, [0.2; 3]);
    let at = RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, 0.25));
    world.add(ball, at, ColliderBuilder::ball(0.25).friction(0.6));
    let (cloth, rope) = (cloth(&mut world, 0.62), rope(&mut world, &[0]));
    (0..60).for_each(|_| world.control_step());
    for position in world.soft_body(cloth).particle_positions() {
        let out = (position - Vector::new(0.0, 0.0, 0.25)).length();
        assert!(out > 0.245, "outside the ball: {out}");
    }
    let height = |i: usize| world.soft_body(cloth).particle_position(i).z;
    assert!(height(60) > 0.45, "its middle lies on the ball: {}", height(60));
    assert!(height(0) < 0.35, "its corner hangs down: {}", height(0));
    let rope = world.soft_body(rope);
    assert!((rope.particle_position(0) - Vector::new(0.0, 1.0, 1.5)).length() < 1e-4);
    let length: f32 =
        (1..20).map(|i| (rope.particle_position(i) - rope.particle_position(i - 1)).length()).sum();
    assert!((length - 1.0).abs() < 0.03, "{length} m of rope");
    assert!(world.is_finite());
}

#[test]
fn a_loaded_world_with_soft_bodies_goes_on_as_the_saved_one() {
    let mut world = world();
    jelly(&mut world, 0.3, 15.0);
    cloth(&mut world, 0.6);
    rope(&mut world, &[0, 19]);
    world.record(true);
    for steps in [5, 14] {
        (0..steps).for_each(|_| world.control_step());
        let saved = world.save().unwrap();
        let mut other = self::world();
        other.record(true);
        other.load(&saved).unwrap();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for step in 0..20 {
            world.control_step();
            other.control_step();
            world.soft_vertices(&mut here);
            other.soft_vertices(&mut there);
            assert!(here == there, "step {step} after {steps}");
            assert_eq!(world.contacts(), other.contacts());
        }
    }
}

#[test]
fn a_push_moves_the_whole_of_a_soft_body_for_one_control_step() {
    let mut world = world();
    let cube = jelly(&mut world, 1.0, 20.0);
    let root = world.soft_body(cube).root_body();
    world.record(true);
    let mut velocities = Vec::new();
    for (push, expected) in [(6.0, 6.0 / FPS as f32), (0.0, 6.0 / FPS as f32)] {
        world.apply_force(root, [push, 0.0, 0.0], [0.0; 3]);
        world.control_step();
        world.velocities(&mut velocities);
        assert!((velocities[1].linear[0] - expected).abs() < 1e-3, "{velocities:?}");
        let recorded = world.forces().first().map_or(0.0, |force| force.force[0]);
        assert!((recorded - push).abs() < 1e-3, "{:?}", world.forces());
    }
}

#[test]
fn meshes_at_rest_are_closed_and_face_outwards() {
    let mut world = world();
    jelly(&mut world, 0.5, 20.0);
    rope(&mut world, &[]);
    let volumes = [0.31_f32.powi(3), std::f32::consts::PI * 0.02_f32.powi(2)];
    for (mesh, expected) in world.scene().meshes.iter().zip(volumes) {
        let corner = |i: u32| Vector::from(mesh.vertices[i as usize]);
        let volume: f32 =
            mesh.triangles.iter().map(|[a, b, c]| corner(*a).dot(corner(*b).cross(corner(*c))) / 6.0).sum();
        assert!(volume > 0.85 * expected && volume < 1.05 * expected, "{volume} m³, expected {expected}");
    }
    let mut vertices = Vec::new();
    world.soft_vertices(&mut vertices);
    let meshes = &world.scene().meshes;
    assert_eq!(vertices, [meshes[0].vertices.clone(), meshes[1].vertices.clone()].concat());
}

#[test]
fn soft_bodies_that_cannot_be_are_refused() {
    let mut world = world();
    let pose = Pose { position: [0.0; 3], quat_xyzw: UPRIGHT };
    let material = SoftMaterial::default();
    let thin = SoftShape::Cuboid { pose, half_extents: [0.1; 3], particles: [1, 4, 4] };
    let error = world.add_soft(look("soft_body"), &thin, &material, &[]).unwrap_err().to_string();
    assert!(error.contains("[1, 4, 4]") && error.contains("at least 2"), "{error}");
    let rope = SoftShape::Rope { from: [0.0; 3], to: [1.0, 0.0, 0.0], particles: 5 };
    let error = world.add_soft(look("rope"), &rope, &material, &[5]).unwrap_err().to_string();
    assert!(error.contains("0..5"), "{error}");
}
