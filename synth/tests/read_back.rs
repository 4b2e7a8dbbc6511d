//! What a reader finds in a dataset is what was seen and done, row by row.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int64Type};
use image::DynamicImage;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::{episode, feature};
use worldstep_env::{AutoresetMode, Buffer, TruthSource as _, VectorEnv as _, make_truth};
use worldstep_synth::{
    Channels, Frames, Moment, RenderConfig, Renderer, Scenario, ScenarioOptions, SynthOptions, UnitKind,
    UnitRequest, View, write_dataset,
};

const TASK: &str = "CatchBehindScreen-v0";
const SEED: u64 = 11;
const PIXELS: usize = 64 * 64;

/// All rows of a parquet file, one batch a row group.
fn row_groups(path: &Path) -> Vec<RecordBatch> {
    let groups = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap())
        .unwrap()
        .metadata()
        .num_row_groups();
    (0..groups)
        .map(|group| {
            let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            let mut reader = builder.with_row_groups(vec![group]).with_batch_size(4096).build().unwrap();
            reader.next().unwrap().unwrap()
        })
        .collect()
}

fn dataset(clips: usize) -> (tempfile::TempDir, Vec<RecordBatch>) {
    let folder = tempfile::tempdir().unwrap();
    let options = SynthOptions { seed: SEED, ..SynthOptions::new(TASK, clips, folder.path().join("clips")) };
    write_dataset(&options, &mut |_| {}).unwrap();
    let groups = row_groups(&folder.path().join("clips/data/chunk-000/file-000.parquet"));
    assert_eq!(groups.len(), clips, "one row group an episode");
    (folder, groups)
}

fn image(batch: &RecordBatch, name: &str, row: usize) -> DynamicImage {
    let bytes = batch[name].as_struct().column_by_name("bytes").unwrap().as_binary::<i32>().value(row);
    image::load_from_memory(bytes).unwrap()
}

fn depth(batch: &RecordBatch, row: usize) -> Vec<f32> {
    floats(batch, feature::DEPTH, row, 1)
}

/// The values of a float image, plane after plane.
fn floats(batch: &RecordBatch, name: &str, row: usize, planes: u32) -> Vec<f32> {
    let bytes = batch[name].as_struct().column_by_name("bytes").unwrap().as_binary::<i32>().value(row);
    let mut decoder = tiff::decoder::Decoder::new(std::io::Cursor::new(bytes)).unwrap();
    assert_eq!(decoder.dimensions().unwrap(), (64, 64 * planes), "{name}");
    match decoder.read_image().unwrap() {
        tiff::decoder::DecodingResult::F32(values) => values,
        _ => panic!("{name} is float32"),
    }
}

/// Planes of `values` that are interleaved, pixel by pixel.
fn planes(values: &[f32], count: usize) -> Vec<f32> {
    (0..count).flat_map(|plane| values.iter().skip(plane).step_by(count).copied()).collect()
}

/// Every channel, with flow to the rows before and after, and to what came after the last action.
#[test]
fn every_channel_is_what_the_renderer_gives_for_the_trajectory() {
    let (_folder, groups) = dataset(1);
    let options = ScenarioOptions::default();
    let request = UnitRequest { seed: SEED, kind: UnitKind::Single, options: &options };
    let trajectory = Scenario::find(TASK).unwrap().simulate(&request).unwrap().remove(0);
    let moment = |t: usize| Moment {
        camera: trajectory.cameras_at(t)[0],
        poses: trajectory.poses_at(t),
        soft_vertices: trajectory.soft_at(t),
    };
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: 64, height: 64 }).unwrap();
    let mut frames = Frames::default();
    let (batch, mut moved) = (&groups[0], false);
    assert_eq!(batch.num_rows(), trajectory.len);
    for t in [0, 1, trajectory.len / 2, trajectory.len - 1] {
        let view = View {
            scene: &trajectory.scene,
            now: moment(t),
            next: Some(moment(t + 1)),
            previous: t.checked_sub(1).map(moment),
        };
        renderer.render(&[view], Channels::All, &mut frames).unwrap();
        assert_eq!(image(batch, feature::SEMANTIC, t).into_luma16().into_raw(), frames.semantic);
        assert_eq!(floats(batch, feature::NORMAL, t, 3), planes(&frames.normal, 3));
        assert_eq!(floats(batch, feature::COORDINATES, t, 3), planes(&frames.coordinates, 3));
        assert_eq!(floats(batch, feature::FLOW_FORWARD, t, 2), planes(&frames.flow_forward, 2));
        assert_eq!(floats(batch, feature::FLOW_BACKWARD, t, 2), planes(&frames.flow_backward, 2));
        moved |= frames.flow_forward.iter().any(|pixels| *pixels != 0.0);
    }
    assert!(moved, "nothing moved in any row");
}

