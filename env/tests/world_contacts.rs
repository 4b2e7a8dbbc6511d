//! Contacts, forces and joints as a world records them: momentum is accounted for, and recording changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rapier3d::prelude::*;
use worldstep_env::physics::{Look, World, capsule_collider, hull_collider, mesh_collider};
use worldstep_env::record::{Contact, JointKind};
use worldstep_env::{
    AutoresetMode, Buffer, Camera, Mesh, Pose, Shape, TruthSource as _, VectorEnv as _, Velocity, make_truth,
};

const FPS: u32 = 30;
/// Share of the momentum at stake that a body's balance may miss.
const TOLERANCE: f32 = 1e-3;

fn world() -> World {
    World::new(FPS, 4, Camera::new([0.0, -4.0, 2.0], [0.0; 3], 0.8))
}

fn ground(world: &mut World) {
    let look = Look::fixed("ground", Shape::Cuboid { half_extents: [5.0, 5.0, 0.5] }, [0.4; 3]);
    let collider = ColliderBuilder::cuboid(5.0, 5.0, 0.5).friction(0.6);
    world.add(look, RigidBodyBuilder::fixed().translation(Vector::new(0.0, 0.0, -0.5)), collider);
}

fn block(world: &mut World, at: [f32; 3], mass: f32, body: RigidBodyBuilder) -> RigidBodyHandle {
    let look = Look::moving("block", Shape::Cuboid { half_extents: [0.2; 3] }, [0.7, 0.2, 0.1]);
    let collider = ColliderBuilder::cuboid(0.2, 0.2, 0.2).mass(mass).friction(0.5);
    world.add(look, body.translation(Vector::from(at)), collider).0
}

fn ball(world: &mut World, at: [f32; 3], restitution: f32, body: RigidBodyBuilder) -> RigidBodyHandle {
    let look = Look::moving("ball", Shape::Sphere { radius: 0.15 }, [0.1, 0.2, 0.7]);
    let collider = ColliderBuilder::ball(0.15).mass(0.8).friction(0.4).restitution(restitution);
    world.add(look, body.translation(Vector::from(at)), collider).0
}

/// Dropped, sliding, bouncing, stacked and struck bodies.
fn busy_world() -> World {
    let mut world = world();
    ground(&mut world);
    let still = || RigidBodyBuilder::dynamic().can_sleep(false);
    block(&mut world, [-2.0, 0.0, 0.8], 1.0, still().rotation(Vector::new(0.4, 0.3, 0.2)));
    block(&mut world, [2.0, -2.0, 0.2], 3.0, still().linvel(Vector::new(-2.5, 0.8, 0.0)));
    for level in 0..3 {
        let at = [0.03 * level as f32, 1.0, 0.2 + 0.41 * level as f32];
        block(&mut world, at, 0.5 + level as f32, still());
    }
    ball(&mut world, [1.0, 0.5, 1.2], 0.8, still().angvel(Vector::new(0.0, 9.0, 0.0)));
    ball(&mut world, [-2.0, 1.0, 0.5], 0.6, still().linvel(Vector::new(6.0, 0.0, 1.0)));
    world
}

fn sum_on(contacts: &[Contact], id: u16) -> (Vector, f32) {
    let mut sum = Vector::ZERO;
    let mut size = 0.0;
    for contact in contacts.iter().filter(|contact| contact.a == id || contact.b == id) {
        let impulse = Vector::from(contact.impulse);
        sum += if contact.b == id { impulse } else { -impulse };
        size += impulse.length();
    }
    (sum, size)
}

/// The largest share of momentum that a moving body's contacts, gravity and forces leave unexplained.
fn worst_imbalance(world: &mut World, steps: u32) -> f32 {
    world.record(true);
    let mut physical = Vec::new();
    world.physical(&mut physical);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut worst = 0.0_f32;
    for _ in 0..steps {
        world.velocities(&mut before);
        world.control_step();
        world.velocities(&mut after);
        for (i, [mass, ..]) in physical.iter().enumerate().filter(|(_, [mass, ..])| mass.is_finite()) {
            let gained = (Vector::from(after[i].linear) - Vector::from(before[i].linear)) * *mass;
            let weight = Vector::from(world.gravity()) * (*mass / FPS as f32);
            let id = i as u16 + 1;
            let pushed = world.forces().iter().filter(|force| force.id == id);
            let pushed: Vector = pushed.map(|force| Vector::from(force.force) / FPS as f32).sum();
            let (contacts, size) = sum_on(world.contacts(), id);
            let missing = (gained - weight - pushed - contacts).length();
            worst = worst.max(missing / (size + weight.length()));
        }
    }
    worst
}

