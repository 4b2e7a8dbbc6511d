//! The tasks themselves: experts solve them, random policies do not, and rollouts are reproducible to the bit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use nalgebra::{Isometry3, Point3, Quaternion, Translation3, UnitQuaternion};
use rand::SeedableRng as _;
use worldstep_env::registry::{TASKS, TaskEntry};
use worldstep_env::{
    AutoresetMode, Buffer, Camera, Pose, Rng, Scene, Shape, TruthEnv, TruthSource as _, VectorEnv as _,
    make_truth, measure_returns, published_returns, semantic_class,
};

const EPISODES: u32 = 50;

/// Least share of episodes that the expert ends in success, and largest that random actions do.
const SUCCESS: [(&str, f64, f64); 31] = [
    ("CartPole-v0", 1.0, 0.0),
    ("CatchBehindScreen-v0", 0.9, 0.35),
    ("PushCube-v0", 0.8, 0.2),
    ("CartPoleSwingUp-v0", 0.95, 0.1),
    ("Pendulum-v0", 0.95, 0.1),
    ("DoublePendulum-v0", 0.95, 0.0),
    ("Acrobot-v0", 0.95, 0.2),
    ("Reacher-v0", 0.95, 0.1),
    ("Hopper-v0", 0.9, 0.0),
    ("Walker-v0", 0.9, 0.0),
    ("HalfCheetah-v0", 0.95, 0.0),
    ("Ant-v0", 0.9, 0.0),
    ("Navigate-v0", 0.95, 0.1),
    ("QuadrotorHover-v0", 0.95, 0.0),
    ("QuadrotorWaypoint-v0", 0.95, 0.0),
    ("ShellGame-v0", 1.0, 0.45),
    ("Billiards-v0", 0.8, 0.1),
    ("CarryTower-v0", 0.95, 0.05),
    ("Pour-v0", 0.9, 0.05),
    ("ArmReach-v0", 0.95, 0.1),
    ("ArmPush-v0", 0.9, 0.05),
    ("ArmPick-v0", 0.9, 0.0),
    ("ArmPlace-v0", 0.9, 0.0),
    ("ArmStack-v0", 0.9, 0.0),
    ("PegInHole-v0", 0.8, 0.0),
    ("OpenDrawer-v0", 0.9, 0.1),
    ("TurnKnob-v0", 0.9, 0.12),
    ("QuadrupedFlat-v0", 0.95, 0.05),
    ("QuadrupedRough-v0", 0.95, 0.05),
    ("HumanoidStand-v0", 0.95, 0.05),
    ("HumanoidWalk-v0", 0.9, 0.05),
];

