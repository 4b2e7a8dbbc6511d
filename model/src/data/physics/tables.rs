use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use worldstep_env::dataset::table;

use crate::data::columns::{ColumnError, Columns};
use crate::data::error::DataError;
use crate::data::meta;

/// Two ids that touch each other from row `frame` of a clip to the next; `b` may be 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contact {
    pub frame: usize,
    pub a: u16,
    pub b: u16,
}

/// Contacts and driven bodies by episode.
#[derive(Default)]
pub struct Tables {
    contacts: HashMap<i64, Vec<Contact>>,
    driven: HashMap<i64, BTreeSet<(usize, u16)>>,
}

impl Tables {
    pub fn read(dir: &Path) -> Result<Self, DataError> {
        let mut tables = Self::default();
        read_table(dir, table::CONTACTS, &["a", "b"], |episode, frame, ids| {
            let contact = Contact { frame, a: ids[0], b: ids[1] };
            tables.contacts.entry(episode).or_default().push(contact);
        })?;
        read_table(dir, table::FORCES, &["id"], |episode, frame, ids| {
            tables.driven.entry(episode).or_default().insert((frame, ids[0]));
        })?;
        tables.contacts.values_mut().for_each(|contacts| contacts.sort_by_key(|contact| contact.frame));
        Ok(tables)
    }

    /// What touches what in `episode`, by row.
    pub fn contacts(&self, episode: i64) -> &[Contact] {
        self.contacts.get(&episode).map_or(&[], Vec::as_slice)
    }

    /// Rows of `episode` and ids that a force drives from there to the next row.
    pub fn driven(&self, episode: i64) -> BTreeSet<(usize, u16)> {
        self.driven.get(&episode).cloned().unwrap_or_default()
    }

    /// Ids that touch anything in any of `episodes`.
    pub fn touched_ids(&self, episodes: impl Iterator<Item = i64>) -> BTreeSet<u16> {
        let all = episodes.flat_map(|episode| self.contacts(episode));
        all.flat_map(|contact| [contact.a, contact.b]).filter(|id| *id != 0).collect()
    }
}

/// Calls `row` with the episode, the frame and the ids in `columns` of each row of a table.
fn read_table(
    dir: &Path,
    name: &str,
    columns: &[&str],
    mut row: impl FnMut(i64, usize, &[u16]),
) -> Result<(), DataError> {
    let keys = ["episode_index", "frame_index"];
    for path in meta::files(dir, name)? {
        let wanted: Vec<&str> = keys.iter().chain(columns).copied().collect();
        for batch in meta::open_columns(&path, &wanted)? {
            let batch = batch
                .map_err(|error| DataError::Damaged { path: path.clone(), message: error.to_string() })?;
            let values = integers(&Columns::new(&batch), &wanted)
                .map_err(|(column, message)| DataError::Column { path: path.clone(), column, message })?;
            for i in 0..batch.num_rows() {
                let ids: Vec<u16> = values[keys.len()..].iter().map(|ids| ids[i] as u16).collect();
                row(values[0][i], values[1][i] as usize, &ids);
            }
        }
    }
    Ok(())
}

fn integers(columns: &Columns<'_>, names: &[&str]) -> Result<Vec<Vec<i64>>, ColumnError> {
    names.iter().map(|name| columns.integers(name)).collect()
}