#[test]
fn contact_impulses_equal_momentum_changes() {
    let worst = worst_imbalance(&mut busy_world(), 90);
    assert!(worst < TOLERANCE, "{worst} of the momentum is unexplained");
}

#[test]
fn friction_of_a_lone_slider_is_what_coulomb_says() {
    let mut world = world();
    ground(&mut world);
    block(&mut world, [0.0, 0.0, 0.2], 2.0, RigidBodyBuilder::dynamic().linvel(Vector::new(3.0, 0.0, 0.0)));
    world.record(true);
    (0..10).for_each(|_| world.control_step());
    let [contact] = world.contacts() else { panic!("one contact, not {:?}", world.contacts()) };
    // Rapier's default rule takes the mean of 0.6 and 0.5.
    let load = 2.0 * 9.81 / FPS as f32;
    assert_eq!((contact.a, contact.b), (1, 2));
    assert!((contact.impulse[2] - load).abs() < 2e-3 * load, "{contact:?}, load {load}");
    assert!((contact.impulse[0] + 0.55 * load).abs() < 0.01 * load, "{contact:?}, load {load}");
    assert!(contact.normal[2] > 0.999 && contact.penetration < 0.01, "{contact:?}");
    assert!(contact.point[2].abs() < 0.01, "{contact:?}");
}

#[test]
fn recording_changes_nothing_that_happens() {
    let (mut seen, mut unseen) = (busy_world(), busy_world());
    seen.record(true);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        seen.control_step();
        unseen.control_step();
        seen.poses(&mut a);
        unseen.poses(&mut b);
        assert_eq!(a, b);
    }
    assert!(!seen.contacts().is_empty() && unseen.contacts().is_empty());
}

#[test]
fn forces_of_scripts_and_motors_are_recorded() {
    let mut world = world();
    world.set_gravity([0.0; 3]);
    let body = RigidBodyBuilder::dynamic;
    let pushed = block(&mut world, [0.0; 3], 2.0, body());
    let rail = world.add_ghost(
        Look::fixed("rail", Shape::Cuboid { half_extents: [1.0, 0.02, 0.02] }, [0.3; 3]),
        RigidBodyBuilder::fixed().translation(Vector::new(0.0, 2.0, 0.0)),
    );
    let cart = block(&mut world, [0.0, 2.0, 0.0], 1.5, body());
    let slide = PrismaticJointBuilder::new(Vector::X).motor_velocity(5.0, 100.0).motor_max_force(3.0);
    world.join(rail, cart, slide.build());
    world.record(true);
    world.apply_force(pushed, [4.0, 0.0, 0.0], [0.0, 0.1, 0.0]);
    world.control_step();
    let [push, motor] = world.forces() else { panic!("two forces, not {:?}", world.forces()) };
    assert_eq!((push.id, motor.id), (1, 3));
    assert!((push.force[0] - 4.0).abs() < 1e-5 && (push.torque[2] + 0.4).abs() < 1e-3, "{push:?}");
    assert!((motor.force[0] - 3.0).abs() < 1e-2, "{motor:?}");
    let speed = |world: &World, handle| world.body(handle).linvel().x;
    assert!((speed(&world, cart) - 3.0 / 1.5 / FPS as f32).abs() < 1e-3, "{}", speed(&world, cart));
    // The push lasts one control step.
    let after = speed(&world, pushed);
    assert!((after - 4.0 / 2.0 / FPS as f32).abs() < 1e-4, "{after}");
    world.control_step();
    assert!((speed(&world, pushed) - after).abs() < 1e-5);
    assert!(world.forces().iter().all(|force| force.id == 3));
}

/// Volume that triangles enclose; negative if they face inwards.
fn volume(mesh: &Mesh) -> f32 {
    let corner = |i: u32| Vector::from(mesh.vertices[i as usize]);
    mesh.triangles.iter().map(|[a, b, c]| corner(*a).dot(corner(*b).cross(corner(*c))) / 6.0).sum()
}