#[test]
fn experts_do_every_task_and_random_actions_do_not() {
    let mut failed = Vec::new();
    for entry in &TASKS {
        let (_, expert, random) = SUCCESS
            .iter()
            .find(|(id, ..)| *id == entry.id)
            .unwrap_or_else(|| panic!("{} has no bar", entry.id));
        let returns = measure_returns(entry, EPISODES).unwrap();
        println!("{} {returns:?}", entry.id);
        let better = returns.expert_return > returns.random_return;
        if returns.expert_success < *expert || returns.random_success > *random || !better {
            failed.push(format!("{} (expected {expert} and {random}): {returns:?}", entry.id));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn published_returns_are_those_that_anyone_measures() {
    for entry in &TASKS {
        let published = published_returns(entry.id).unwrap_or_else(|| panic!("{} has none", entry.id));
        // All are measured by the same command; playing the quickest again shows that it was this code.
        if !["CartPole-v0", "Pendulum-v0", "Reacher-v0", "ArmReach-v0"].contains(&entry.id) {
            continue;
        }
        let again = measure_returns(entry, published.episodes).unwrap();
        let pairs = [
            (published.returns.random_return, again.random_return),
            (published.returns.expert_return, again.expert_return),
            (published.returns.expert_success, again.expert_success),
        ];
        // Another processor's arithmetic may play an episode or two otherwise.
        let near = pairs.iter().all(|(told, measured)| (told - measured).abs() <= 0.03 * told.abs().max(1.0));
        assert!(near, "{}: {published:?}, measured {again:?}", entry.id);
    }
}

/// Points as the camera sees them: the rectangle about them, `[left, top, right, bottom]` in tangents.
fn seen_points(camera: &Camera, points: impl Iterator<Item = [f32; 3]>) -> [f32; 4] {
    let pose = camera.world_from_camera();
    points.fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], |rect, point| {
        let mut local = [0.0; 3];
        for axis in 0..3 {
            let offset = point[axis] - pose[axis * 4 + 3];
            for (column, value) in local.iter_mut().enumerate() {
                *value += offset * pose[axis * 4 + column];
            }
        }
        let [x, y] = [local[0] / local[2], local[1] / local[2]];
        [rect[0].min(x), rect[1].min(y), rect[2].max(x), rect[3].max(y)]
    })
}

/// Centre and half size of a box as the camera sees it: the rectangle `[left, top, right, bottom]` in tangents.
fn seen(camera: &Camera, center: [f32; 3], half: [f32; 3]) -> [f32; 4] {
    let corner = |corner: usize| {
        [0, 1, 2].map(|axis| {
            let sign = if corner >> axis & 1 == 1 { 1.0 } else { -1.0 };
            center[axis] + sign * half[axis]
        })
    };
    seen_points(camera, (0..8).map(corner))
}

/// Frames that the ball is wholly behind the screen, and frames until the episode ends, with the paddle at rest.
fn watch_toss(seed: u64) -> (u32, u32) {
    let mut env = make_truth("CatchBehindScreen-v0", 1, AutoresetMode::Disabled).unwrap();
    env.reset_all(Some(seed)).unwrap();
    let (mut hidden, mut frames, mut poses) = (0, 0, Vec::new());
    while !env.batch().done(0) {
        env.step_all(&Buffer::I64(vec![0])).unwrap();
        env.poses(0, &mut poses);
        let scene = env.scene(0);
        let of = |name| scene.instances.iter().position(|instance| instance.name == name).unwrap();
        let (ball, screen) = (of("ball"), of("screen"));
        let Shape::Sphere { radius } = scene.instances[ball].shape else { panic!("the ball is a sphere") };
        let Shape::Cuboid { half_extents } = scene.instances[screen].shape else { panic!("a flat screen") };
        let [x, y, z] = poses[ball].position;
        assert!(y.abs() < 0.1 && z > 0.85 * radius && x > 0.0, "seed {seed}: the ball is at {x} {y} {z}");
        let disc = seen(&scene.camera, [x, y, z], [radius, 0.0, radius]);
        let cover = seen(&scene.camera, poses[screen].position, [half_extents[0], 0.0, half_extents[2]]);
        let inside = disc[0] > cover[0] && disc[1] > cover[1] && disc[2] < cover[2] && disc[3] < cover[3];
        hidden += u32::from(inside);
        frames += 1;
    }
    assert!(env.batch().terminated[0], "seed {seed}: the ball never reached the paddle");
    (hidden, frames)
}

#[test]
fn the_screen_hides_the_ball_for_5_to_30_frames() {
    let (mut hidden, mut frames): (Vec<_>, Vec<_>) = (0..200).map(watch_toss).unzip();
    hidden.sort_unstable();
    frames.sort_unstable();
    println!("hidden frames: min {} median {} max {}", hidden[0], hidden[100], hidden[199]);
    println!("frames to the paddle: min {} median {} max {}", frames[0], frames[100], frames[199]);
    assert!(hidden[0] >= 5 && hidden[199] <= 30, "{hidden:?}");
    assert!(frames[100] >= 40, "{frames:?}");
}

/// What the camera sees of an instance: the rectangle about it.
fn seen_instance(camera: &Camera, scene: &Scene, shape: &Shape, pose: &Pose) -> [f32; 4] {
    let half = match *shape {
        Shape::Cuboid { half_extents } => half_extents,
        Shape::Sphere { radius } => [radius; 3],
        Shape::Cylinder { radius, half_height } => [radius, radius, half_height],
        Shape::Capsule { radius, half_height } => [radius, radius, half_height + radius],
        Shape::Mesh { mesh } => {
            let [x, y, z, w] = pose.quat_xyzw;
            let place = Isometry3::from_parts(
                Translation3::from(pose.position),
                UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z)),
            );
            let corners = scene.meshes[mesh as usize].vertices.iter();
            return seen_points(camera, corners.map(|corner| (place * Point3::from(*corner)).into()));
        }
        Shape::Soft { .. } => panic!("no task draws soft bodies yet"),
    };
    seen(camera, pose.position, half)
}

