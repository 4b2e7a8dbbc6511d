//! Pixel observations behave as every environment does.
#![allow(clippy::unwrap_used)]

use worldstep_env::check::{CheckConfig, check_env_with};
use worldstep_env::registry::TASKS;
use worldstep_env::{
    AutoresetMode, Buffer, Camera, CameraMotion, CameraRig, EnvError, TruthSource as _, TruthVectorEnv,
    VectorEnv, make_truth,
};
use worldstep_synth::{Channels, Frames, RenderConfig, RenderedVectorEnv, Renderer, View};

fn rendered(id: &str, lanes: usize, mode: AutoresetMode) -> Result<Box<dyn VectorEnv>, EnvError> {
    let truth = make_truth(id, lanes, mode)?;
    // Small, as an episode may last 500 steps: what is checked does not depend on it.
    let env = RenderedVectorEnv::new(truth, 16, 16)
        .map_err(|error| EnvError::Engine { message: error.to_string() })?;
    Ok(Box::new(env))
}

/// Tasks of each kind; Gymnasium's checker sees the pixels of all, through the Python client.
const CHECKED: [&str; 6] =
    ["CartPole-v0", "CatchBehindScreen-v0", "PushCube-v0", "HalfCheetah-v0", "Navigate-v0", "ArmPick-v0"];

#[test]
fn tasks_of_each_kind_pass_the_check_with_pixels() {
    for task in TASKS.iter().filter(|task| CHECKED.contains(&task.id)) {
        let config = CheckConfig { steps: 12, ..CheckConfig::default() };
        let checked = check_env_with(&mut |lanes, mode| rendered(task.id, lanes, mode), &config);
        if let Err(failure) = checked {
            panic!("{}: {failure}", task.id);
        }
    }
}

#[test]
fn only_masked_lanes_get_new_images() {
    let truth = make_truth("CatchBehindScreen-v0", 3, AutoresetMode::NextStep).unwrap();
    let mut env: RenderedVectorEnv<TruthVectorEnv> = RenderedVectorEnv::new(truth, 64, 64).unwrap();
    env.reset_all(Some(1)).unwrap();
    let before = env.batch().observations.clone();
    for _ in 0..4 {
        env.step(&Buffer::I64(vec![1; 3]), &[false, true, false]).unwrap();
    }
    let (before, after) = (before.as_u8().unwrap(), env.batch().observations.as_u8().unwrap());
    let image = 64 * 64 * 3;
    for lane in 0..3 {
        let same = before[lane * image..(lane + 1) * image] == after[lane * image..(lane + 1) * image];
        assert_eq!(same, lane != 1, "lane {lane}");
    }
    let mut state = Vec::new();
    env.state(0, &mut state);
    assert_eq!(state.len(), 8);
}

/// Drawn by itself after the step, lane by lane.
fn drawn_apart(truth: &TruthVectorEnv, renderer: &mut Renderer) -> Vec<u8> {
    let mut frames = Frames::default();
    (0..truth.num_envs())
        .flat_map(|lane| {
            let mut poses = Vec::new();
            truth.poses(lane, &mut poses);
            renderer.render(&[View::new(truth.scene(lane), &poses)], Channels::Rgb, &mut frames).unwrap();
            frames.rgb.clone()
        })
        .collect()
}