#[test]
fn hulls_and_meshes_carry_and_are_carried() {
    let mut world = world();
    let corners = [[-3.0, -3.0, 0.0], [3.0, -3.0, 0.0], [3.0, 3.0, 0.0], [-3.0, 3.0, 0.0]];
    let floor = Mesh { vertices: corners.to_vec(), triangles: vec![[0, 1, 2], [0, 2, 3]], ..Mesh::default() };
    let collider = mesh_collider(&floor).unwrap();
    let shape = world.add_mesh(floor);
    world.add(Look::fixed("floor", shape, [0.4; 3]), RigidBodyBuilder::fixed(), collider);

    let points: Vec<[f32; 3]> = (0..40)
        .map(|i| {
            let turn = i as f32 * 2.4;
            let height = -0.9 + 1.8 * i as f32 / 39.0;
            let radius = 0.25 * (1.0 - height * height).sqrt();
            [radius * turn.cos(), radius * turn.sin(), 0.25 * height]
        })
        .collect();
    let (collider, mesh) = hull_collider(&points).unwrap();
    let size = volume(&mesh);
    assert!(size > 0.02 && size < 0.0655, "a hull within a ball of 0.25 m faces outwards: {size} m³");
    let shape = world.add_mesh(mesh);
    let stone = RigidBodyBuilder::dynamic().translation(Vector::new(0.0, 0.0, 0.6));
    let (stone, _) = world.add(Look::moving("stone", shape, [0.5; 3]), stone, collider.mass(1.0));
    let pill = RigidBodyBuilder::dynamic().translation(Vector::new(1.0, 0.0, 0.5));
    let look = Look::moving("pill", Shape::Capsule { radius: 0.1, half_height: 0.2 }, [0.5; 3]);
    let (pill, _) = world.add(look, pill, capsule_collider(0.1, 0.2).mass(1.0));
    let worst = worst_imbalance(&mut world, 60);
    assert!(worst < TOLERANCE, "{worst} of the momentum is unexplained");
    let height = |handle| world.body(handle).translation().z;
    assert!(height(stone) > 0.15 && height(stone) < 0.26, "{}", height(stone));
    // It stands along z: 0.3 m from its middle to its end.
    assert!((height(pill) - 0.3).abs() < 0.01, "{}", height(pill));
    assert!(hull_collider(&corners).is_err(), "a square has no volume");
    let broken = Mesh { vertices: corners.to_vec(), triangles: vec![[0, 1, 4]], ..Mesh::default() };
    assert!(mesh_collider(&broken).is_err(), "corner 4 is not there");
}

#[test]
fn a_loaded_world_goes_on_as_the_saved_one() {
    let mut world = busy_world();
    let [a, b] = [[-1.0, -1.5, 1.5], [-0.5, -1.5, 1.5]].map(|at| {
        let body = RigidBodyBuilder::dynamic();
        block(&mut world, at, 1.0, body)
    });
    let hinge = RevoluteJointBuilder::new(Vector::Y)
        .local_anchor1(Vector::new(0.25, 0.0, 0.0))
        .local_anchor2(Vector::new(-0.25, 0.0, 0.0))
        .limits([-0.5, 0.5])
        .motor_position(0.3, 20.0, 2.0);
    let hinge = world.join(a, b, hinge.build());
    world.record(true);
    (0..20).for_each(|_| world.control_step());
    world.apply_force(a, [0.0, 3.0, 0.0], [-1.0, -1.5, 1.0]);
    let saved = world.save().unwrap();
    let mut other = self::world();
    other.record(true);
    other.load(&saved).unwrap();
    let (mut here, mut there): (Vec<Pose>, Vec<Pose>) = (Vec::new(), Vec::new());
    let (mut fast, mut also): (Vec<Velocity>, Vec<Velocity>) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        world.control_step();
        other.control_step();
        world.poses(&mut here);
        other.poses(&mut there);
        world.velocities(&mut fast);
        other.velocities(&mut also);
        assert_eq!((&here, &fast), (&there, &also));
        assert_eq!(world.contacts(), other.contacts());
        assert_eq!(world.forces(), other.forces());
    }
    assert_eq!(world.joint_position(hinge), other.joint_position(hinge));
}