#[test]
fn what_moves_is_in_the_picture_and_some_pixels_wide() {
    const SIDE: f32 = 64.0;
    let robot = semantic_class("robot").unwrap();
    for entry in &TASKS {
        let mut env = make_truth(entry.id, 1, AutoresetMode::NextStep).unwrap();
        let mut rng = Rng::seed_from_u64(5);
        env.reset_all(Some(5)).unwrap();
        let (mut poses, mut cameras, mut frames, mut inside) = (Vec::new(), Vec::new(), 0.0, 0.0);
        for _ in 0..1_000 {
            let mut action = Buffer::empty(entry.spec().action_space.dtype());
            entry.spec().action_space.sample(&mut rng, &mut action);
            env.step_all(&action).unwrap();
            env.poses(0, &mut poses);
            let scene = env.scene(0);
            scene.cameras_at(0.0, &poses, &mut cameras);
            let edge = (0.5 * cameras[0].fov_y).tan();
            let mut widest_part = 0.0_f32;
            for (instance, pose) in scene.instances.iter().zip(&poses).filter(|(thing, _)| thing.moving) {
                let rect = seen_instance(&cameras[0], scene, &instance.shape, pose);
                let pixels = [rect[2] - rect[0], rect[3] - rect[1]].map(|size| size / edge * 0.5 * SIDE);
                if frames < 3.0 {
                    println!("{} {}: {:.1} × {:.1} pixels", entry.id, instance.name, pixels[0], pixels[1]);
                }
                let (wide, thin) = (pixels[0].max(pixels[1]), pixels[0].min(pixels[1]));
                // The smaller parts of a robot may be hard to see, its largest not.
                let part = instance.semantic == robot && wide < widest_part;
                widest_part = if instance.semantic == robot { widest_part.max(wide) } else { widest_part };
                assert!(part || wide > 2.0 && thin > 0.8, "{} {}: {pixels:?}", entry.id, instance.name);
                frames += 1.0;
                inside += f32::from(u8::from(rect.iter().all(|tangent| tangent.abs() < edge)));
            }
        }
        println!("{}: {:.3} of moving things are wholly in the picture", entry.id, inside / frames);
        assert!(inside / frames > 0.95, "{}: {inside} of {frames}", entry.id);
    }
}

#[test]
fn scenes_of_a_task_have_the_same_things() {
    for entry in &TASKS {
        let things = |seed| {
            let mut env = TruthEnv::new(entry, 0);
            let before: Vec<_> =
                env.task().scene().instances.iter().map(|thing| thing.name.clone()).collect();
            env.reset(Some(seed));
            let scene = env.task().scene();
            let now: Vec<_> = scene.instances.iter().map(|thing| thing.name.clone()).collect();
            assert_eq!(before, now, "{}: before the first episode and in it", entry.id);
            now
        };
        assert!((1..6).all(|seed| things(seed) == things(0)), "{}", entry.id);
    }
}

/// Hash of everything that a seeded random rollout of 9 lanes shows.
fn rollout_hash(entry: &TaskEntry) -> u64 {
    let mut env = make_truth(entry.id, 9, AutoresetMode::NextStep).unwrap();
    let mut rng = Rng::seed_from_u64(1);
    let mut hash = DefaultHasher::new();
    env.reset_all(Some(11)).unwrap();
    for _ in 0..120 {
        let mut actions = Buffer::empty(entry.spec().action_space.dtype());
        (0..9).for_each(|_| entry.spec().action_space.sample(&mut rng, &mut actions));
        env.step_all(&actions).unwrap();
        let batch = env.batch();
        let observations = batch.observations.as_f32().unwrap();
        observations.iter().chain(&batch.rewards).for_each(|value| value.to_bits().hash(&mut hash));
        (&batch.terminated, &batch.truncated).hash(&mut hash);
    }
    hash.finish()
}

#[test]
fn rollouts_do_not_depend_on_the_number_of_threads() {
    let on_threads = |count, entry| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| rollout_hash(entry))
    };
    for entry in &TASKS {
        let [one, many] = [on_threads(1, entry), on_threads(4, entry)];
        assert_eq!(one, many, "{}", entry.id);
    }
}

#[test]
fn a_state_saved_in_mid_episode_goes_on_to_the_bit() {
    for entry in &TASKS {
        let mut env = TruthEnv::new(entry, 0);
        env.reset(Some(3));
        let play = |env: &mut TruthEnv, steps: u32| {
            let mut seen = Vec::new();
            for _ in 0..steps {
                let mut action = Buffer::empty(entry.spec().action_space.dtype());
                env.task().expert(&mut action);
                let Ok(step) = env.step(&action) else { break };
                seen.push(step.reward);
                env.task().state(&mut seen);
            }
            seen.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        play(&mut env, 12);
        let saved = env.save().unwrap();
        let went_on = play(&mut env, 12);
        let mut restored = TruthEnv::new(entry, 99);
        restored.load(&saved).unwrap();
        assert_eq!(play(&mut restored, 12), went_on, "{}", entry.id);
    }
}