/// The timing rule, through physics and pixels: row t is what is seen before action t, and what that action caused.
#[test]
fn playing_the_actions_again_gives_the_recorded_rows() {
    let (_folder, groups) = dataset(3);
    let mut renderer = Renderer::new(RenderConfig { tiles: 1, width: 64, height: 64 }).unwrap();
    for (index, batch) in groups.iter().enumerate() {
        let mut env = make_truth(TASK, 1, AutoresetMode::Disabled).unwrap();
        env.reset_all(Some(SEED + index as u64)).unwrap();
        let (mut frames, mut poses) = (Frames::default(), Vec::new());
        let actions = batch[feature::ACTION].as_primitive::<Float32Type>();
        let states = batch[feature::STATE].as_fixed_size_list();
        for row in 0..batch.num_rows() {
            env.poses(0, &mut poses);
            let view = View::new(env.scene(0), &poses);
            renderer.render(&[view], Channels::Labels, &mut frames).unwrap();
            assert_eq!(
                image(batch, feature::RGB, row).into_rgb8().into_raw(),
                frames.rgb,
                "rgb of row {row}"
            );
            assert_eq!(image(batch, feature::INSTANCE, row).into_luma16().into_raw(), frames.instance);
            assert_eq!(depth(batch, row), frames.depth);
            let state = states.value(row);
            assert_eq!(
                Buffer::F32(state.as_primitive::<Float32Type>().values().to_vec()),
                env.batch().observations
            );
            env.step_all(&Buffer::I64(vec![actions.value(row) as i64])).unwrap();
            assert_eq!(
                batch[feature::REWARD].as_primitive::<Float32Type>().value(row),
                env.batch().rewards[0]
            );
            assert_eq!(batch[feature::TERMINATED].as_boolean().value(row), env.batch().terminated[0]);
            assert_eq!(batch[feature::TRUNCATED].as_boolean().value(row), env.batch().truncated[0]);
        }
        assert!(env.batch().done(0), "the last row ends the episode");
    }
}

#[test]
fn indices_and_splits_count_on_through_the_dataset() {
    let (folder, groups) = dataset(12);
    let mut next = 0;
    for (index, batch) in groups.iter().enumerate() {
        let column = |name: &str| batch[name].as_primitive::<Int64Type>().values().to_vec();
        let rows = batch.num_rows() as i64;
        assert_eq!(column("index"), (next..next + rows).collect::<Vec<_>>());
        assert_eq!(column("frame_index"), (0..rows).collect::<Vec<_>>());
        assert!(column("episode_index").iter().all(|episode| *episode == index as i64));
        next += rows;
    }
    let meta = &row_groups(&folder.path().join("clips/meta/episodes/chunk-000/file-000.parquet"))[0];
    let splits: Vec<_> = meta[episode::SPLIT].as_string::<i32>().iter().flatten().collect();
    assert_eq!(splits.iter().filter(|split| **split == "val").count(), 1);
    assert_eq!(splits[9], "val");
    let ends = meta["dataset_to_index"].as_primitive::<Int64Type>();
    assert_eq!(ends.value(ends.len() - 1), next);
}

/// What makes this task worth learning: the ball goes out of sight, and comes back.
#[test]
fn the_ball_is_hidden_for_5_to_30_frames() {
    let (_folder, groups) = dataset(20);
    let scene = make_truth(TASK, 1, AutoresetMode::Disabled).unwrap().scene(0).clone();
    let ball = scene.instances.iter().find(|instance| instance.name == "ball").unwrap().id;
    let mut within = 0;
    for batch in &groups {
        let visible: Vec<bool> = (0..batch.num_rows())
            .map(|row| {
                let ids = image(batch, feature::INSTANCE, row).into_luma16().into_raw();
                assert_eq!(ids.len(), PIXELS);
                ids.contains(&ball)
            })
            .collect();
        let longest = visible.split(|seen| *seen).map(<[bool]>::len).max().unwrap_or(0);
        within += usize::from((5..=30).contains(&longest));
    }
    assert!(within >= 19, "only {within} of {} clips", groups.len());
}
