use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchReader};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use super::fault::{Code, Fault};
use crate::lerobot::Feature;

/// A parquet file whose footer has been read.
pub struct ParquetReader {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
}

impl ParquetReader {
    /// Reads the footer.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let unreadable =
            |message: String| Fault::new(Code::Unreadable, format!("{}: {message}", path.display()));
        let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let metadata = ArrowReaderMetadata::load(&file, Default::default())
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Self { path: path.to_owned(), metadata, mask: ProjectionMask::all() })
    }

    /// Reads only the columns of `features`.
    pub fn only(mut self, features: &[Feature]) -> Self {
        let names: BTreeSet<&str> = features.iter().map(|feature| feature.name.as_str()).collect();
        let fields = self.metadata.schema().fields().iter().enumerate();
        let wanted: Vec<usize> =
            fields.filter(|(_, field)| names.contains(field.name().as_str())).map(|(i, _)| i).collect();
        self.mask = ProjectionMask::roots(self.metadata.parquet_schema(), wanted);
        self
    }

    /// Row groups in it.
    pub fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// Value of a key of its schema, as pyarrow finds it.
    pub fn key(&self, name: &str) -> Option<String> {
        self.metadata.schema().metadata().get(name).cloned()
    }

    /// Its columns.
    pub fn schema(&self) -> &arrow_schema::Schema {
        self.metadata.schema()
    }

    /// All rows of one row group, or of all.
    pub fn read(&self, group: Option<usize>) -> Result<RecordBatch, Fault> {
        let unreadable =
            |message: String| Fault::new(Code::Unreadable, format!("{}: {message}", self.path.display()));
        let file = File::open(&self.path).map_err(|error| unreadable(error.to_string()))?;
        let footer = self.metadata.metadata();
        let rows =
            group.map_or(footer.file_metadata().num_rows(), |group| footer.row_group(group).num_rows());
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(self.mask.clone())
            .with_batch_size(rows.max(1) as usize);
        if let Some(group) = group {
            builder = builder.with_row_groups(vec![group]);
        }
        let mut reader = builder.build().map_err(|error| unreadable(error.to_string()))?;
        let schema = RecordBatchReader::schema(&reader);
        let batch = reader.next().unwrap_or_else(|| Ok(RecordBatch::new_empty(schema)));
        let batch = batch.map_err(|error| unreadable(error.to_string()))?;
        if batch.num_rows() as i64 != rows {
            return Err(unreadable(format!("{} rows, expected {rows}", batch.num_rows())));
        }
        Ok(batch)
    }
}

/// Columns of a batch by name, with faults that say what was expected.
pub struct Columns<'a>(pub &'a RecordBatch);

impl<'a> Columns<'a> {
    /// The column `name`.
    pub fn get(&self, name: &str) -> Result<&'a ArrayRef, Fault> {
        self.0
            .column_by_name(name)
            .ok_or_else(|| Fault::new(Code::Schema, format!("column {name:?} is missing")))
    }

    /// One integer a row.
    pub fn ints(&self, name: &str) -> Result<&'a [i64], Fault> {
        let column = self.get(name)?;
        let typed = column.as_primitive_opt::<Int64Type>();
        Ok(typed.ok_or_else(|| wrong_type(name, column, "int64"))?.values())
    }

    /// One float32 a row.
    pub fn floats(&self, name: &str) -> Result<&'a [f32], Fault> {
        let column = self.get(name)?;
        let typed = column.as_primitive_opt::<Float32Type>();
        Ok(typed.ok_or_else(|| wrong_type(name, column, "float32"))?.values())
    }

    /// One text a row.
    pub fn texts(&self, name: &str) -> Result<Vec<&'a str>, Fault> {
        let column = self.get(name)?;
        let typed = column.as_string_opt::<i32>().ok_or_else(|| wrong_type(name, column, "string"))?;
        Ok(typed.iter().map(Option::unwrap_or_default).collect())
    }

    /// A list of float32 a row, each as long.
    pub fn float_lists(&self, name: &str) -> Result<Vec<Vec<f32>>, Fault> {
        let column = self.get(name)?;
        let wrong = || wrong_type(name, column, "lists of float32, each as long");
        let flat = flat(column);
        let values = flat.as_primitive_opt::<Float32Type>().ok_or_else(wrong)?.values();
        let rows = column.len().max(1);
        if values.len() % rows != 0 || values.len() < column.len() {
            return Err(wrong());
        }
        Ok(values.chunks((values.len() / rows).max(1)).map(<[f32]>::to_vec).collect())
    }
}

fn wrong_type(name: &str, column: &ArrayRef, expected: &str) -> Fault {
    Fault::new(Code::Schema, format!("column {name:?} is {}, expected {expected}", column.data_type()))
}

/// Innermost values of nested lists.
pub fn flat(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let (first, last) = (list.offsets().first(), list.offsets().last());
            flat(&list.values().slice(first as usize, (last - first) as usize))
        }
        DataType::FixedSizeList(_, len) => {
            let list = array.as_fixed_size_list();
            let len = *len as usize;
            flat(&list.values().slice(list.value_offset_at(0), list.len() * len))
        }
        _ => array.clone(),
    }
}
