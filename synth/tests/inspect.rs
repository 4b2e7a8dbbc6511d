//! A dataset is checked down to its bits and its physics: a clean one passes, and each damage is called by its name.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod damage;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float32Type, Int64Type};
use arrow_array::{Array as _, FixedSizeListArray, Float32Array, StringArray};
use damage::{
    CLIPS, change_image, change_matrix, clean, codes, copy, copy_folder, data, rewrite, run, with_column,
};
use worldstep_env::dataset::{episode, feature, file_path, table};
use worldstep_synth::inspect::{CheckOptions, Code, Dataset, ReportOptions, check, report};
use worldstep_synth::lerobot::ImageChannel;
use worldstep_synth::{SynthOptions, write_dataset};

#[test]
fn a_clean_set_passes_and_has_the_hash_that_was_announced() {
    let report = run(clean());
    assert!(report.ok(), "{:#?}", report.findings);
    let dataset = &report.datasets[0];
    assert_eq!((dataset.clips, dataset.clips_decoded), (CLIPS, CLIPS));
    let expect =
        |hash: &str| CheckOptions { expected_hash: Some(hash.to_owned()), ..CheckOptions::default() };
    assert!(check(clean(), &expect(&dataset.content_hash), &mut |_, _| {}).unwrap().ok());
    let other = check(clean(), &expect("00"), &mut |_, _| {}).unwrap();
    assert_eq!(codes(&other), BTreeSet::from([Code::Hash]));
}

#[test]
fn a_sample_decodes_a_share_of_the_clips() {
    let options = CheckOptions { sample: 0.25, ..CheckOptions::default() };
    let mut last = (0, 0);
    let report = check(clean(), &options, &mut |done, total| last = (done, total)).unwrap();
    assert!(report.ok());
    assert_eq!(report.datasets[0].clips_decoded, CLIPS / 4);
    assert_eq!(last, (CLIPS / 4, CLIPS / 4));
}

#[test]
fn a_flipped_byte_of_an_image_is_found_with_its_frame() {
    let folder = copy();
    let flip = |file: &mut Vec<u8>| {
        let middle = file.len() / 2;
        file[middle] ^= 0x10;
    };
    rewrite(&folder.path().join(data()), 5, |batch| change_image(batch, feature::RGB, 3, flip));
    let report = run(folder.path());
    let finding = report.findings.iter().find(|finding| finding.fault.code == Code::Image).unwrap();
    assert_eq!((finding.episode, finding.fault.frame), (Some(5), Some(3)), "{finding}");
}

#[test]
fn another_picture_in_its_place_is_found_by_the_hash() {
    let folder = copy();
    rewrite(&folder.path().join(data()), 2, |batch| {
        let first = batch[feature::RGB].as_struct().column(0).as_binary::<i32>().value(0).to_vec();
        change_image(batch, feature::RGB, batch.num_rows() - 1, |file| file.clone_from(&first))
    });
    let report = run(folder.path());
    let hash = report.findings.iter().find(|finding| finding.fault.code == Code::Hash).unwrap();
    assert_eq!(hash.episode, Some(2));
}

#[test]
fn a_changed_pose_contradicts_hash_velocity_and_pixels() {
    let folder = copy();
    let dataset = Dataset::open(clean()).unwrap();
    let cube = dataset.scenario().instances.iter().position(|label| label.name == "cube").unwrap();
    let (k, row) = (dataset.scenario().instances.len(), 4);
    rewrite(&folder.path().join(data()), 1, |batch| {
        change_matrix(batch, feature::POSE, (row * k + cube) * 7, |x| x + 0.1)
    });
    let found = codes(&run(folder.path()));
    for code in [Code::Hash, Code::Velocity, Code::Coordinates] {
        assert!(found.contains(&code), "{code:?} not in {found:?}");
    }
}

