//! WebDataset shards hold every image and row of a dataset, and the same bytes every time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use worldstep_synth::export::{WebDatasetOptions, export_webdataset};
use worldstep_synth::inspect::Dataset;
use worldstep_synth::{SynthOptions, write_dataset};

/// All files in the shards under `out`, by shard and name.
fn files(out: &Path) -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let mut shards = BTreeMap::new();
    for entry in std::fs::read_dir(out).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            let mut archive = tar::Archive::new(std::fs::File::open(&path).unwrap());
            let read = |entry: std::io::Result<tar::Entry<'_, std::fs::File>>| {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_string_lossy().into_owned();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (name, bytes)
            };
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            shards.insert(name, archive.entries().unwrap().map(read).collect());
        }
    }
    shards
}

#[test]
fn every_frame_is_a_sample_with_the_bytes_of_the_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let options =
        SynthOptions { frame_size: 32, seed: 9, ..SynthOptions::new("CatchBehindScreen-v0", 10, &data) };
    write_dataset(&options, &mut |_| {}).unwrap();
    let small = WebDatasetOptions { shard_bytes: 1 << 20 };
    let exported = export_webdataset(&data, &out, &small, &mut |_, _| {}).unwrap();
    let dataset = Dataset::open(&data).unwrap();
    let frames: usize = dataset.episodes.iter().map(|entry| entry.length).sum();
    assert_eq!((exported.clips, exported.samples), (10, frames));
    let shards = files(&out);
    assert!(shards.len() > 2 && shards.contains_key("train-000000.tar"), "{:?}", shards.keys());
    let per_sample = dataset.info.channels.len() * dataset.info.cameras.len() + 1;
    assert_eq!(shards.values().map(Vec::len).sum::<usize>(), frames * per_sample);
    for (name, entries) in &shards {
        assert!(std::fs::metadata(out.join(name)).unwrap().len() <= (1 << 20) + 4096, "{name} is too large");
        let split = name.rsplit_once('-').unwrap().0;
        for (entry, _) in entries {
            let episode: usize = entry[2..8].parse().unwrap();
            assert_eq!(dataset.episodes[episode].facts.split, split, "{entry} in {name}");
        }
    }
    let (_, images) = dataset.encoded(0).unwrap();
    let all: BTreeMap<_, _> = shards.values().flatten().cloned().collect();
    for (name, files) in &images {
        let channel = name.strip_prefix("observation.images.").unwrap();
        let found =
            all.iter().find(|(entry, _)| entry.starts_with(&format!("ep000000_f00003.{channel}."))).unwrap();
        assert_eq!(found.1.as_slice(), files.value(3), "{name}");
    }
    let again = folder.path().join("again");
    export_webdataset(&data, &again, &small, &mut |_, _| {}).unwrap();
    assert!(files(&again) == shards, "the same bytes every time");
    let error = export_webdataset(&data, &out, &small, &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("not an empty folder"), "{error}");
}

#[test]
fn a_dataset_without_clips_has_no_shards_and_is_described_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let empty =
        SynthOptions { frame_size: 8, shard: Some((0, 2)), ..SynthOptions::new("CartPole-v0", 1, &data) };
    write_dataset(&empty, &mut |_| {}).unwrap();
    let exported = export_webdataset(&data, &out, &WebDatasetOptions::default(), &mut |_, _| {}).unwrap();
    assert_eq!((exported.clips, exported.samples), (0, 0));
    assert!(out.join("dataset.json").exists());
}
