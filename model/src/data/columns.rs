use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow_schema::DataType;

/// Columns of one record batch by name, with errors that say what was expected.
pub struct Columns<'a> {
    batch: &'a RecordBatch,
}

/// Name of a column and what is wrong with it.
pub type ColumnError = (String, String);

impl<'a> Columns<'a> {
    pub fn new(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn get(&self, name: &str) -> Result<&'a ArrayRef, ColumnError> {
        self.batch.column_by_name(name).ok_or_else(|| (name.to_owned(), "is missing".to_owned()))
    }

    /// One vector a row, whether it is stored as a number, a list, or lists of lists.
    pub fn floats(&self, name: &str) -> Result<Vec<Vec<f32>>, ColumnError> {
        let column = self.get(name)?;
        (0..column.len())
            .map(|row| {
                let mut out = Vec::new();
                flatten(column.slice(row, 1).as_ref(), &mut out).ok_or_else(|| {
                    (name.to_owned(), format!("holds {:?}, not numbers", column.data_type()))
                })?;
                Ok(out)
            })
            .collect()
    }

    /// One number a row, as a number or a list of one.
    pub fn scalars(&self, name: &str) -> Result<Vec<f32>, ColumnError> {
        let first = |row: Vec<f32>| {
            row.first().copied().ok_or_else(|| (name.to_owned(), "holds an empty row".to_owned()))
        };
        self.floats(name)?.into_iter().map(first).collect()
    }

    /// One integer a row.
    pub fn integers(&self, name: &str) -> Result<Vec<i64>, ColumnError> {
        let column = self.get(name)?;
        let wrong = || (name.to_owned(), format!("holds {:?}, not 64-bit integers", column.data_type()));
        Ok(column.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?.values().to_vec())
    }

    /// One text a row.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, ColumnError> {
        let column = self.get(name)?;
        match column.data_type() {
            DataType::Utf8 => {
                Ok(column.as_string::<i32>().iter().map(|text| text.unwrap_or("").to_owned()).collect())
            }
            DataType::LargeUtf8 => {
                Ok(column.as_string::<i64>().iter().map(|text| text.unwrap_or("").to_owned()).collect())
            }
            other => Err((name.to_owned(), format!("holds {other:?}, not text"))),
        }
    }

    /// The encoded files of an image column.
    pub fn images(&self, name: &str) -> Result<Vec<&'a [u8]>, ColumnError> {
        let wrong = || (name.to_owned(), "is not an image column (struct of bytes and path)".to_owned());
        let column: &StructArray = self.get(name)?.as_struct_opt().ok_or_else(wrong)?;
        let bytes = column.column_by_name("bytes").ok_or_else(wrong)?;
        if let Some(bytes) = bytes.as_binary_opt::<i32>() {
            return Ok((0..bytes.len()).map(|row| bytes.value(row)).collect());
        }
        let bytes = bytes.as_binary_opt::<i64>().ok_or_else(wrong)?;
        Ok((0..bytes.len()).map(|row| bytes.value(row)).collect())
    }
}

/// Appends all numbers of `array`, outermost first; `None` if it holds anything else.
fn flatten(array: &dyn Array, out: &mut Vec<f32>) -> Option<()> {
    match array.data_type() {
        DataType::Float32 => out.extend(array.as_primitive::<Float32Type>().values()),
        DataType::Float64 => {
            out.extend(array.as_primitive::<Float64Type>().values().iter().map(|v| *v as f32))
        }
        DataType::Int64 => out.extend(array.as_primitive::<Int64Type>().values().iter().map(|v| *v as f32)),
        DataType::Boolean => out.extend(array.as_boolean().iter().map(|v| f32::from(v == Some(true)))),
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            (0..list.len()).try_for_each(|row| flatten(list.value(row).as_ref(), out))?;
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            (0..list.len()).try_for_each(|row| flatten(list.value(row).as_ref(), out))?;
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            (0..list.len()).try_for_each(|row| flatten(list.value(row).as_ref(), out))?;
        }
        _ => return None,
    }
    Some(())
}