#[test]
fn a_changed_velocity_a_bent_orientation_and_a_hole_are_found() {
    let dataset = Dataset::open(clean()).unwrap();
    let cube = dataset.scenario().instances.iter().position(|label| label.name == "cube").unwrap();
    let k = dataset.scenario().instances.len();
    let damage = |name: &'static str, at: usize, change: fn(f32) -> f32| {
        let folder = copy();
        rewrite(&folder.path().join(data()), 1, |batch| change_matrix(batch, name, at, change));
        codes(&run(folder.path()))
    };
    let bent = damage(feature::POSE, (4 * k + cube) * 7 + 6, |w| w + 0.5);
    assert!(bent.contains(&Code::Quaternion), "{bent:?}");
    let hole = damage(feature::VELOCITY, (4 * k + cube) * 6, |_| f32::NAN);
    assert!(hole.contains(&Code::NotFinite), "{hole:?}");
}

/// Clips of blocks that fall and bounce, recorded once for all tests.
fn drops() -> &'static Path {
    static DROPS: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    &DROPS
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("drops");
            let channels = vec![ImageChannel::Rgb, ImageChannel::Instance];
            let small = SynthOptions { frame_size: 16, channels, ..SynthOptions::new("drop", 4, &out) };
            write_dataset(&small, &mut |_| {}).unwrap();
            (folder, out)
        })
        .1
}

/// The block in the clip whose first fall is the longest.
struct Fall {
    episode: usize,
    /// Of the block, and of how many.
    slot: usize,
    slots: usize,
    /// A row within the fall.
    falling: usize,
    /// The row of the strongest impact.
    impact: usize,
}

fn fall() -> Fall {
    let dataset = Dataset::open(drops()).unwrap();
    let labels = &dataset.scenario().instances;
    let slot = labels.iter().position(|label| label.name == "block").unwrap();
    let strength = |impulse: [f32; 3]| impulse.iter().map(|x| x * x).sum::<f32>();
    let falls = (0..dataset.episodes.len()).map(|episode| {
        let clip = dataset.numbers(episode).unwrap();
        let id = labels[slot].id;
        let contacts = || clip.contacts.iter().filter(|(_, c)| c.a == id || c.b == id);
        let first = contacts().map(|(frame, _)| *frame as usize).min().unwrap();
        let strongest =
            contacts().max_by(|(_, a), (_, b)| strength(a.impulse).total_cmp(&strength(b.impulse))).unwrap();
        let impact = strongest.0 as usize;
        Fall { episode, slot, slots: labels.len(), falling: first / 2, impact }
    });
    falls.max_by_key(|fall| fall.falling).unwrap()
}

#[test]
fn a_sideways_jump_in_free_flight_breaks_momentum() {
    let clean = run(drops());
    assert!(clean.ok(), "{:#?}", clean.findings);
    let fall = fall();
    assert!(fall.falling >= 2, "no clip falls for long");
    let folder = tempfile::tempdir().unwrap();
    copy_folder(drops(), folder.path());
    // Small enough that the way of the step still fits both velocities.
    let sideways = (fall.falling * fall.slots + fall.slot) * 6 + 1;
    rewrite(&folder.path().join(data()), fall.episode, |batch| {
        change_matrix(batch, feature::VELOCITY, sideways, |v| v + 0.1)
    });
    let report = run(folder.path());
    let found = report.findings.iter().find(|finding| finding.fault.code == Code::Momentum).unwrap();
    assert_eq!((found.episode, found.fault.frame), (Some(fall.episode), Some(fall.falling - 1)), "{found}");
    assert!(!codes(&report).contains(&Code::Velocity), "only momentum tells: {:#?}", report.findings);
}

#[test]
fn an_impulse_that_no_momentum_answers_breaks_momentum() {
    let fall = fall();
    let folder = tempfile::tempdir().unwrap();
    copy_folder(drops(), folder.path());
    rewrite(&folder.path().join(file_path(table::CONTACTS, 0)), fall.episode, |batch| {
        let episode = batch["episode_index"].as_primitive::<Int64Type>().values();
        let frame = batch["frame_index"].as_primitive::<Int64Type>().values();
        let impulses = batch["impulse"].as_fixed_size_list();
        let mut values = impulses.values().as_primitive::<Float32Type>().values().to_vec();
        for (row, impulse) in values.chunks_exact_mut(3).enumerate() {
            if (episode[row], frame[row]) == (fall.episode as i64, fall.impact as i64) {
                impulse.iter_mut().for_each(|value| *value *= 1.5);
            }
        }
        let arrow_schema::DataType::FixedSizeList(field, 3) = impulses.data_type() else { unreachable!() };
        let changed = FixedSizeListArray::new(field.clone(), 3, Arc::new(Float32Array::from(values)), None);
        with_column(batch, "impulse", Arc::new(changed))
    });
    let report = run(folder.path());
    let found = report.findings.iter().find(|finding| finding.fault.code == Code::Momentum).unwrap();
    assert_eq!((found.episode, found.fault.frame), (Some(fall.episode), Some(fall.impact)), "{found}");
}