#[test]
fn what_is_stepped_and_drawn_in_halves_is_what_is_stepped_and_then_drawn() {
    const LANES: usize = 150;
    let make = || make_truth("CatchBehindScreen-v0", LANES, AutoresetMode::NextStep).unwrap();
    let mut seen = RenderedVectorEnv::new(make(), 64, 64).unwrap();
    let mut truth = make();
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: 64, height: 64 }).unwrap();
    seen.reset_all(Some(3)).unwrap();
    truth.reset_all(Some(3)).unwrap();
    for step in 0..70 {
        // All lanes long enough for episodes to end, then some of them.
        let mask: Vec<_> = (0..LANES).map(|lane| step < 66 || lane % 7 != 0).collect();
        let actions = Buffer::I64((0..LANES).map(|lane| ((lane + step) % 3) as i64).collect());
        seen.step(&actions, &mask).unwrap();
        truth.step(&actions, &mask).unwrap();
        let (seen, told) = (seen.batch(), truth.batch());
        assert_eq!((&seen.rewards, &seen.terminated), (&told.rewards, &told.terminated), "step {step}");
        assert_eq!((&seen.truncated, &seen.info), (&told.truncated, &told.info), "step {step}");
        if step % 16 == 5 || step > 67 {
            let apart = drawn_apart(&truth, &mut renderer);
            assert!(seen.observations.as_u8().unwrap() == apart, "images of step {step}");
        }
    }
    assert!(truth.episode(1) > 1, "no episode ended");
}

/// Also in halves, and where only a part of the lanes is stepped.
#[test]
fn depth_is_what_the_renderer_measures() {
    const LANES: usize = 130;
    let make = || make_truth("CatchBehindScreen-v0", LANES, AutoresetMode::NextStep).unwrap();
    let mut seen = RenderedVectorEnv::depth(make(), 64, 64).unwrap();
    assert_eq!(seen.spec().observation_space.flat_len(), 64 * 64);
    let mut truth = make();
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: 64, height: 64 }).unwrap();
    seen.reset_all(Some(3)).unwrap();
    truth.reset_all(Some(3)).unwrap();
    let mut frames = Frames::default();
    for step in 0..3 {
        let mask: Vec<_> = (0..LANES).map(|lane| step == 1 || lane % 3 != 0).collect();
        let actions = Buffer::I64(vec![step; LANES]);
        seen.step(&actions, &mask).unwrap();
        truth.step(&actions, &mask).unwrap();
        for lane in [0, 1, 64, 129] {
            let mut poses = Vec::new();
            truth.poses(lane, &mut poses);
            renderer.render(&[View::new(truth.scene(lane), &poses)], Channels::Labels, &mut frames).unwrap();
            let depth = &seen.batch().observations.as_f32().unwrap()[lane * 4096..(lane + 1) * 4096];
            assert_eq!(depth, frames.depth, "lane {lane} of step {step}");
            assert!(depth.iter().all(|z| *z >= 0.0) && depth.iter().any(|z| *z > 0.1 && *z != depth[0]));
        }
    }
}

#[test]
fn nothing_is_stepped_if_any_lane_cannot_be() {
    const LANES: usize = 128;
    for (mode, last_action) in
        [(AutoresetMode::NextStep, 1), (AutoresetMode::NextStep, 9), (AutoresetMode::Disabled, 1)]
    {
        let truth = make_truth("CatchBehindScreen-v0", LANES, mode).unwrap();
        let mut env: RenderedVectorEnv<TruthVectorEnv> = RenderedVectorEnv::new(truth, 64, 64).unwrap();
        // The last lane was never started, or its action is not one.
        let started: Vec<_> = (0..LANES).map(|lane| last_action == 9 || lane + 1 < LANES).collect();
        env.reset(&[Some(1); LANES], &started).unwrap();
        let state = |env: &RenderedVectorEnv<TruthVectorEnv>| env.save_lane(0).unwrap();
        let before = (state(&env), env.batch().clone());
        let mut actions = vec![1; LANES];
        actions[LANES - 1] = last_action;
        let refused = env.step_all(&Buffer::I64(actions));
        assert!(
            matches!(refused, Err(EnvError::NeedsReset { lane: 127 } | EnvError::Action { .. })),
            "{refused:?}"
        );
        assert!(before == (state(&env), env.batch().clone()));
        // And the next step is as any other.
        env.step(&Buffer::I64(vec![1; LANES]), &started).unwrap();
    }
}

const SIDE: usize = 48;
const IMAGE: usize = SIDE * SIDE * 3;

