//! Sensors tell what physics says: an inertial unit at rest, in free fall and on a turntable; the weight on a foot.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rapier3d::prelude::*;
use worldstep_env::physics::{Look, World, mesh_collider};
use worldstep_env::robot::RobotModel;
use worldstep_env::sensor::{ContactForce, Imu, JointState, RangeFinder, RangeScan, Sensor, TrackedBodies};
use worldstep_env::{Camera, Mesh, Shape};

fn world() -> World {
    World::new(100, 1, Camera::new([0.0, -3.0, 3.0], [0.0; 3], 0.8))
}

fn ball(world: &mut World, body: RigidBodyBuilder) -> RigidBodyHandle {
    let look = Look::moving("ball", Shape::Sphere { radius: 0.1 }, [0.5; 3]);
    world.add(look, body.can_sleep(false), ColliderBuilder::ball(0.1).mass(2.0)).0
}

fn read(sensor: &mut dyn Sensor, world: &World) -> Vec<f32> {
    let mut out = Vec::new();
    sensor.read(world, &mut out);
    assert!(sensor.space().check(&worldstep_env::Buffer::F32(out.clone()), 1).is_ok(), "{out:?}");
    out
}

fn assert_near(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    assert!(
        found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= tolerance),
        "{found:?}, not {expected:?}"
    );
}

#[test]
fn an_inertial_unit_feels_its_support_and_not_its_fall() {
    let mut world = world();
    world.add_ground(1.0);
    let rests = ball(&mut world, RigidBodyBuilder::dynamic().translation(Vector::new(0.0, 0.0, 0.1)));
    // Lying on its side: its x points down.
    let tilted = RigidBodyBuilder::dynamic().translation(Vector::new(0.0, 0.0, 5.0)).rotation(Vector::new(
        0.0,
        std::f32::consts::FRAC_PI_2,
        0.0,
    ));
    let falls = ball(&mut world, tilted);
    let (mut on_ground, mut in_air) = (Imu::new(rests, [0.0; 3]), Imu::new(falls, [0.0; 3]));
    // Before anything has moved, both are taken for unaccelerated.
    assert_near(&read(&mut in_air, &world), &[0.0, 0.0, 0.0, -9.81, 0.0, 0.0], 1e-4);
    for _ in 0..50 {
        world.control_step();
        read(&mut on_ground, &world);
    }
    world.control_step();
    assert_near(&read(&mut on_ground, &world), &[0.0, 0.0, 0.0, 0.0, 0.0, 9.81], 0.05);
    read(&mut in_air, &world);
    world.control_step();
    assert_near(&read(&mut in_air, &world), &[0.0; 6], 0.05);
}

#[test]
fn an_inertial_unit_on_a_turntable_feels_the_centre() {
    let mut world = world();
    world.set_gravity([0.0; 3]);
    let table = RigidBodyBuilder::kinematic_velocity_based().angvel(Vector::new(0.0, 0.0, 3.0));
    let table = ball(&mut world, table);
    let mut imu = Imu::new(table, [0.5, 0.0, 0.0]);
    read(&mut imu, &world);
    for _ in 0..10 {
        world.control_step();
        // ω²r towards the centre: -4.5 m/s² along its own x, less what the mean over a step turns.
        assert_near(&read(&mut imu, &world), &[0.0, 0.0, 3.0, -4.5, 0.0, 0.0], 0.08);
    }
}

#[test]
fn a_body_at_rest_presses_with_its_weight() {
    let mut world = world();
    world.add_ground(1.0);
    let rests = ball(&mut world, RigidBodyBuilder::dynamic().translation(Vector::new(0.0, 0.0, 0.1)));
    let falls = ball(&mut world, RigidBodyBuilder::dynamic().translation(Vector::new(2.0, 0.0, 9.0)));
    (0..60).for_each(|_| world.control_step());
    let mut sensor = ContactForce { bodies: vec![rests, falls] };
    assert_near(&read(&mut sensor, &world), &[2.0 * 9.81, 0.0], 0.3);
}

#[test]
fn a_body_on_triangles_presses_with_its_weight_too() {
    let mut world = world();
    let corners = (0..9).map(|i| [(i % 3) as f32 - 1.0, (i / 3) as f32 - 1.0, 0.0]).collect();
    let cells = [0, 1, 3, 4].into_iter().flat_map(|a| [[a, a + 1, a + 4], [a, a + 4, a + 3]]);
    let mesh = Mesh { vertices: corners, triangles: cells.collect(), ..Mesh::default() };
    let collider = mesh_collider(&mesh).unwrap();
    let shape = world.add_mesh(mesh);
    world.add(Look::fixed("ground", shape, [0.3; 3]), RigidBodyBuilder::fixed(), collider);
    let look = Look::moving("box", Shape::Cuboid { half_extents: [0.4, 0.4, 0.1] }, [0.5; 3]);
    let body = RigidBodyBuilder::dynamic().translation(Vector::new(0.05, 0.1, 0.1)).can_sleep(false);
    let (body, _) = world.add(look, body, ColliderBuilder::cuboid(0.4, 0.4, 0.1).mass(3.0));
    (0..100).for_each(|_| world.control_step());
    assert_near(&read(&mut ContactForce { bodies: vec![body] }, &world), &[3.0 * 9.81], 1.0);
}

#[test]
fn tracked_bodies_and_rays_and_joints() {
    let mut world = world();
    let moving = RigidBodyBuilder::dynamic()
        .translation(Vector::new(1.0, 2.0, 3.0))
        .linvel(Vector::new(0.5, 0.0, 0.0))
        .angvel(Vector::new(0.0, 0.0, 0.25));
    let body = ball(&mut world, moving);
    let seen = read(&mut TrackedBodies { bodies: vec![body] }, &world);
    assert_near(&seen, &[1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.25], 0.0);
    let other = ball(&mut world, RigidBodyBuilder::fixed().translation(Vector::new(3.0, 2.0, 3.0)));
    let finder = RangeFinder { rays: 1, view: 0.0, range_max: 5.0, origin: [0.0; 3] };
    let mut scan = RangeScan { finder, body, ignored: Vec::new() };
    assert_near(&read(&mut scan, &world), &[1.9], 1e-4);
    scan.ignored.push(other);
    assert_near(&read(&mut scan, &world), &[5.0], 0.0);
    let text = r#"<mujoco><worldbody><body><joint name="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -1" size="0.05" mass="1"/></body></worldbody></mujoco>"#;
    let model = RobotModel::from_text(text, std::path::Path::new(".")).unwrap();
    let robot = world.add_robot(&model).unwrap();
    robot.set_joints(&mut world, &[(0, [0.3, -0.7])]);
    assert_near(&read(&mut JointState::new(&robot, vec![0]), &world), &[0.3, -0.7], 1e-6);
}
