//! A LeRobotDataset of somebody else's is read as a small file says, and learned from.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "lerobot/disk.rs"]
mod disk;
mod toy;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::json;
use worldstep_model::config::FrameSize;
use worldstep_model::data::lerobot::{self, LerobotConfig};
use worldstep_model::data::{Clips, Corpus, PIXEL_MOVING, Split, load_all};
use worldstep_model::model::Model;
use worldstep_model::train::{Budget, TrainOptions, train, train_on};

const FRAME_BYTES: usize = FrameSize::Px64.bytes();

const CONFIG: &str = "task = \"my-arm\"\ncamera = \"observation.images.front\"\n";

fn config(more: &str) -> LerobotConfig {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    std::fs::write(&path, format!("{CONFIG}{more}")).unwrap();
    LerobotConfig::load(&path).unwrap()
}

fn options(data: &Path, out: PathBuf) -> TrainOptions {
    let mut options = TrainOptions::new(data, out);
    options.budget = Budget::Steps { tokenizer: 2, dynamics: 2 };
    options.batch = 2;
    options
}

/// The frame of a row, had it been cropped to the centred square and scaled by picking the nearest pixel.
fn expected_pixel(episode: usize, row: usize, side: usize, (x, y): (usize, usize)) -> [u8; 3] {
    let scale = disk::HEIGHT as f64 / side as f64;
    let at = |i: usize| ((i as f64 + 0.5) * scale) as usize;
    let pixel = at(y) * disk::WIDTH + at(x) + (disk::WIDTH - disk::HEIGHT) / 2;
    disk::picture(episode, row)[pixel * 3..pixel * 3 + 3].try_into().unwrap()
}

/// Share of the pixels of `frame` that are what the picture shows there, within `levels`.
fn agreement(frame: &[u8], episode: usize, row: usize, levels: u8) -> f64 {
    let pixels = frame.len() / 3;
    let side = pixels.isqrt();
    let same = (0..pixels).filter(|i| {
        let expected = expected_pixel(episode, row, side, (i % side, i / side));
        expected.iter().zip(&frame[i * 3..i * 3 + 3]).all(|(a, b)| a.abs_diff(*b) <= levels)
    });
    same.count() as f64 / pixels as f64
}

#[test]
fn frames_actions_and_episodes_are_read() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let clips = lerobot::load(dir.path(), &config("")).unwrap();
    assert_eq!(clips.scenario.id, "my-arm");
    let shape: Vec<_> = clips.ranges.iter().map(|range| (range.start, range.len, range.split)).collect();
    assert_eq!(shape, [(0, 12, Split::Train), (12, 9, Split::Train), (21, 14, Split::Val)]);
    for (episode, range) in clips.ranges.iter().enumerate() {
        for row in 0..range.len {
            let seen = agreement(clips.frame(range.start + row), episode, row, 8);
            // All but the square's edges, which scaling blurs.
            assert!(seen > 0.96, "episode {episode} row {row}: {seen}");
            let [low, high] = disk::BOUNDS;
            let scaled = disk::joints(episode, row).map(|joint| (joint - low) / (high - low) * 2.0 - 1.0);
            assert_eq!(clips.action(range.start + row), scaled);
        }
    }
    let told = clips.targets;
    assert!(!told.rewards && !told.terminated && clips.tracked_objects() == 0);
    assert_eq!(clips.hash.len(), 16);
}

#[test]
fn frames_can_be_larger() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let clips = lerobot::load(dir.path(), &config("side = 128")).unwrap();
    assert_eq!((clips.frame_size, clips.info.frame_size), (FrameSize::Px128, 128));
    assert_eq!(clips.frames.len(), clips.rows() * FrameSize::Px128.bytes());
    assert_eq!(clips.pixel_class.len(), clips.rows() * FrameSize::Px128.pixels());
    let seen = agreement(clips.frame(12 + 3), 1, 3, 8);
    assert!(seen > 0.96, "{seen}");
    let path = dir.path().join("my.toml");
    std::fs::write(&path, format!("{CONFIG}side = 96")).unwrap();
    let message = LerobotConfig::load(&path).unwrap_err().to_string();
    assert!(message.contains("96 × 96 pixels, expected 64 or 128"), "{message}");
}

/// Foreground is where the square is, was or will be, nothing else.
#[test]
fn what_moves_is_foreground() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let clips = lerobot::load(dir.path(), &config("")).unwrap();
    let red = |row: usize, pixel: usize| clips.frame(row)[pixel * 3];
    let mut moving = 0;
    for (pixel, class) in clips.classes(3).iter().enumerate() {
        moving += usize::from(*class == PIXEL_MOVING);
        if (2..5).all(|row| red(row, pixel) < 95) {
            assert_eq!(*class, 0, "pixel {pixel} is always background");
        }
        if red(3, pixel) > 200 && red(2, pixel) < 95 {
            assert_eq!(*class, PIXEL_MOVING, "pixel {pixel} was background before");
        }
    }
    assert!((20..600).contains(&moving), "{moving} pixels");
}

