//! Writes a dataset as the `lerobot` package lays it out, with nothing of Worldstep's in it: an arm's camera sees a
//! square that its two joints place.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow_schema::{DataType, Field};
use image::{ExtendedColorType, ImageEncoder};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

pub const CAMERA: &str = "observation.images.front";
pub const FPS: i64 = 20;
pub const WIDTH: usize = 96;
pub const HEIGHT: usize = 80;
/// Rows of each episode.
pub const LENGTHS: [usize; 3] = [12, 9, 14];
/// Least and greatest value of both joints.
pub const BOUNDS: [f32; 2] = [8.0, 32.0];

/// Both joints in row `row` of episode `episode`: where the square is, in pixels.
pub fn joints(episode: usize, row: usize) -> [f32; 2] {
    let turn = |speed: usize| 8.0 + ((episode * 5 + row * speed) % 25) as f32;
    [turn(2), turn(1)]
}

/// The picture of a row, HWC.
pub fn picture(episode: usize, row: usize) -> Vec<u8> {
    let [x, y] = joints(episode, row).map(|joint| joint as usize + 8);
    let mut pixels = vec![90; WIDTH * HEIGHT * 3];
    for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        let (row, column) = (i / WIDTH, i % WIDTH);
        if (x..x + 16).contains(&column) && (y..y + 16).contains(&row) {
            pixel.copy_from_slice(&[230, 60, 40]);
        }
    }
    pixels
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut out);
    encoder.write_image(pixels, WIDTH as u32, HEIGHT as u32, ExtendedColorType::Rgb8).unwrap();
    out
}

/// Writes it with pictures in the rows.
pub fn with_images(dir: &Path) {
    write(dir, "image", Value::Null);
}

/// Writes it with one video of all episodes; `false`, and nothing usable is written, where there is no ffmpeg.
pub fn with_video(dir: &Path) -> bool {
    with_video_of(dir, 1)
}

/// As [`with_video`], of a file that has each picture `repeats` times, in the same time.
pub fn with_video_of(dir: &Path, repeats: usize) -> bool {
    write(dir, "video", json!("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"));
    let folder = dir.join(format!("videos/{CAMERA}/chunk-000"));
    std::fs::create_dir_all(&folder).unwrap();
    let size = format!("{WIDTH}x{HEIGHT}");
    let rate = (FPS as usize * repeats).to_string();
    let mut encode = Command::new("ffmpeg");
    encode.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", &rate]);
    encode.args(["-i", "-", "-c:v", "mpeg4", "-q:v", "2"]).arg(folder.join("file-000.mp4"));
    let Ok(mut process) = encode.stdin(Stdio::piped()).spawn() else { return false };
    let mut pipe = process.stdin.take().unwrap();
    for (episode, length) in LENGTHS.iter().enumerate() {
        let rows = (0..*length).flat_map(|row| std::iter::repeat_n(row, repeats));
        rows.for_each(|row| pipe.write_all(&picture(episode, row)).unwrap());
    }
    drop(pipe);
    assert!(process.wait().unwrap().success());
    true
}

fn write(dir: &Path, kind: &str, video_path: Value) {
    for part in ["data/chunk-000", "meta/episodes/chunk-000"] {
        std::fs::create_dir_all(dir.join(part)).unwrap();
    }
    let total: usize = LENGTHS.iter().sum();
    let feature = |dtype: &str, shape: &[usize]| json!({ "dtype": dtype, "shape": shape, "names": null });
    let info = json!({
        "codebase_version": "v3.0", "robot_type": "arm", "total_episodes": LENGTHS.len(), "total_frames": total,
        "total_tasks": 1, "chunks_size": 1000, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200,
        "fps": FPS, "splits": { "train": format!("0:{}", LENGTHS.len()) },
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet", "video_path": video_path,
        "features": {
            CAMERA: feature(kind, &[HEIGHT, WIDTH, 3]),
            "observation.state": feature("float32", &[2]),
            "action": feature("float32", &[2]),
            "timestamp": feature("float32", &[1]),
            "frame_index": feature("int64", &[1]),
            "episode_index": feature("int64", &[1]),
            "index": feature("int64", &[1]),
            "task_index": feature("int64", &[1]),
        },
    });
    std::fs::write(dir.join("meta/info.json"), info.to_string()).unwrap();
    let [low, high] = BOUNDS.map(|bound| json!([bound, bound]));
    let stats = json!({ "action": { "min": low, "max": high, "mean": [20.0, 20.0], "std": [7.0, 7.0], "count": [total] } });
    std::fs::write(dir.join("meta/stats.json"), stats.to_string()).unwrap();
    let tasks: [(&str, ArrayRef); 2] = [
        ("task_index", Arc::new(Int64Array::from(vec![0]))),
        ("task", Arc::new(StringArray::from(vec!["Place the square."]))),
    ];
    parquet(&dir.join("meta/tasks.parquet"), RecordBatch::try_from_iter(tasks).unwrap());
    parquet(&dir.join("meta/episodes/chunk-000/file-000.parquet"), episodes(kind == "video"));
    parquet(&dir.join("data/chunk-000/file-000.parquet"), rows(kind == "image"));
}

