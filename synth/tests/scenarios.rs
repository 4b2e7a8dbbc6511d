//! Scenarios: a seed makes a trajectory, branches share their past, and what is asked for in vain is said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod simulated;

use simulated::{clip, unit};
use worldstep_env::policy::PolicyMix;
use worldstep_env::registry::TASKS;
use worldstep_synth::clips::{Link, Trajectory};
use worldstep_synth::{Scenario, ScenarioOptions, UnitKind, UnitRequest};

/// Rows before `frame`, and the state in it, are the same bits.
fn assert_shared_past(a: &Trajectory, b: &Trajectory, frame: usize) {
    assert_eq!(a.scene, b.scene);
    for t in 0..=frame {
        assert_eq!(a.poses_at(t), b.poses_at(t), "poses in row {t}");
        assert_eq!(a.velocities_at(t), b.velocities_at(t), "velocities in row {t}");
        assert_eq!(a.cameras_at(t), b.cameras_at(t), "cameras in row {t}");
    }
    let width = a.action.len() / a.len;
    assert_eq!(a.action[..frame * width], b.action[..frame * width]);
    assert_eq!(a.reward[..frame], b.reward[..frame]);
}

#[test]
fn every_scenario_is_found_by_its_name_and_by_no_other() {
    let all = Scenario::all().unwrap();
    for scenario in &all {
        let same_name = all.iter().filter(|other| other.name() == scenario.name()).count();
        assert_eq!(same_name, 1, "{} is there {same_name} times", scenario.name());
        assert_eq!(Scenario::find(scenario.name()).unwrap().fingerprint(), scenario.fingerprint());
    }
    for task in &TASKS {
        let by_id = Scenario::find(task.id).unwrap();
        assert_eq!(Scenario::find(task.scenario).unwrap().fingerprint(), by_id.fingerprint(), "{}", task.id);
    }
}

#[test]
fn a_task_has_one_state_more_than_rows() {
    for task in &TASKS {
        let scenario = Scenario::find(task.id).unwrap();
        let clip = clip(&scenario, 3);
        let k = scenario.slots().len();
        assert_eq!(clip.scenario, scenario.name());
        assert_eq!((clip.poses.len(), clip.velocities.len()), ((clip.len + 1) * k, (clip.len + 1) * k));
        assert_eq!(clip.cameras.len(), (clip.len + 1) * scenario.camera_names().len());
        assert_eq!(clip.state.len(), clip.len * scenario.state_space().flat_len());
        assert_eq!(clip.action.len(), clip.len * scenario.action_space().flat_len());
        assert!(clip.terminated[clip.len - 1] || clip.truncated[clip.len - 1]);
    }
}

#[test]
fn branches_of_a_task_share_their_past_and_nothing_else() {
    let scenario = Scenario::find("PushCube-v0").unwrap();
    let clips = unit(&scenario, 11, UnitKind::Branches(4));
    let single = clip(&scenario, 11);
    assert_eq!((&clips[0].poses, &clips[0].action), (&single.poses, &single.action));
    let Link::Branch { frame, .. } = clips[0].link else { panic!("{:?}", clips[0].link) };
    for (member, clip) in clips.iter().enumerate() {
        let Link::Branch { member: said, frame: parts } = clip.link else { panic!("{:?}", clip.link) };
        assert!(said == member && parts >= frame, "{:?}", clip.link);
        assert_shared_past(&clips[0], clip, parts as usize);
        for other in &clips[..member] {
            assert_ne!(clip.poses, other.poses, "member {member} does what another does");
        }
    }
}

#[test]
fn a_behaviour_that_does_nothing_acts_neutrally_and_is_off_for_tasks() {
    let scenario = Scenario::find("PushCube-v0").unwrap();
    let mix = PolicyMix { random: 0.0, scripted: 0.0, noisy_expert: 0.0, noop: 1.0 };
    let options = ScenarioOptions { mix: Some(mix), ..ScenarioOptions::default() };
    let request = UnitRequest { seed: 1, kind: UnitKind::Single, options: &options };
    let still = scenario.simulate(&request).unwrap().remove(0);
    assert_eq!(still.policy, "noop");
    assert!(still.action.iter().all(|value| *value == 0.0));
    for seed in 0..20 {
        assert_ne!(clip(&scenario, seed).policy, "noop");
    }
}

#[test]
fn a_task_has_no_impossible_twin_and_no_longer_horizon() {
    let scenario = Scenario::find("CartPole-v0").unwrap();
    let options = ScenarioOptions::default();
    let pair = scenario.simulate(&UnitRequest { seed: 0, kind: UnitKind::Pair, options: &options });
    assert!(pair.unwrap_err().to_string().contains("only families have impossible twins"));
    let options = ScenarioOptions { horizon: 2.0, ..options };
    let longer = scenario.simulate(&UnitRequest { seed: 0, kind: UnitKind::Single, options: &options });
    assert!(longer.unwrap_err().to_string().contains("horizon 2"));
}