#[test]
fn rates_are_lowered_and_actions_merged() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let read = |more: &str| lerobot::load(dir.path(), &config(more)).unwrap();
    let (low, high) = (disk::BOUNDS[0], disk::BOUNDS[1]);
    let scaled = |joint: f32| (joint - low) / (high - low) * 2.0 - 1.0;
    // Every second row: episode 1 has 9, of which 5 stay; the action is the last before the next frame.
    let half = read("fps = 10");
    assert_eq!(half.ranges.iter().map(|range| range.len).collect::<Vec<_>>(), [6, 5, 7]);
    assert!(agreement(half.frame(6 + 2), 1, 4, 8) > 0.96);
    assert_eq!(half.action(6 + 1), disk::joints(1, 3).map(scaled));
    assert_eq!(half.action(6 + 4), disk::joints(1, 8).map(scaled), "the last row stands alone");
    let mean = read("fps = 10\nmerge = \"mean\"");
    let expected = (disk::joints(0, 2)[1] + disk::joints(0, 3)[1]) / 2.0;
    assert!((mean.action(1)[1] - scaled(expected)).abs() < 1e-6);
    // 20 to 15: rows nearest to 0, 1/15, 2/15, 3/15 s are 0, 1, 3, 4.
    let nearest = read("fps = 15");
    for (row, from) in [0, 1, 3, 4].into_iter().enumerate() {
        assert!(agreement(nearest.frame(row), 0, from, 8) > 0.96, "row {row}");
    }
}

#[test]
fn bounds_of_actions_can_be_given() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let clips =
        lerobot::load(dir.path(), &config("action_low = [0.0, 0.0]\naction_high = [40.0, 80.0]")).unwrap();
    let [a, b] = disk::joints(0, 5);
    assert_eq!(clips.action(5), [a / 20.0 - 1.0, b / 40.0 - 1.0]);
    let error = lerobot::load(dir.path(), &config("action_low = [0.0]")).unwrap_err().to_string();
    assert!(error.contains("2 elements") && error.contains("1 and 2"), "{error}");
}

#[test]
fn a_model_learns_from_it() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    std::fs::write(dir.path().join("worldstep.toml"), CONFIG).unwrap();
    let out = dir.path().join("model");
    let mut losses = Vec::new();
    train(&options(dir.path(), out.clone()), &mut |progress| losses.push(progress.loss)).unwrap();
    assert!(losses.len() == 4 && losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let model = Model::load(&out, &Device::flex()).unwrap();
    assert_eq!((model.card.tasks[0].id.as_str(), model.card.config.action_values), ("my-arm", 2));
    assert_eq!((model.card.training.clips, model.card.training.frames), (2, 21));
}

/// Real and simulated clips side by side: what the real ones do not tell is not learned from them.
#[test]
fn it_is_mixed_with_clips_that_tell_more() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let clips = [lerobot::load(dir.path(), &config("")).unwrap(), toy::clips(4, 20, 1)];
    let mix = ["my-arm=3".parse().unwrap()];
    let corpus = Corpus::new(&clips, &mix).unwrap();
    let mut losses = Vec::new();
    let options = options(dir.path(), dir.path().join("model"));
    train_on(corpus, &options, &mut |progress| losses.push(progress.loss)).unwrap();
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let model = Model::load(&options.out, &Device::flex()).unwrap();
    assert_eq!(model.card.task_names(), "my-arm, Toy-v0");
    assert_eq!((model.card.config.action_values, model.card.config.tracked_objects), (3 + 2, 2));
    assert_eq!(model.card.training.mix, "my-arm=3");
}

fn refusal(dir: &Path, more: &str) -> String {
    let message = lerobot::load(dir, &config(more)).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

#[test]
fn without_a_configuration_it_says_what_to_write() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let message = load_all(&[dir.path().to_owned()], None, None).unwrap_err().to_string();
    assert!(message.contains("worldstep.toml") && message.contains("--lerobot-config"), "{message}");
    assert!(message.contains("observation.images.front"), "{message}");
    let path = dir.path().join("my.toml");
    std::fs::write(&path, CONFIG).unwrap();
    assert_eq!(load_all(&[dir.path().to_owned()], None, Some(&path)).unwrap().len(), 1);
}

