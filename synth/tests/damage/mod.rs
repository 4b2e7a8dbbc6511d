//! A clean dataset, and ways to damage a copy of it.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::Float32Type;
use arrow_array::{
    Array as _, ArrayRef, BinaryArray, FixedSizeListArray, Float32Array, ListArray, RecordBatch, StructArray,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use worldstep_env::dataset::file_path;
use worldstep_synth::inspect::{CheckOptions, CheckReport, Code, check};
use worldstep_synth::{SynthOptions, write_dataset};

/// What its clips are of.
pub const TASK: &str = "PushCube-v0";
/// Clips in it.
pub const CLIPS: usize = 12;

/// A clean dataset, recorded once for all tests.
pub fn clean() -> &'static Path {
    static CLEAN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    &CLEAN
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("clips");
            let options = SynthOptions { frame_size: 32, seed: 3, ..SynthOptions::new(TASK, CLIPS, &out) };
            write_dataset(&options, &mut |_| {}).unwrap();
            (folder, out)
        })
        .1
}

/// A copy of it to be damaged.
pub fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(clean(), folder.path());
    folder
}

pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

pub fn run(dir: &Path) -> CheckReport {
    check(dir, &CheckOptions::default(), &mut |_, _| {}).unwrap()
}

pub fn codes(report: &CheckReport) -> BTreeSet<Code> {
    report.counts.keys().copied().collect()
}

/// Writes a parquet file anew with `change` applied to the row group `group`.
pub fn rewrite(path: &Path, group: usize, change: impl Fn(&RecordBatch) -> RecordBatch) {
    let open = || ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let (schema, groups) = (open().schema().clone(), open().metadata().num_row_groups());
    let batches: Vec<RecordBatch> = (0..groups)
        .map(|group| {
            open()
                .with_row_groups(vec![group])
                .with_batch_size(1 << 20)
                .build()
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
        })
        .collect();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, None).unwrap();
    for (index, batch) in batches.iter().enumerate() {
        writer.write(&if index == group { change(batch) } else { batch.clone() }).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

pub fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
    let at = batch.schema().index_of(name).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[at] = column;
    RecordBatch::try_new(batch.schema(), columns).unwrap()
}

/// Replaces one value of a column of matrices.
pub fn change_matrix(batch: &RecordBatch, name: &str, at: usize, change: impl Fn(f32) -> f32) -> RecordBatch {
    let outer = batch[name].as_list::<i32>();
    let inner = outer.values().as_list::<i32>();
    let mut values = inner.values().as_primitive::<Float32Type>().values().to_vec();
    values[at] = change(values[at]);
    let field = |list: &ListArray| match list.data_type() {
        arrow_schema::DataType::List(field) => field.clone(),
        _ => unreachable!(),
    };
    let inner =
        ListArray::new(field(inner), inner.offsets().clone(), Arc::new(Float32Array::from(values)), None);
    let outer = ListArray::new(field(outer), outer.offsets().clone(), Arc::new(inner), None);
    with_column(batch, name, Arc::new(outer))
}

pub fn change_image(
    batch: &RecordBatch,
    name: &str,
    row: usize,
    change: impl Fn(&mut Vec<u8>),
) -> RecordBatch {
    let images = batch[name].as_struct();
    let bytes = images.column_by_name("bytes").unwrap().as_binary::<i32>();
    let mut files: Vec<Vec<u8>> = bytes.iter().map(|file| file.unwrap().to_vec()).collect();
    change(&mut files[row]);
    let bytes = BinaryArray::from_iter_values(files.iter());
    let columns: Vec<ArrayRef> = vec![Arc::new(bytes), images.column(1).clone()];
    with_column(batch, name, Arc::new(StructArray::new(images.fields().clone(), columns, None)))
}

pub fn data() -> String {
    file_path("data", 0)
}

/// Replaces one value of a column of numbers or of vectors.
pub fn change_float(batch: &RecordBatch, name: &str, at: usize, change: impl Fn(f32) -> f32) -> RecordBatch {
    let replaced = |numbers: &[f32]| {
        let mut values = numbers.to_vec();
        values[at] = change(values[at]);
        Arc::new(Float32Array::from(values))
    };
    let column: ArrayRef = match batch[name].as_fixed_size_list_opt() {
        None => replaced(batch[name].as_primitive::<Float32Type>().values()),
        Some(vectors) => {
            let arrow_schema::DataType::FixedSizeList(field, len) = vectors.data_type() else {
                unreachable!()
            };
            let values = replaced(vectors.values().as_primitive::<Float32Type>().values());
            Arc::new(FixedSizeListArray::new(field.clone(), *len, values, None))
        }
    };
    with_column(batch, name, column)
}
