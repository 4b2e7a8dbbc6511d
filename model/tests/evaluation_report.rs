//! The whole evaluation on toy clips: everything is there, finite, and about what it says.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "toy/disk.rs"]
mod disk;
#[path = "toy/dream.rs"]
mod dream;
mod toy;

use std::collections::BTreeMap;

use serde_json::Value;
use worldstep_env::{EnvError, Instance, Pose, Scene, Shape, Surface};
use worldstep_model::config::{FrameSize, Preset};
use worldstep_model::data::{Annotation, Annotations, ClipFacts, Clips, Split};
use worldstep_model::eval::page::{Subject, page};
use worldstep_model::eval::{
    EvalOptions, EvalReport, PerturbedTruth, Replay, Replayed, Sources, annotate, evaluate_with,
};
use worldstep_model::model::{Model, ModelCard, TaskCard};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();
const FRAME_SIDE: usize = FrameSize::Px64.side();

const FPS: f32 = 20.0;
/// The ball falls by 0.08 pixels a frame and frame; 64 pixels are a metre.
const GRAVITY: f32 = 0.08 / 64.0 * FPS * FPS;
const CLIPS: usize = 32;
const ROWS: usize = 80;

/// A model whose actions and objects are those of the toy clips.
fn model() -> Model {
    let task = TaskCard {
        objects: vec!["ball".to_owned(), "paddle".to_owned()],
        object_mean: vec![0.5; 12],
        object_scale: vec![0.1; 12],
        termination_threshold: None,
        ..dream::model().card.tasks[0].clone()
    };
    let mut card = ModelCard::new(Preset::Nano, vec![task]);
    card.config.context_frames = 8;
    Model::random(card, &burn::tensor::Device::flex())
}

fn instance(id: u16, name: &str, shape: Shape) -> Instance {
    Instance {
        id,
        semantic: 5,
        name: name.to_owned(),
        shape,
        color_linear: [0.5; 3],
        surface: Surface::default(),
        moving: true,
        actuated: id == 2,
    }
}

fn scene() -> Scene {
    let paddle = Shape::Cuboid { half_extents: [2.0 / 64.0, 6.0 / 64.0, 0.1] };
    let instances =
        vec![instance(1, "ball", Shape::Sphere { radius: 3.5 / 64.0 }), instance(2, "paddle", paddle)];
    let camera = worldstep_env::Camera::new([0.0, -1.0, 0.0], [0.0; 3], 0.5);
    Scene {
        instances,
        meshes: Vec::new(),
        camera,
        camera_motion: worldstep_env::CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.5; 3],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

/// What the toy's pixel classes say, in the form that a data set has it.
fn annotations(clips: &Clips) -> Annotations {
    let facts = |(i, range): (usize, &worldstep_model::data::ClipRange)| ClipFacts {
        split: match range.split {
            Split::Train => "train".to_owned(),
            _ if i % 8 == 7 => "test_combination".to_owned(),
            _ => "val".to_owned(),
        },
        episode: i as i64,
        violation: if i == 1 { "vanish".to_owned() } else { String::new() },
        pair: if i == 1 { 0 } else { -1 },
        gravity: [0.0, GRAVITY, 0.0],
        masses: vec![0.5, f32::INFINITY],
        scene: Some(scene()),
    };
    let mut all = Annotations { fps: FPS, ..Annotations::default() };
    all.facts = clips.ranges.iter().enumerate().map(facts).collect();
    all.clips = clips.ranges.iter().enumerate().map(|(i, range)| (i, annotation(clips, range))).collect();
    all
}

fn annotation(clips: &Clips, range: &worldstep_model::data::ClipRange) -> Annotation {
    let mut out = Annotation { upright: vec![true; 2], ..Annotation::default() };
    for row in range.start..range.start + range.len {
        let object = |class: &u8| u8::from(*class == toy::BALL) + 2 * u8::from(*class == toy::PADDLE);
        let labels: Vec<u8> = clips.classes(row).iter().map(object).collect();
        let share = |label: u8, whole: f32| {
            (labels.iter().filter(|other| **other == label).count() as f32 / whole).min(1.0)
        };
        out.visible.extend([share(1, 37.0), share(2, 30.0)]);
        out.silhouettes.extend(labels);
        out.actions.push(clips.action(row).to_vec());
    }
    let still = Pose { position: [0.0; 3], quat_xyzw: [0.0, 0.0, 0.0, 1.0] };
    out.first_poses = BTreeMap::from([(1, still), (2, still)]);
    out
}

/// Gives the clips back as they are, but for one column of pixels.
struct Shifted<'a>(&'a Clips);

impl PerturbedTruth for Shifted<'_> {
    fn replay(&mut self, requests: &[Replay<'_>]) -> Result<Vec<Replayed>, EnvError> {
        let clip = |request: &Replay<'_>| {
            let range = self.0.ranges.iter().find(|range| range.seed as u64 == request.seed).unwrap();
            let rows = range.start..range.start + range.len;
            let mut frames = self.0.frames[rows.start * FRAME_BYTES..rows.end * FRAME_BYTES].to_vec();
            frames[request.row * FRAME_BYTES..].chunks_exact_mut(FRAME_SIDE * 3).for_each(|row| row[0] ^= 1);
            let position = |row: usize| (0..2).flat_map(move |i| (0..3).map(move |j| (row * 2 + i) * 6 + j));
            let positions = rows.flat_map(position).map(|at| self.0.objects[at]).collect();
            Replayed { frames, positions }
        };
        Ok(requests.iter().map(clip).collect())
    }
}

