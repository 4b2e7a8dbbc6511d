//! A clip that shows what another one shows is rejected, with its reason.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use worldstep_synth::curate::{Code, Curation};
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{Randomisation, ScenarioOptions, SynthError, SynthOptions, write_dataset};

/// A family with nothing to draw: all of its clips are alike.
const FAMILY: &str = r#"
name = "same-fall"
summary = "A ball falls, always the same way."
seconds = 1.0
distractors = false
policies = { random = 0.0, scripted = 0.0, noisy_expert = 0.0, noop = 1.0 }

[region]
center = [0, 0, 0.5]
size = [1.0, 1.0, 1.0]

[parameters]
height = { fixed = 0.8 }

[[bodies]]
name = "ground"
class = "ground"
color = "ground"
motion = "fixed"
shape = { box = [40, 40, 0.2] }
position = [0, 0, -0.1]

[[bodies]]
name = "ball"
shape = { sphere = 0.1 }
position = [0, 0, "height"]

[[actions]]
name = "push"
kind = "force"
body = "ball"
direction = [1, 0, 0]
scale = "1"
script = "0"

[[outcomes]]
name = "floated"
when = "ball.z > 0.7"

[[outcomes]]
name = "fell"
"#;

fn options(family: &Path, out: PathBuf) -> SynthOptions {
    let scenarios =
        ScenarioOptions { randomisation: Randomisation::default().off(), ..ScenarioOptions::default() };
    let channels = vec![ImageChannel::Rgb, ImageChannel::Instance];
    let scenario = family.display().to_string();
    SynthOptions { frame_size: 16, channels, scenarios, ..SynthOptions::new(scenario, 2, out) }
}

#[test]
fn a_near_duplicate_is_rejected_by_name_unless_the_rule_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let family = folder.path().join("same-fall.toml");
    std::fs::write(&family, FAMILY).unwrap();
    let asked = options(&family, folder.path().join("alike"));
    match write_dataset(&asked, &mut |_| {}).unwrap_err() {
        SynthError::Rejected { unit: 1, reason, .. } => assert_eq!(reason, Code::NearDuplicate.name()),
        other => panic!("{other}"),
    }
    let curation = Curation { off: vec![Code::NearDuplicate], ..Curation::default() };
    let allowed = SynthOptions { curation, ..options(&family, folder.path().join("allowed")) };
    assert_eq!(write_dataset(&allowed, &mut |_| {}).unwrap().clips(), 2);
}

#[test]
fn what_a_task_would_not_use_is_refused_before_anything_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clips");
    let task = SynthOptions::new("PushCube-v0", 1, &out);
    let randomisation = Randomisation::parse("[physics]\nsize = { fixed = 2.0 }").unwrap();
    let scenarios = ScenarioOptions { randomisation, ..ScenarioOptions::default() };
    let error = write_dataset(&SynthOptions { scenarios, ..task.clone() }, &mut |_| {}).unwrap_err();
    assert!(error.is_of_request() && error.to_string().contains("PushCube-v0"), "{error}");
    let textures = Some(folder.path().to_owned());
    let error = write_dataset(&SynthOptions { textures, ..task }, &mut |_| {}).unwrap_err();
    assert!(error.is_of_request() && error.to_string().contains("textures"), "{error}");
    assert!(!out.exists());
}
