use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::clips::SynthError;

/// A parquet file that gets its name only once it is whole. Dropped unfinished, it leaves nothing.
pub struct ParquetFile {
    writer: Option<ArrowWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl ParquetFile {
    /// Starts the file that will be `path`, with `metadata` as further keys of its schema.
    pub fn create(path: &Path, schema: SchemaRef, metadata: &[(&str, String)]) -> Result<Self, SynthError> {
        let part = part_path(path);
        let fail = |message: String| SynthError::write(path)(message);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| fail(error.to_string()))?;
        }
        // Twice, as pyarrow does it: other readers look at the file's keys, pyarrow only into the Arrow schema there.
        let in_schema: HashMap<_, _> =
            metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let schema = Arc::new(schema.as_ref().clone().with_metadata(in_schema));
        let keys =
            metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("worldstep ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(keys));
        // No two images are the same, so a dictionary of them would only be built to be thrown away.
        for field in schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Struct(_))) {
            let images = ColumnPath::from(vec![field.name().clone(), "bytes".to_owned()]);
            properties = properties
                .set_column_dictionary_enabled(images.clone(), false)
                .set_column_statistics_enabled(images, EnabledStatistics::None);
        }
        let properties = properties.build();
        let file = File::create(&part).map_err(|error| fail(error.to_string()))?;
        let writer =
            ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| fail(error.to_string()))?;
        Ok(Self { writer: Some(writer), part, path: path.to_owned() })
    }

    /// Appends `batch` as a row group of its own.
    pub fn write_row_group(&mut self, batch: &RecordBatch) -> Result<(), SynthError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer
            .write(batch)
            .and_then(|()| writer.flush())
            .map_err(|error| SynthError::write(&self.path)(error.to_string()))
    }

    /// Bytes in the row groups so far.
    pub fn bytes_written(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.bytes_written() as u64)
    }

    /// Writes the footer and gives the file its name.
    pub fn finish(mut self) -> Result<(), SynthError> {
        let fail = |message: String| SynthError::write(&self.path)(message);
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let file = writer.into_inner().map_err(|error| fail(error.to_string()))?;
        file.sync_all().map_err(|error| fail(error.to_string()))?;
        std::fs::rename(&self.part, &self.path).map_err(|error| fail(error.to_string()))
    }
}

impl Drop for ParquetFile {
    fn drop(&mut self) {
        // After `finish` there is no such file any more.
        drop(self.writer.take());
        let _ = std::fs::remove_file(&self.part);
    }
}

/// Writes `text` to `path`, whole or not at all.
pub fn write_text(path: &Path, text: &str) -> Result<(), SynthError> {
    let fail = |error: std::io::Error| SynthError::write(path)(error.to_string());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let part = part_path(path);
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&part);
        fail(error)
    })
}

/// Removes files that an interrupted run left unfinished, anywhere under `dir`.
pub fn remove_parts(dir: &Path) -> Result<(), SynthError> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Ok(()) };
    for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            remove_parts(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "part") {
            std::fs::remove_file(&path).map_err(|error| SynthError::write(&path)(error.to_string()))?;
        }
    }
    Ok(())
}

fn part_path(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{name}.part"))
}