#[test]
fn a_wrong_split_is_found() {
    let folder = copy();
    rewrite(&folder.path().join(file_path("meta/episodes", 0)), 0, |batch| {
        let mut splits: Vec<&str> = batch[episode::SPLIT].as_string::<i32>().iter().flatten().collect();
        splits[3] = "violation";
        splits[4] = "training";
        with_column(batch, episode::SPLIT, Arc::new(StringArray::from(splits)))
    });
    let report = run(folder.path());
    let episodes: Vec<_> =
        report.findings.iter().filter(|f| f.fault.code == Code::Split).map(|f| f.episode).collect();
    assert!(episodes.contains(&Some(3)) && episodes.contains(&Some(4)), "{:#?}", report.findings);
}

#[test]
fn an_impossible_clip_in_training_without_a_twin_is_found() {
    let folder = copy();
    rewrite(&folder.path().join(file_path("meta/episodes", 0)), 0, |batch| {
        let mut kinds: Vec<&str> = batch[episode::VIOLATION].as_string::<i32>().iter().flatten().collect();
        kinds[2] = "vanish";
        with_column(batch, episode::VIOLATION, Arc::new(StringArray::from(kinds)))
    });
    let found = codes(&run(folder.path()));
    assert!(found.contains(&Code::Split) && found.contains(&Code::Link), "{found:?}");
}

#[test]
fn missing_and_cut_files_are_found() {
    for file in [
        data(),
        file_path("events/contacts", 0),
        "meta/tasks.parquet".to_owned(),
        "meta/stats.json".to_owned(),
    ] {
        let folder = copy();
        std::fs::remove_file(folder.path().join(&file)).unwrap();
        let report = run(folder.path());
        assert!(codes(&report).contains(&Code::Unreadable), "{file}: {:?}", report.findings);
        assert!(report.findings.iter().any(|finding| finding.fault.message.contains(&file)), "{file}");
    }
    for file in [data(), file_path("meta/episodes", 0)] {
        let folder = copy();
        let path = folder.path().join(&file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let report = run(folder.path());
        assert!(codes(&report).contains(&Code::Unreadable), "{file}: {:?}", report.findings);
    }
    let empty = tempfile::tempdir().unwrap();
    let error = check(empty.path(), &CheckOptions::default(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("no dataset"), "{error}");
}

#[test]
fn a_report_is_one_page_with_every_channel_drawn() {
    let page = report(clean(), &ReportOptions { clips_drawn: 2, ..ReportOptions::default() }, &mut |_, _| {})
        .unwrap();
    let dataset = Dataset::open(clean()).unwrap();
    let strips = 2 * dataset.info.channels.len() * dataset.info.cameras.len();
    assert_eq!(page.matches("class=strip>").count(), strips);
    assert_eq!(page.matches("data:image/png;base64,").count(), strips + 1, "and the colour wheel");
    assert_eq!(page.matches("class=timeline ").count(), 2);
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("<script"),
        "needs nothing else"
    );
    assert!(page.contains("class=box") && page.contains("class=contact"));
}

/// A clip of a family has more parameters than there is room for; what moves things must not give way to its looks.
#[test]
fn a_report_shows_what_moves_things_before_what_they_look_like() {
    let page = report(drops(), &ReportOptions::default(), &mut |_, _| {}).unwrap();
    let shown = page.split_once("Sampled parameters").unwrap().1;
    for name in ["physics.gravity z", "family.height", "sensor.noise", "sky.hue", "camera.azimuth"] {
        assert!(shown.contains(name), "{name} is not shown");
    }
    assert!(shown.find("physics.gravity z") < shown.find("camera.azimuth"));
    assert!(
        shown.contains("more parameters are in meta/episodes"),
        "all of them are shown: this tests nothing"
    );
}