fn parquet(path: &Path, batch: RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn ints(values: impl IntoIterator<Item = usize>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|value| value as i64)))
}

/// First row of each episode, and the end.
fn starts() -> Vec<usize> {
    let mut starts = vec![0];
    LENGTHS.iter().for_each(|length| starts.push(starts.last().unwrap() + length));
    starts
}

fn episodes(video: bool) -> RecordBatch {
    let (count, starts) = (LENGTHS.len(), starts());
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for _ in 0..count {
        tasks.values().append_value("Place the square.");
        tasks.append(true);
    }
    let seconds = |rows: &[usize]| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| *row as f64 / FPS as f64)))
    };
    let mut columns = vec![
        ("episode_index".to_owned(), ints(0..count)),
        ("tasks".to_owned(), Arc::new(tasks.finish()) as ArrayRef),
        ("length".to_owned(), ints(LENGTHS)),
        ("data/chunk_index".to_owned(), ints(vec![0; count])),
        ("data/file_index".to_owned(), ints(vec![0; count])),
        ("dataset_from_index".to_owned(), ints(starts[..count].to_vec())),
        ("dataset_to_index".to_owned(), ints(starts[1..].to_vec())),
    ];
    if video {
        let of = |name: &str| format!("videos/{CAMERA}/{name}");
        columns.push((of("chunk_index"), ints(vec![0; count])));
        columns.push((of("file_index"), ints(vec![0; count])));
        columns.push((of("from_timestamp"), seconds(&starts[..count])));
        columns.push((of("to_timestamp"), seconds(&starts[1..])));
    }
    RecordBatch::try_from_iter(columns).unwrap()
}

fn rows(images: bool) -> RecordBatch {
    let all: Vec<(usize, usize)> =
        LENGTHS.iter().enumerate().flat_map(|(e, length)| (0..*length).map(move |row| (e, row))).collect();
    let vectors = || -> ArrayRef {
        let mut list = FixedSizeListBuilder::new(Float32Builder::new(), 2);
        for (episode, row) in &all {
            list.values().append_slice(&joints(*episode, *row));
            list.append(true);
        }
        Arc::new(list.finish())
    };
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    if images {
        let files = all.iter().map(|(episode, row)| png(&picture(*episode, *row)));
        let bytes = Arc::new(BinaryArray::from_iter_values(files)) as ArrayRef;
        let paths = Arc::new(StringArray::from(vec![None::<&str>; all.len()])) as ArrayRef;
        let field = |name, kind| Arc::new(Field::new(name, kind, true));
        let fields = [(field("bytes", DataType::Binary), bytes), (field("path", DataType::Utf8), paths)];
        columns.push((CAMERA, Arc::new(StructArray::from(fields.to_vec()))));
    }
    let seconds = all.iter().map(|(_, row)| *row as f32 / FPS as f32);
    columns.extend([
        ("observation.state", vectors()),
        ("action", vectors()),
        ("timestamp", Arc::new(Float32Array::from_iter_values(seconds)) as ArrayRef),
        ("frame_index", ints(all.iter().map(|(_, row)| *row))),
        ("episode_index", ints(all.iter().map(|(episode, _)| *episode))),
        ("index", ints(0..all.len())),
        ("task_index", ints(vec![0; all.len()])),
    ]);
    RecordBatch::try_from_iter(columns).unwrap()
}
