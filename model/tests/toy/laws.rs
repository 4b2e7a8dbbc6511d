//! Writes what truth knows of the physics of toy clips beside them, the way the dataset writer does: a ball
//! that falls, with drag, onto a floor.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, Int64Builder};
use arrow_array::types::Float32Type;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::{episode, feature, table};
use worldstep_env::{Camera, CameraMotion, Instance, Scene, Shape, Surface};
use worldstep_model::data::Clips;

pub const RADIUS: f32 = 0.25;
pub const DRAG: f32 = 0.2;
const DT_S: f32 = 0.1;
/// Row in which something that no table tells of pushes the ball.
pub const UNSEEN: usize = 8;
const FLOOR: u16 = 3;
const SCREEN: u16 = 4;

/// Makes the ball of every clip fall, and turn round from row `bounce` to the next; the paddle stands still.
pub fn fall(clips: &mut Clips, bounce: usize) {
    for range in &clips.ranges {
        let (mut x, mut v) = ([0.0, 0.0, 9.0f32], [1.0, 0.0, 0.0f32]);
        for t in 0..range.len {
            let row = (range.start + t) * 12;
            clips.objects[row..row + 3].copy_from_slice(&x);
            clips.objects[row + 3..row + 6].copy_from_slice(&v);
            clips.objects[row + 6..row + 12].copy_from_slice(&[4.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
            for axis in 0..3 {
                let pull = if axis == 2 { -9.81 } else { 0.0 };
                let half = DRAG * DT_S / 2.0;
                let next = (v[axis] * (1.0 - half) + pull * DT_S) / (1.0 + half);
                x[axis] += (v[axis] + next) / 2.0 * DT_S;
                v[axis] = next;
            }
            if t == bounce {
                v[2] *= -0.8;
            }
            if t == UNSEEN {
                v[0] += 0.5;
            }
        }
    }
}

/// Adds physics to a dataset of `clips`: a contact of ball and floor in row `bounce`, a force on the ball in
/// row 2, and the ball hidden in rows 3 and 4.
pub fn write(clips: &Clips, dir: &Path, bounce: usize) {
    let info_path = dir.join("meta/info.json");
    let text = std::fs::read_to_string(&info_path).unwrap();
    let mut info: serde_json::Value = serde_json::from_str(&text).unwrap();
    info["fps"] = serde_json::json!(10);
    std::fs::write(&info_path, info.to_string()).unwrap();
    episodes(clips, dir);
    rows(clips, dir);
    tables(clips, dir, bounce);
}

fn episodes(clips: &Clips, dir: &Path) {
    let count = clips.ranges.len();
    let gravity = [Some(0.0), Some(0.0), Some(-9.81)];
    let mass = [Some(0.5), Some(f32::INFINITY), Some(f32::INFINITY), Some(f32::INFINITY)];
    let lists = |values: &[Option<f32>]| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(vec![Some(values.to_vec()); count]))
    };
    let texts = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    replace(
        &dir.join("meta/episodes/chunk-000/file-000.parquet"),
        vec![
            (episode::GRAVITY, lists(&gravity)),
            (episode::MASS, lists(&mass)),
            (episode::SCENE, texts(serde_json::to_string(&scene()).unwrap())),
            (episode::JOINTS, texts("[]".to_owned())),
        ],
    );
}

