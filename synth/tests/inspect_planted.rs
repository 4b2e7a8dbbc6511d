//! Each kind of damage that `data check` knows is planted once, and called by its name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, FixedSizeListArray, Int64Array};
use damage::{change_float, change_image, clean, codes, copy, data, rewrite, run, with_column};
use worldstep_env::dataset::{feature, file_path, table};
use worldstep_synth::inspect::{Code, Dataset};

/// The codes that are found after `change` was applied to the data of one clip.
fn found_after(change: impl Fn(&RecordBatch) -> RecordBatch) -> BTreeSet<Code> {
    let folder = copy();
    rewrite(&folder.path().join(data()), 1, change);
    codes(&run(folder.path()))
}

/// Replaces `from` by `to` in a file of `meta/`.
fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let path = dir.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from:?}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_feature_of_another_type_breaks_the_schema() {
    let folder = copy();
    edit(folder.path(), "meta/info.json", "\"float32\"", "\"float64\"");
    let found = codes(&run(folder.path()));
    assert!(found.contains(&Code::Schema), "{found:?}");
}

#[test]
fn a_total_that_is_not_the_sum_breaks_the_index() {
    let folder = copy();
    let frames: usize = Dataset::open(clean()).unwrap().episodes.iter().map(|entry| entry.length).sum();
    let (from, to) = (format!("\"total_frames\": {frames}"), format!("\"total_frames\": {}", frames + 1));
    edit(folder.path(), "meta/info.json", &from, &to);
    let found = codes(&run(folder.path()));
    assert!(found.contains(&Code::Index), "{found:?}");
}

#[test]
fn a_time_that_is_not_its_frames_is_found() {
    let found = found_after(|batch| change_float(batch, "timestamp", 3, |time| time + 2e-4));
    assert!(found.contains(&Code::Timestamp), "{found:?}");
}

#[test]
fn statistics_of_other_values_are_found() {
    let found = found_after(|batch| change_float(batch, feature::REWARD, 2, |reward| reward + 50.0));
    assert!(found.contains(&Code::Stats), "{found:?}");
}

#[test]
fn a_share_above_one_and_an_end_that_is_none_are_out_of_range() {
    let found = found_after(|batch| change_float(batch, feature::VISIBILITY, 5, |_| 1.5));
    assert!(found.contains(&Code::Range), "{found:?}");
    let found = found_after(|batch| {
        let mut done: Vec<bool> =
            batch[feature::DONE].as_boolean().iter().map(|done| done == Some(true)).collect();
        done[1] = true;
        with_column(batch, feature::DONE, Arc::new(arrow_array::BooleanArray::from(done)))
    });
    assert!(found.contains(&Code::Range), "{found:?}");
}

#[test]
fn an_id_that_nothing_has_is_found() {
    let found = found_after(|batch| {
        let ids = batch[feature::INSTANCE_ID].as_fixed_size_list();
        let mut values = ids.values().as_primitive::<Int64Type>().values().to_vec();
        *values.iter_mut().find(|id| **id != 0).unwrap() = 77;
        let arrow_schema::DataType::FixedSizeList(field, len) = batch[feature::INSTANCE_ID].data_type()
        else {
            unreachable!()
        };
        let ids = FixedSizeListArray::new(field.clone(), *len, Arc::new(Int64Array::from(values)), None);
        with_column(batch, feature::INSTANCE_ID, Arc::new(ids))
    });
    assert!(found.contains(&Code::UnknownId), "{found:?}");
}

#[test]
fn an_action_beyond_its_bounds_is_found() {
    let found = found_after(|batch| change_float(batch, feature::ACTION, 4, |_| 1e3));
    assert!(found.contains(&Code::Action), "{found:?}");
}

/// The picture of another row of the same clip in the place of one; the clip must have moved between the two.
fn swapped(batch: &RecordBatch, name: &str) -> RecordBatch {
    let last = batch[name].as_struct().column(0).as_binary::<i32>().value(batch.num_rows() - 2).to_vec();
    assert_ne!(last, batch[name].as_struct().column(0).as_binary::<i32>().value(0), "{name}: nothing moves");
    change_image(batch, name, 0, |file| file.clone_from(&last))
}

#[test]
fn flow_of_another_moment_leads_nowhere() {
    let found = found_after(|batch| swapped(batch, feature::FLOW_FORWARD));
    assert!(found.contains(&Code::Flow), "{found:?}");
}

#[test]
fn ids_of_another_moment_contradict_classes_and_depth() {
    let found = found_after(|batch| swapped(batch, feature::INSTANCE));
    assert!(found.contains(&Code::Labels), "{found:?}");
}

#[test]
fn an_event_after_the_end_is_found() {
    let folder = copy();
    let path = folder.path().join(file_path(table::EVENTS, 0));
    let dataset = Dataset::open(clean()).unwrap();
    let with_events = (0..dataset.episodes.len()).find(|i| !dataset.numbers(*i).unwrap().events.is_empty());
    rewrite(&path, with_events.expect("no clip has an event"), |batch| {
        let frames = batch["frame_index"].as_primitive::<Int64Type>().values();
        let late: ArrayRef =
            Arc::new(Int64Array::from_iter_values(frames.iter().map(|frame| frame + 10_000)));
        with_column(batch, "frame_index", late)
    });
    let found = codes(&run(folder.path()));
    assert!(found.contains(&Code::Event), "{found:?}");
}