fn report() -> EvalReport {
    let clips = toy::clips(CLIPS, ROWS, 3);
    let annotations = annotations(&clips);
    let options = EvalOptions { drift_steps: 60, temperature: 1.0, ..EvalOptions::default() };
    let sources =
        Sources { annotations: Some(&annotations), perturbed: Some(&mut Shifted(&clips)), pairs: None };
    evaluate_with(&model(), &clips, &options, sources).unwrap()
}

/// Every number of `value` by its path.
fn numbers(value: &Value, path: &str, out: &mut BTreeMap<String, f64>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| numbers(value, &format!("{path}/{name}"), out));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| numbers(value, &format!("{path}/{i}"), out));
        }
        Value::Number(number) => drop(out.insert(path.to_owned(), number.as_f64().unwrap())),
        _ => {}
    }
}

#[test]
fn everything_is_measured_and_the_probe_is_right_about_true_frames() {
    let report = report();
    let value = serde_json::to_value(&report).unwrap();
    let read: EvalReport = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(read.sets, report.sets, "what is written can be read");
    let mut all = BTreeMap::new();
    numbers(&value, "", &mut all);
    // JSON has no such numbers: they would have become nulls.
    let said = format!("{:?}", report.sets);
    assert!(["NaN", " inf", "-inf", "(inf"].iter().all(|odd| !said.contains(odd)), "a number that is none");
    let at = |path: &str| *all.get(path).unwrap_or_else(|| panic!("nothing at {path}"));

    assert_eq!(report.sets.keys().collect::<Vec<_>>(), ["test_combination", "val"]);
    assert_eq!((report.sets["val"].clips, report.sets["test_combination"].clips), (4, 4));
    for arm in ["model", "copy_last", "constant_velocity", "shuffled_actions", "tokenizer", "perturbed_truth"]
    {
        for measure in ["psnr_db", "ssim", "feature_distance"] {
            for step in [1, 8, 16, 64] {
                at(&format!("/sets/val/pictures/arms/{arm}/at/{step}/{measure}/foreground"));
            }
        }
        at(&format!("/sets/val/pictures/arms/{arm}/frechet/64/frame"));
        assert!(report.sets["val"].pictures.arms[arm].at[&256].is_none(), "no clip is as long");
    }
    let pixels = |arm: &str| at(&format!("/sets/val/pictures/arms/{arm}/at/8/psnr_db/frame"));
    assert!(pixels("perturbed_truth") > 50.0 && pixels("copy_last") > pixels("model"));
    assert_eq!(at("/sets/val/pictures/clips_at_horizon/256"), 0.0);

    let physics = report.sets["val"].physics.as_ref().unwrap();
    let ball = physics.probe.objects["ball"];
    assert!(ball.found_when_whole.unwrap() > 0.97 && ball.pixels_rms.unwrap() < 0.6, "{ball:?}");
    assert!(ball.metres_rms.unwrap() < 0.02 && ball.found_when_hidden.unwrap() < 0.05, "{ball:?}");
    assert_eq!(physics.falling, ["ball"]);
    let truth = &physics.sources["probe_on_truth"];
    let gravity = truth.gravity.unwrap();
    assert!(gravity.relative_error.abs() < 0.1, "{gravity:?}");
    assert!(truth.collisions.unwrap().found > 0.8, "{:?}", truth.collisions);
    let told = &physics.sources["perturbed_truth"];
    assert_eq!((told.lost["ball"].unwrap().never_share, told.state[&8].position_m), (1.0, Some(0.0)));
    // All but one column of pixels is as in truth, and so is what is seen in it.
    assert_eq!(physics.sources["probe_on_perturbed_truth"].permanence, truth.permanence);
    assert_eq!(report.sets["val"].without_perturbed_truth, None);
    assert!(physics.sources["copy_last"].lost["ball"].unwrap().median_steps < 10);

    let simulator = &report.sets["val"].simulator;
    assert_eq!(simulator.drift.as_ref().unwrap().blocks.len(), 2);
    assert_eq!(simulator.surprise.as_ref().unwrap().pairs, 1);
    assert!(simulator.reward.as_ref().unwrap().dreamt_return_mae.is_some());
    assert_eq!(report.sets["test_combination"].simulator.drift, None, "it does not depend on the set");
    assert_eq!(at("/clips"), 4.0);

    let page = page(&report, &Subject { title: "Toy <1>".to_owned(), origin: "here".to_owned() });
    assert!(page.contains("Toy &lt;1&gt;") && page.contains("Held-out combinations"));
    assert_eq!(page.matches("data:image/png;base64,").count(), 3 * report.rollouts.len());
    assert!(page.matches("<polyline").count() > 20);
    // Pictures are text too, but without these signs before it.
    assert!([">NaN", ",NaN", " NaN", "\"NaN"].iter().all(|nan| !page.contains(nan)));
    assert!(!page.contains("src=\"http") && !page.contains("<link") && !page.contains("<script"));
}

#[test]
fn annotations_are_what_the_data_set_says() {
    let clips = toy::clips(8, 12, 1);
    let dir = tempfile::tempdir().unwrap();
    disk::write(&clips, dir.path());
    let loaded = Clips::load(dir.path(), None).unwrap();
    let options = EvalOptions { clips_max: 2, ..EvalOptions::default() };
    let known = annotate(&loaded, &options).unwrap();
    assert_eq!((known.fps, known.facts.len()), (FPS, 8));
    assert_eq!(known.facts[3].split, "val");
    let expected = annotations(&clips);
    for (clip, annotation) in &known.clips {
        assert_eq!(annotation.silhouettes, expected.clips[clip].silhouettes);
        assert_eq!(annotation.actions.len(), 12);
    }
    assert_eq!(known.clips.keys().filter(|clip| *clip % 4 == 3).count(), 2, "both validation clips");
}
