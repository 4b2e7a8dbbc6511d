use super::super::fault::{Code, Fault};
use super::super::parquet_read::Columns;
use super::clip::ClipCheck;

/// Largest deviation of a timestamp that LeRobot accepts, seconds.
const TIMESTAMP_S_MAX: f64 = 1e-4;

/// What a column holds in a row of a clip.
type Expected = fn(usize, &ClipCheck<'_>) -> i64;

/// Columns that follow from a row's position: indices and timestamps.
pub fn check(clip: &ClipCheck<'_>) -> Vec<Fault> {
    let (columns, entry) = (Columns(clip.batch), clip.entry);
    let mut faults = Vec::new();
    let expected: [(&str, Expected); 4] = [
        ("episode_index", |_, clip| clip.entry.facts.index as i64),
        ("frame_index", |row, _| row as i64),
        ("index", |row, clip| (clip.entry.first_row + row) as i64),
        ("task_index", |_, _| 0),
    ];
    for (name, of) in expected {
        match columns.ints(name) {
            Ok(values) => {
                let wrong = values.iter().enumerate().find(|(row, value)| **value != of(*row, clip));
                faults.extend(wrong.map(|(row, value)| {
                    Fault::at(Code::Index, row, format!("{name} is {value}, expected {}", of(row, clip)))
                }));
            }
            Err(fault) => faults.push(fault),
        }
    }
    match columns.floats("timestamp") {
        Ok(values) => {
            let time = |row: usize| row as f64 / f64::from(clip.dataset.fps);
            let late = |row: usize, value: f32| (f64::from(value) - time(row)).abs() <= TIMESTAMP_S_MAX;
            let wrong = values.iter().enumerate().find(|(row, value)| !late(*row, **value));
            faults.extend(wrong.map(|(row, value)| {
                Fault::at(Code::Timestamp, row, format!("timestamp {value} s, expected {} s", time(row)))
            }));
        }
        Err(fault) => faults.push(fault),
    }
    if clip.batch.num_rows() != entry.length {
        let message = format!("{} rows, but meta/episodes says {}", clip.batch.num_rows(), entry.length);
        faults.push(Fault::new(Code::Index, message));
    }
    faults
}