fn rows(clips: &Clips, dir: &Path) {
    let rows: Vec<usize> = clips.ranges.iter().flat_map(|range| 0..range.len).collect();
    let seen = |t: &usize| if (3..5).contains(t) { [0.0, 1.0, 1.0, 1.0] } else { [1.0; 4] };
    let mut ids = FixedSizeListBuilder::new(Int64Builder::new(), 4);
    rows.iter().for_each(|_| {
        ids.values().append_slice(&[1, 2, 3, 4]);
        ids.append(true);
    });
    let still: [[f32; 7]; 2] = [[0.0, 0.0, -0.5, 0.0, 0.0, 0.0, 1.0], [2.0, -1.0, 1.0, 0.0, 0.0, 0.0, 1.0]];
    let object = |row: usize| clips.objects[row * 12..(row + 1) * 12].chunks(6);
    let pose = |row: usize| {
        let moving = object(row).flat_map(|o| [o[0], o[1], o[2], 0.0, 0.0, 0.0, 1.0]);
        moving.chain(still.into_iter().flatten()).collect::<Vec<f32>>()
    };
    let velocity = |row: usize| {
        let moving = object(row).flat_map(|o| [o[3], o[4], o[5], 0.0, 0.0, 0.0]);
        moving.chain([0.0; 12]).collect::<Vec<f32>>()
    };
    replace(
        &dir.join("data/chunk-000/file-000.parquet"),
        vec![
            (feature::VISIBILITY, vectors(rows.iter().map(|t| seen(t).to_vec()), 4)),
            (feature::INSTANCE_ID, Arc::new(ids.finish())),
            (feature::POSE, vectors((0..rows.len()).map(pose), 28)),
            (feature::VELOCITY, vectors((0..rows.len()).map(velocity), 24)),
        ],
    );
}

fn tables(clips: &Clips, dir: &Path, bounce: usize) {
    let count = clips.ranges.len();
    let each = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value; count])) };
    let episodes: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count as i64));
    let keys = |frame: usize| vec![("episode_index", episodes.clone()), ("frame_index", each(frame as i64))];
    let contacts = [keys(bounce), vec![("a", each(1)), ("b", each(i64::from(FLOOR)))]].concat();
    let forces = [keys(2), vec![("id", each(1))]].concat();
    for (name, columns) in [(table::CONTACTS, contacts), (table::FORCES, forces)] {
        let folder = dir.join(name).join("chunk-000");
        std::fs::create_dir_all(&folder).unwrap();
        save(&folder.join("file-000.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
    }
}

fn scene() -> Scene {
    let instance = |id, name: &str, shape, moving| Instance {
        id,
        semantic: 0,
        name: name.to_owned(),
        shape,
        color_linear: [0.5; 3],
        surface: Surface::default(),
        moving,
        actuated: false,
    };
    let slab = |half_extents| Shape::Cuboid { half_extents };
    Scene {
        instances: vec![
            instance(1, "ball", Shape::Sphere { radius: RADIUS }, true),
            instance(2, "paddle", slab([0.1, 0.3, 0.3]), true),
            instance(FLOOR, "floor", slab([9.0, 9.0, 0.5]), false),
            instance(SCREEN, "screen", slab([0.5, 0.1, 1.0]), false),
        ],
        meshes: Vec::new(),
        camera: Camera::new([0.0, -9.0, 1.0], [0.0, 0.0, 1.0], 0.5),
        camera_motion: CameraMotion::Fixed,
        extra_cameras: Vec::new(),
        sky_linear: [0.5; 3],
        light_direction: [0.0, 0.0, 1.0],
        light: None,
    }
}

fn vectors(rows: impl Iterator<Item = Vec<f32>>, width: i32) -> ArrayRef {
    let mut builder = FixedSizeListBuilder::new(Float32Builder::new(), width);
    for row in rows {
        builder.values().append_slice(&row);
        builder.append(true);
    }
    Arc::new(builder.finish())
}

/// Puts `columns` into a parquet file, instead of those of the same names.
fn replace(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let file = std::fs::File::open(path).unwrap();
    let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none(), "toy files are one batch");
    let schema = batch.schema();
    let kept = schema.fields().iter().map(|field| field.name().as_str()).zip(batch.columns().iter().cloned());
    let kept = kept.filter(|(name, _)| columns.iter().all(|(other, _)| other != name));
    let all: Vec<(&str, ArrayRef)> = kept.chain(columns.iter().map(|(n, c)| (*n, c.clone()))).collect();
    debug_assert!(all.iter().all(|(_, column)| column.len() == batch.num_rows()));
    save(path, &RecordBatch::try_from_iter(all).unwrap());
}

fn save(path: &Path, batch: &RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}
