//! Writes toy clips the way the dataset writer does.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, Int64Builder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow_schema::{DataType, Field, Fields};
use image::{ExtendedColorType, ImageEncoder};
use parquet::arrow::ArrowWriter;
use worldstep_env::dataset::{INFO_KEY, LEROBOT_VERSION, episode, feature};
use worldstep_model::config::FrameSize;
use worldstep_model::data::{Clips, PIXEL_ACTUATED, PIXEL_MOVING, Split};

const FRAME_SIDE: usize = FrameSize::Px64.side();

fn png(bytes: &[u8], color: ExtendedColorType) -> Vec<u8> {
    let mut out = Vec::new();
    let side = FRAME_SIDE as u32;
    image::codecs::png::PngEncoder::new(&mut out).write_image(bytes, side, side, color).unwrap();
    out
}

fn images(files: &[Vec<u8>]) -> ArrayRef {
    let bytes = BinaryArray::from_iter_values(files);
    let path = StringArray::from(vec![None::<&str>; files.len()]);
    let fields: Fields =
        vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into();
    Arc::new(StructArray::new(fields, vec![Arc::new(bytes), Arc::new(path)], None))
}

fn matrices(rows: impl Iterator<Item = Vec<[f32; 7]>>, width: usize) -> ArrayRef {
    let inner = FixedSizeListBuilder::new(Float32Builder::new(), width as i32);
    let mut outer = FixedSizeListBuilder::new(inner, 2);
    for row in rows {
        for object in row {
            object[..width].iter().for_each(|value| outer.values().values().append_value(*value));
            outer.values().append(true);
        }
        outer.append(true);
    }
    Arc::new(outer.finish())
}

/// Writes a whole dataset.
pub fn write(clips: &Clips, dir: &Path) {
    for part in ["data/chunk-000", "meta/episodes/chunk-000"] {
        std::fs::create_dir_all(dir.join(part)).unwrap();
    }
    let info = serde_json::json!({ "codebase_version": LEROBOT_VERSION, "fps": 20, INFO_KEY: clips.info });
    std::fs::write(dir.join("meta/info.json"), info.to_string()).unwrap();
    write_parquet(&dir.join("data/chunk-000/file-000.parquet"), rows(clips));
    write_parquet(&dir.join("meta/episodes/chunk-000/file-000.parquet"), episodes(clips));
}

fn write_parquet(path: &Path, batch: RecordBatch) {
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn episodes(clips: &Clips) -> RecordBatch {
    let count = clips.ranges.len();
    let split =
        |range: &worldstep_model::data::ClipRange| if range.split == Split::Val { "val" } else { "train" };
    RecordBatch::try_from_iter([
        ("episode_index", Arc::new(Int64Array::from_iter_values(0..count as i64)) as ArrayRef),
        (episode::SEED, Arc::new(Int64Array::from_iter_values(clips.ranges.iter().map(|range| range.seed)))),
        (episode::SPLIT, Arc::new(StringArray::from_iter_values(clips.ranges.iter().map(split)))),
        (episode::SCENARIO, Arc::new(StringArray::from_iter_values(vec![clips.scenario.id.as_str(); count]))),
        (episode::HASH, Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("{i:x}"))))),
    ])
    .unwrap()
}

fn rows(clips: &Clips) -> RecordBatch {
    let count = clips.rows();
    let index = clips.ranges.iter().enumerate().flat_map(|(i, range)| vec![i as i64; range.len]);
    let choice = |row: usize| clips.action(row).iter().position(|value| *value == 1.0).unwrap() as f32;
    let id = |class: &u8| match *class {
        0 => 0u16,
        class if class == PIXEL_MOVING | PIXEL_ACTUATED => 2,
        _ => 1,
    };
    let instance =
        |row| clips.classes(row).iter().flat_map(|class| id(class).to_ne_bytes()).collect::<Vec<u8>>();
    let rgb: Vec<_> = (0..count).map(|row| png(clips.frame(row), ExtendedColorType::Rgb8)).collect();
    let ids: Vec<_> = (0..count).map(|row| png(&instance(row), ExtendedColorType::L16)).collect();
    let object = |row: usize, i: usize| &clips.objects[(row * 2 + i) * 6..(row * 2 + i + 1) * 6];
    let pose = |row: usize| {
        (0..2)
            .map(|i| {
                let o = object(row, i);
                [o[0], o[1], o[2], 0.0, 0.0, 0.0, 1.0]
            })
            .collect()
    };
    let velocity = |row: usize| {
        (0..2)
            .map(|i| {
                let o = object(row, i);
                [o[3], o[4], o[5], 0.0, 0.0, 0.0, 0.0]
            })
            .collect()
    };
    let mut instance_ids = FixedSizeListBuilder::new(Int64Builder::new(), 2);
    for row in 0..count {
        let id = |i: usize| if clips.object_known[row * 2 + i] { i as i64 + 1 } else { 0 };
        instance_ids.values().append_slice(&[id(0), id(1)]);
        instance_ids.append(true);
    }
    RecordBatch::try_from_iter([
        ("episode_index", Arc::new(Int64Array::from_iter_values(index)) as ArrayRef),
        (feature::RGB, images(&rgb)),
        (feature::INSTANCE, images(&ids)),
        (feature::ACTION, Arc::new(Float32Array::from_iter_values((0..count).map(choice)))),
        (feature::REWARD, Arc::new(Float32Array::from(clips.rewards.clone()))),
        (feature::TERMINATED, Arc::new(BooleanArray::from(clips.terminated.clone()))),
        (feature::POSE, matrices((0..count).map(pose), 7)),
        (feature::VELOCITY, matrices((0..count).map(velocity), 6)),
        (feature::INSTANCE_ID, Arc::new(instance_ids.finish())),
    ])
    .unwrap()
}