/// One camera of each kind of motion.
fn rigs(scene: &worldstep_env::Scene) -> Vec<CameraRig> {
    let rig = |name: &str, camera, motion| CameraRig { name: name.to_owned(), camera, motion };
    let (main, cube) = (scene.camera, scene.instances.iter().position(|thing| thing.name == "cube").unwrap());
    let instance = cube as u32;
    let above = Camera { position: [0.0, 0.0, 0.6], target: [0.0; 3], up: [1.0, 0.0, 0.0], fov_y: 1.2 };
    vec![
        rig("fixed", Camera { fov_y: 0.5 * main.fov_y, ..main }, CameraMotion::Fixed),
        rig("orbit", main, CameraMotion::Orbit { rate: 2.0 }),
        rig("track", Camera { fov_y: 0.4, ..main }, CameraMotion::Track { instance }),
        rig("wrist", above, CameraMotion::Mounted { instance }),
    ]
}

fn seen_by_several(lanes: usize) -> RenderedVectorEnv<TruthVectorEnv> {
    let mut truth = make_truth("PushCube-v0", lanes, AutoresetMode::NextStep).unwrap();
    truth.reset_all(Some(0)).unwrap();
    let rigs = rigs(truth.scene(0));
    RenderedVectorEnv::with_cameras(truth, (SIDE as u32, SIDE as u32), rigs).unwrap()
}

/// Every lane through every camera, as if each had been drawn for itself; where the cameras are follows from the steps
/// since the lane's own reset.
#[test]
fn several_cameras_see_what_each_would_see_alone() {
    const LANES: usize = 3;
    let mut env = seen_by_several(LANES);
    assert_eq!(env.spec().observation_space.flat_len(), 5 * IMAGE);
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: 48, height: 48 }).unwrap();
    env.reset_all(Some(4)).unwrap();
    let push = Buffer::F32([0.9, 0.3].repeat(LANES));
    (0..5).for_each(|_| env.step_all(&push).unwrap());
    env.reset(&[None, Some(9), None], &[false, true, false]).unwrap();
    (0..3).for_each(|_| env.step_all(&push).unwrap());
    let observations = env.batch().observations.as_u8().unwrap().to_vec();
    for (lane, steps) in [8.0, 3.0, 8.0].into_iter().enumerate() {
        let (mut poses, mut frames) = (Vec::new(), Frames::default());
        env.poses(lane, &mut poses);
        let scene = env.scene(lane);
        let main = View::new(scene, &poses);
        let moved = rigs(scene).into_iter().map(|rig| rig.at(steps / env.spec().fps as f32, &poses));
        for (camera, at) in std::iter::once(main.now.camera).chain(moved).enumerate() {
            let now = worldstep_synth::Moment { camera: at, ..main.now };
            renderer.render(&[View { now, ..main }], Channels::Rgb, &mut frames).unwrap();
            let image = (lane * 5 + camera) * IMAGE;
            assert!(observations[image..image + IMAGE] == frames.rgb, "lane {lane}, camera {camera}");
        }
    }
    let image = |camera: usize| &observations[camera * IMAGE..(camera + 1) * IMAGE];
    assert!((1..5).all(|camera| image(camera) != image(0)), "a camera sees what the main one does");
}

#[test]
fn cameras_go_on_from_a_saved_state_where_they_were() {
    let mut env = seen_by_several(2);
    env.reset_all(Some(1)).unwrap();
    let push = Buffer::F32(vec![0.5, -0.4, 0.5, -0.4]);
    (0..4).for_each(|_| env.step_all(&push).unwrap());
    let saved = env.save_lane(0).unwrap();
    env.step_all(&push).unwrap();
    let after = env.batch().observations.as_u8().unwrap()[..5 * IMAGE].to_vec();
    env.load_lane(1, &saved).unwrap();
    env.step_all(&push).unwrap();
    assert!(env.batch().observations.as_u8().unwrap()[5 * IMAGE..] == after);
    assert!(matches!(env.load_lane(0, &saved[..saved.len() - 1]), Err(EnvError::State { .. })));
}
