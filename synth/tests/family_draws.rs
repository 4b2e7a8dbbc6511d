//! What is drawn for a clip of a family: recorded as it is shown, switched off by groups, in view, and within
//! reach of the scripts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use rayon::prelude::*;
use simulated::{clip, families};
use worldstep_env::policy::PolicyMix;
use worldstep_synth::clips::Trajectory;
use worldstep_synth::{Randomisation, Scenario, ScenarioOptions, UnitKind, UnitRequest};

#[test]
fn every_draw_is_recorded_and_each_group_can_be_switched_off() {
    let scenario = Scenario::find("toss").unwrap();
    let clip = clip(&scenario, 3);
    for name in [
        "family.speed",
        "family.v",
        "held_out",
        "physics.gravity_z",
        "physics.size",
        "physics.ball.friction",
        "look.ball.color_r",
        "look.ball.roughness",
        "look.ground.texture",
        "light.azimuth",
        "light.shadow",
        "sky.hue",
        "camera.azimuth",
        "camera.distance",
        "distractors.count",
        "sensor.noise",
        "sensor.blur",
    ] {
        assert!(clip.parameters.contains_key(name), "{name} is missing in {:?}", clip.parameters.keys());
    }
    assert_eq!(clip.gravity[2], clip.parameters["physics.gravity_z"] as f32);
    let randomisation = Randomisation::default().off();
    let options = ScenarioOptions { randomisation, ..ScenarioOptions::default() };
    let [a, b] = [3, 4].map(|seed| {
        scenario.simulate(&UnitRequest { seed, kind: UnitKind::Single, options: &options }).unwrap().remove(0)
    });
    let looks = |clip: &Trajectory| -> Vec<_> {
        clip.scene.instances.iter().map(|instance| (instance.color_linear, instance.surface)).collect()
    };
    assert_eq!(looks(&a), looks(&b));
    assert_eq!((a.scene.camera, a.scene.light, a.gravity), (b.scene.camera, b.scene.light, b.gravity));
    assert_eq!((a.sensor.noise, a.sensor.blur), (0.0, 0.0));
    assert_ne!(a.parameters["family.speed"], b.parameters["family.speed"]);
    // With the looks off, physics is what it was.
    let text = "[colors]\nenabled = false\n[camera]\nenabled = false\n[sensor]\nenabled = false";
    let options = ScenarioOptions { randomisation: Randomisation::parse(text).unwrap(), ..options };
    let plain = scenario
        .simulate(&UnitRequest { seed: 3, kind: UnitKind::Single, options: &options })
        .unwrap()
        .remove(0);
    // Distractors stand where the camera is not.
    let moving = |clip: &Trajectory| -> Vec<_> {
        let instances = clip.scene.instances.iter().cycle().zip(&clip.poses);
        instances.filter(|(instance, _)| instance.moving).map(|(_, pose)| *pose).collect()
    };
    assert_eq!(moving(&plain), moving(&clip));
    assert_ne!(looks(&plain), looks(&clip));
}

/// The middle of all that moves is in the picture at the start, and no camera looks from under the ground.
#[test]
fn what_moves_starts_in_view() {
    for scenario in families() {
        for seed in 0..12 {
            let clip = clip(&scenario, seed);
            let camera = clip.cameras_at(0)[0];
            let m = camera.world_from_camera();
            assert!(camera.position[2] > 0.0);
            for (instance, pose) in clip.scene.instances.iter().zip(clip.poses_at(0)) {
                if !instance.moving {
                    continue;
                }
                let offset: Vec<f32> = (0..3).map(|i| pose.position[i] - camera.position[i]).collect();
                let along = |column: usize| (0..3).map(|row| m[row * 4 + column] * offset[row]).sum::<f32>();
                let reach = (0.5 * camera.fov_y).tan() * along(2);
                let (x, y) = (along(0) / reach, along(1) / reach);
                let name = (scenario.name(), &instance.name);
                assert!(
                    along(2) > 0.0 && x.abs() < 1.0 && y.abs() < 1.0,
                    "{name:?}, seed {seed}: at {x}, {y}"
                );
            }
        }
    }
}

/// The record of a clip holds what the clip shows: looks of every body, physics, camera, light and sensor.
#[test]
fn the_record_is_what_is_shown() {
    for scenario in families() {
        for seed in 0..4 {
            let clip = clip(&scenario, seed);
            let name = format!("{} {seed}", scenario.name());
            let recorded = |key: &str| {
                let value = clip.parameters.get(key);
                *value.unwrap_or_else(|| panic!("{name}: {key} is missing in {:?}", clip.parameters.keys()))
                    as f32
            };
            for instance in &clip.scene.instances {
                let look = |what: &str| recorded(&format!("look.{}.{what}", instance.name));
                let color = ["color_r", "color_g", "color_b"].map(look);
                assert_eq!(color, instance.color_linear, "{name}: {}", instance.name);
                assert_eq!(look("specular"), instance.surface.specular, "{name}: {}", instance.name);
                assert_eq!(look("roughness"), instance.surface.roughness, "{name}: {}", instance.name);
            }
            let camera = clip.cameras_at(0)[0];
            assert!((recorded("camera.fov").to_radians() - camera.fov_y).abs() < 1e-6, "{name}");
            assert_eq!(recorded("camera.height"), camera.position[2], "{name}");
            assert_eq!(recorded("light.shadow"), clip.scene.light.unwrap().shadow, "{name}");
            assert_eq!(recorded("physics.gravity_z"), clip.gravity[2], "{name}");
            assert_eq!(recorded("sensor.noise"), clip.sensor.noise, "{name}");
            assert_eq!(recorded("sensor.blur"), clip.sensor.blur, "{name}");
            assert!((1.0..=90.0).contains(&recorded("camera.elevation")), "{name}");
        }
    }
}

/// Where a robot has a goal, its script reaches it, and standing still does not.
#[test]
fn scripts_reach_goals_that_doing_nothing_does_not() {
    const SEEDS: u64 = 10;
    let mix = |scripted: f64| PolicyMix { random: 0.0, scripted, noisy_expert: 0.0, noop: 1.0 - scripted };
    for family in ["arm-pushing", "gripper-picking", "mobile-base-pushing"] {
        let scenario = Scenario::find(family).unwrap();
        let reached = |mix: PolicyMix| {
            let options = ScenarioOptions { mix: Some(mix), ..ScenarioOptions::default() };
            let reaches = |seed: u64| {
                let request = UnitRequest { seed, kind: UnitKind::Single, options: &options };
                scenario.simulate(&request).unwrap()[0].success.contains(&true)
            };
            (0..SEEDS).into_par_iter().filter(|seed| reaches(*seed)).count()
        };
        let (scripted, idle) = (reached(mix(1.0)), reached(mix(0.0)));
        assert!(scripted >= 4 && idle == 0, "{family}: {scripted} by script, {idle} by none, of {SEEDS}");
    }
}