#[test]
fn what_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    assert!(refusal(dir.path(), "fps = 50").contains("fps is 20, below the 50"));
    assert!(refusal(dir.path(), "crop = [90, 0, 20, 20]").contains("pictures are 96 × 80"));
    assert!(refusal(dir.path(), "action = \"force\"").contains("force"));
    assert!(refusal(dir.path(), "reward = \"next.reward\"").contains("next.reward"));
    let mut other = config("");
    other.camera = "observation.state".to_owned();
    let message = lerobot::load(dir.path(), &other).unwrap_err().to_string();
    assert!(message.contains("no camera") && message.contains(disk::CAMERA), "{message}");
    let info = dir.path().join("meta/info.json");
    let text = std::fs::read_to_string(&info).unwrap().replace("v3.0", "v2.1");
    std::fs::write(&info, text).unwrap();
    assert!(refusal(dir.path(), "").contains("v2.1"));
}

/// Mean difference of a frame that is a video's is below 3 levels; another frame's square is elsewhere, which is 6 and more.
fn expect_pictures_in_video(repeats: usize, configs: &[&str]) {
    let (video, images) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    if !disk::with_video_of(video.path(), repeats) {
        println!("skipped: there is no ffmpeg to encode a video with");
        return;
    }
    disk::with_images(images.path());
    for more in configs {
        let read = |dir: &Path| -> Clips { lerobot::load(dir, &config(more)).unwrap() };
        let (video, images) = (read(video.path()), read(images.path()));
        assert_eq!(video.actions, images.actions);
        assert_eq!(video.rows(), images.rows());
        for row in 0..video.rows() {
            let pairs = video.frame(row).iter().zip(images.frame(row));
            let error: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / FRAME_BYTES as f64;
            assert!(error < 3.0, "{more:?} row {row}: {error}");
        }
    }
}

#[test]
fn video_shows_what_pictures_show() {
    expect_pictures_in_video(1, &["", "fps = 10", "crop = [8, 8, 64, 64]"]);
}

/// Cameras write as fast as they like: what belongs to a row is what is seen at its time.
#[test]
fn a_video_of_another_rate_is_read_by_its_time() {
    expect_pictures_in_video(2, &["", "fps = 10"]);
}

/// Axes have names, or channels are the short one.
#[test]
fn pictures_may_be_channels_first() {
    let dir = tempfile::tempdir().unwrap();
    if !disk::with_video(dir.path()) {
        println!("skipped: there is no ffmpeg to encode a video with");
        return;
    }
    let last = lerobot::load(dir.path(), &config("")).unwrap();
    let info = dir.path().join("meta/info.json");
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&info).unwrap()).unwrap();
    let with = |shape: serde_json::Value, names: serde_json::Value| {
        let mut json = json.clone();
        let camera = &mut json["features"][disk::CAMERA];
        (camera["shape"], camera["names"]) = (shape, names);
        std::fs::write(&info, json.to_string()).unwrap();
    };
    let (w, h) = (disk::WIDTH, disk::HEIGHT);
    for (shape, names) in [
        (json!([3, h, w]), json!(null)),
        (json!([3, h, w]), json!(["channels", "height", "width"])),
        (json!([w, h, 3]), json!(["width", "height", "channel"])),
    ] {
        with(shape, names);
        assert!(lerobot::load(dir.path(), &config("")).unwrap().frames == last.frames);
    }
    with(json!([5, h, w, 3]), json!(null));
    assert!(refusal(dir.path(), "").contains("expected height, width and channels"));
}

#[test]
fn bounds_that_are_no_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    for (low, high, expected) in [
        ("[0.0, 9.0]", "[1.0, 8.0]", "element 1 of \"action\" goes from 9 to 8"),
        ("[nan, 0.0]", "[1.0, 8.0]", "element 0 of \"action\" goes from NaN to 1"),
        ("[0.0, 0.0]", "[inf, 8.0]", "element 0 of \"action\" goes from 0 to inf"),
    ] {
        let message = refusal(dir.path(), &format!("action_low = {low}\naction_high = {high}"));
        assert!(message.contains(expected), "{message}");
    }
}

/// A training that is resumed must notice that it would learn something else.
#[test]
fn the_hash_tells_whatever_is_learned() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_images(dir.path());
    let hash = |more: &str| lerobot::load(dir.path(), &config(more)).unwrap().hash;
    let plain = hash("");
    assert_eq!(plain, hash("moving_levels = 12"));
    for more in
        ["moving_levels = 200", "val_every = 2", "reward = \"timestamp\"", "terminated = \"frame_index\""]
    {
        assert_ne!(hash(more), plain, "{more}");
    }
}

#[test]
fn without_a_decoder_it_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    disk::with_video(dir.path());
    let path = dir.path().join("videos").join(disk::CAMERA).join("chunk-000/file-000.mp4");
    std::fs::write(&path, "no video").unwrap();
    let message = refusal(dir.path(), "ffmpeg = \"/nowhere/ffmpeg\"");
    assert!(message.contains("install ffmpeg") && message.contains("/nowhere/ffmpeg"), "{message}");
    std::fs::remove_file(&path).unwrap();
    assert!(refusal(dir.path(), "").contains("file-000.mp4"));
}