#[test]
fn motors_drive_joints_within_their_limits() {
    let mut world = world();
    world.set_gravity([0.0; 3]);
    let base = world.add_ghost(
        Look::fixed("base", Shape::Cuboid { half_extents: [0.1; 3] }, [0.3; 3]),
        RigidBodyBuilder::fixed(),
    );
    let body = RigidBodyBuilder::dynamic;
    let arm = block(&mut world, [1.0, 0.0, 0.0], 1.0, body());
    let hinge = RevoluteJointBuilder::new(Vector::Z).local_anchor2(Vector::new(-1.0, 0.0, 0.0));
    let hinge = world.join(
        base,
        arm,
        hinge.limits([-0.4, 1.2]).motor_model(MotorModel::ForceBased).motor_velocity(2.0, 40.0).build(),
    );
    let cart = block(&mut world, [0.0, 3.0, 0.0], 1.0, body());
    let slide = PrismaticJointBuilder::new(Vector::Y).local_anchor1(Vector::new(0.0, 3.0, 0.0));
    let slide = world.join(base, cart, slide.motor_position(0.5, 60.0, 15.0).build());
    let weight = block(&mut world, [-1.0, 0.0, 9.0], 1.0, body().linvel(Vector::new(-2.0, 0.0, 0.0)));
    let rope = world.join(
        base,
        weight,
        RopeJointBuilder::new(1.5).local_anchor1(Vector::new(0.0, 0.0, 9.0)).build(),
    );
    (0..10).for_each(|_| world.control_step());
    let turned = world.joint_position(hinge);
    assert!(turned > 0.5 && turned < 2.0 * 10.0 / FPS as f32, "spun up to 2 rad/s: {turned}");
    (0..50).for_each(|_| world.control_step());
    let [turned, slid, hung] = [hinge, slide, rope].map(|joint| world.joint_position(joint));
    assert!((turned - 1.2).abs() < 0.02, "the limit holds: {turned}");
    assert!((slid - 0.5).abs() < 0.01, "the target is reached: {slid}");
    assert!(hung < 1.52 && hung > 0.5, "the rope is 1.5 m long: {hung}");
    // The other way.
    if let Some(joint) = world.joint_mut(hinge) {
        joint.set_motor_velocity(JointAxis::AngX, -2.0, 40.0);
    }
    (0..60).for_each(|_| world.control_step());
    assert!((world.joint_position(hinge) + 0.4).abs() < 0.02, "{}", world.joint_position(hinge));
    let mut joints = Vec::new();
    world.joints(&mut joints);
    let kinds: Vec<_> = joints.iter().map(|joint| (joint.a, joint.b, joint.kind, joint.limits)).collect();
    let expected = [
        (1, 2, JointKind::Hinge, Some([-0.4, 1.2])),
        (1, 3, JointKind::Slider, None),
        (1, 4, JointKind::Distance, Some([0.0, 1.5])),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn tasks_record_contacts_too() {
    let mut env = make_truth("PushCube-v0", 2, AutoresetMode::NextStep).unwrap();
    env.record(1, true);
    env.reset_all(Some(3)).unwrap();
    let mut met = false;
    for _ in 0..120 {
        let mut actions = Buffer::F32(Vec::new());
        (0..2).for_each(|lane| env.expert_action(lane, &mut actions));
        env.step_all(&actions).unwrap();
        assert!(env.contacts(0).is_empty() && env.forces(0).is_empty());
        // Table 1, cube 3, pusher 4: the cube rests on the table, and the pusher's drive is a force.
        met |= env.contacts(1).iter().any(|contact| (contact.a, contact.b) == (3, 4));
    }
    assert!(met, "the expert never touches the cube");
    env.reset_all(Some(4)).unwrap();
    env.step_all(&Buffer::F32(vec![1.0; 4])).unwrap();
    let contacts = env.contacts(1);
    assert!(contacts.iter().any(|contact| (contact.a, contact.b) == (1, 3)), "{contacts:?}");
    assert!(env.forces(1).iter().any(|force| force.id == 4), "{:?}", env.forces(1));
}
