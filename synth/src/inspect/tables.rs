use std::collections::BTreeMap;
use std::path::Path;

use worldstep_env::dataset::{file_path, table};
use worldstep_env::record::{AppliedForce, Contact, Event, EventKind};

use super::fault::{Code, Fault};
use super::parquet_read::{Columns, ParquetReader};

/// What the three tables say of one episode, by frame.
#[derive(Clone, Debug, Default)]
pub struct EpisodeTables {
    pub contacts: Vec<(u32, Contact)>,
    pub forces: Vec<(u32, AppliedForce)>,
    pub events: Vec<Event>,
}

/// The tables of file `file` by episode.
pub fn read(dir: &Path, file: usize) -> Result<BTreeMap<i64, EpisodeTables>, Fault> {
    let mut all: BTreeMap<i64, EpisodeTables> = BTreeMap::new();
    let batch = open(dir, table::CONTACTS, file)?;
    for (episode, frame, row) in contacts(&Columns(&batch)).map_err(|fault| named(fault, table::CONTACTS))? {
        all.entry(episode).or_default().contacts.push((frame, row));
    }
    let batch = open(dir, table::FORCES, file)?;
    for (episode, frame, row) in forces(&Columns(&batch)).map_err(|fault| named(fault, table::FORCES))? {
        all.entry(episode).or_default().forces.push((frame, row));
    }
    let batch = open(dir, table::EVENTS, file)?;
    for (episode, event) in events(&Columns(&batch)).map_err(|fault| named(fault, table::EVENTS))? {
        all.entry(episode).or_default().events.push(event);
    }
    Ok(all)
}

fn open(dir: &Path, part: &str, file: usize) -> Result<arrow_array::RecordBatch, Fault> {
    ParquetReader::open(&dir.join(file_path(part, file)))?.read(None)
}

fn named(fault: Fault, part: &str) -> Fault {
    Fault { message: format!("{part}: {}", fault.message), ..fault }
}

fn contacts(columns: &Columns<'_>) -> Result<Vec<(i64, u32, Contact)>, Fault> {
    let (episode, frame) = (columns.ints("episode_index")?, columns.ints("frame_index")?);
    let (a, b) = (columns.ints("a")?, columns.ints("b")?);
    let (point, normal) = (columns.float_lists("point")?, columns.float_lists("normal")?);
    let (impulse, penetration) = (columns.float_lists("impulse")?, columns.floats("penetration")?);
    (0..episode.len())
        .map(|row| {
            let contact = Contact {
                a: id(a[row])?,
                b: id(b[row])?,
                point: three(&point[row])?,
                normal: three(&normal[row])?,
                impulse: three(&impulse[row])?,
                penetration: penetration[row],
            };
            Ok((episode[row], frame_index(frame[row])?, contact))
        })
        .collect()
}

fn forces(columns: &Columns<'_>) -> Result<Vec<(i64, u32, AppliedForce)>, Fault> {
    let (episode, frame) = (columns.ints("episode_index")?, columns.ints("frame_index")?);
    let (ids, point) = (columns.ints("id")?, columns.float_lists("point")?);
    let (force, torque) = (columns.float_lists("force")?, columns.float_lists("torque")?);
    (0..episode.len())
        .map(|row| {
            let applied = AppliedForce {
                id: id(ids[row])?,
                point: three(&point[row])?,
                force: three(&force[row])?,
                torque: three(&torque[row])?,
            };
            Ok((episode[row], frame_index(frame[row])?, applied))
        })
        .collect()
}

fn events(columns: &Columns<'_>) -> Result<Vec<(i64, Event)>, Fault> {
    let (episode, frame) = (columns.ints("episode_index")?, columns.ints("frame_index")?);
    let (kinds, a, b) = (columns.texts("kind")?, columns.ints("a")?, columns.ints("b")?);
    let values = columns.floats("value")?;
    (0..episode.len())
        .map(|row| {
            let kind =
                EventKind::ALL.into_iter().find(|kind| kind.name() == kinds[row]).ok_or_else(|| {
                    let known = EventKind::ALL.map(EventKind::name).join(", ");
                    Fault::new(
                        Code::Event,
                        format!("{:?} is no kind of event, expected one of {known}", kinds[row]),
                    )
                })?;
            let frame = frame_index(frame[row])?;
            Ok((episode[row], Event { frame, kind, a: id(a[row])?, b: id(b[row])?, value: values[row] }))
        })
        .collect()
}

fn id(value: i64) -> Result<u16, Fault> {
    u16::try_from(value)
        .map_err(|_| Fault::new(Code::UnknownId, format!("id {value}, expected 0 to {}", u16::MAX)))
}

fn frame_index(value: i64) -> Result<u32, Fault> {
    u32::try_from(value).map_err(|_| Fault::new(Code::Index, format!("frame {value} is no row")))
}

fn three(values: &[f32]) -> Result<[f32; 3], Fault> {
    values
        .try_into()
        .map_err(|_| Fault::new(Code::Schema, format!("a vector of {} values, expected 3", values.len())))
}
