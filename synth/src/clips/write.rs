use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;
use worldstep_env::dataset::{DatasetInfo, FORMAT_VERSION, ScenarioInfo};

use super::disk::DiskBudget;
use super::draw::clip_renderer;
use super::options::DatasetSummary;
use super::pipeline::Job;
use super::plan::{Plan, unit_clips, unit_name};
use super::stages::Stages;
use super::{SynthError, SynthOptions, SynthProgress, SynthSummary};
use crate::lerobot::{DatasetWriter, Names};
use crate::scenario::{Randomisation, Scenario};

/// Largest side of a frame in pixels.
const FRAME_SIZE_MAX: u32 = 1024;

/// Records clips and writes them as datasets: simulation → pixels → encoding → files, each on threads of its own.
///
/// # Errors
/// [`SynthError`]; files that were finished before stay, and `resume` goes on from them.
pub fn write_dataset(
    options: &SynthOptions,
    progress: &mut dyn FnMut(&SynthProgress),
) -> Result<SynthSummary, SynthError> {
    check(options)?;
    let parts = parts(options)?;
    let mut datasets = Vec::new();
    let mut interrupted = false;
    for (scenario, dir, clips) in &parts {
        let plan = Plan::new(options.unit, *clips, options.shard)?;
        let dataset = write_scenario(options, scenario, (dir, plan), progress)?;
        interrupted |= dataset.clips < plan.clips;
        datasets.push(dataset);
    }
    Ok(SynthSummary { datasets, interrupted })
}

fn check(options: &SynthOptions) -> Result<(), SynthError> {
    let wrong = |message: String| Err(SynthError::Options { message });
    if options.clips == 0 {
        return wrong("0 clips were asked for, expected at least 1".to_owned());
    }
    if options.frame_size == 0 || options.frame_size > FRAME_SIZE_MAX {
        return wrong(format!("frames of {} pixels, expected 1 to {FRAME_SIZE_MAX}", options.frame_size));
    }
    if options.textures.is_none() && options.scenarios.randomisation.textures.has_pictures() {
        return wrong(
            "the randomisation's textures.kinds has \"image\", expected a folder of pictures too".to_owned(),
        );
    }
    if options.textures.is_some() && !options.scenarios.randomisation.textures.has_pictures() {
        return wrong(
            "a folder of pictures is given, but the randomisation's textures are off or have no \"image\" among \
             textures.kinds; expected both, or neither"
                .to_owned(),
        );
    }
    if options.out.exists() && !options.out.is_dir() {
        return wrong(format!("{:?} is a file, expected a folder for the dataset", options.out));
    }
    let filled = std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some());
    if filled && !options.resume {
        return Err(SynthError::NotEmpty { path: options.out.clone() });
    }
    Ok(())
}

/// Each scenario with its folder and its share of the clips, in whole units.
fn parts(options: &SynthOptions) -> Result<Vec<(Scenario, PathBuf, usize)>, SynthError> {
    let fits = |scenario: &Scenario| scenario.check(options.unit, options.scenarios.horizon);
    let scenarios: Vec<_> = match options.scenario.as_str() {
        "all" => Scenario::all()?.into_iter().filter(|scenario| fits(scenario).is_ok()).collect(),
        names => names.split(',').map(|name| Scenario::find(name.trim())).collect::<Result<_, _>>()?,
    };
    // All of them before the first is recorded.
    scenarios.iter().try_for_each(fits)?;
    let drawn = options.scenarios.randomisation != Randomisation::default();
    if drawn && scenarios.iter().all(|scenario| matches!(scenario, Scenario::Task(_))) {
        let message = format!(
            "{} draws nothing from a randomisation and has no textures: a task looks as its weights know it; expected \
             a family, or neither of the two",
            options.scenario
        );
        return Err(SynthError::Options { message });
    }
    if let [one] = scenarios.as_slice() {
        return Ok(vec![(one.clone(), options.out.clone(), options.clips)]);
    }
    // Checked for the whole, so that the message names the number that was given.
    Plan::new(options.unit, options.clips, options.shard)?;
    let units = options.clips / unit_clips(options.unit);
    let share = |i: usize| units / scenarios.len() + usize::from(i < units % scenarios.len());
    let mut parts: Vec<(Scenario, PathBuf, usize)> = Vec::new();
    for (i, scenario) in scenarios.iter().enumerate() {
        let dir = options.out.join(scenario.folder());
        if parts.iter().any(|(_, other, _)| *other == dir) {
            let message = format!("the scenario {:?} is there twice", scenario.folder());
            return Err(SynthError::Options { message });
        }
        parts.push((scenario.clone(), dir, share(i) * unit_clips(options.unit)));
    }
    parts.retain(|(_, _, clips)| *clips > 0);
    Ok(parts)
}

fn write_scenario(
    options: &SynthOptions,
    scenario: &Scenario,
    (dir, plan): (&Path, Plan),
    progress: &mut dyn FnMut(&SynthProgress),
) -> Result<DatasetSummary, SynthError> {
    let renderer = clip_renderer(options.frame_size, options.textures.as_deref())?;
    let info = dataset_info(options, scenario, plan, renderer.adapter_name())?;
    let slots = scenario.slots();
    let names = Names {
        task: scenario.summary().to_owned(),
        robot: scenario.folder().to_owned(),
        fps: scenario.fps(),
    };
    let mut writer = DatasetWriter::new(dir, info, names)?;
    if options.resume {
        writer.resume(plan.clips)?;
    }
    // What a clip takes is known from the first on; what everyone else needs, before.
    DiskBudget::default().check(dir, 0)?;
    let stages = Stages::new(options.clock);
    if writer.next_index() < plan.clips && !options.stopped() {
        let job = Job { scenario, options, plan, slots: &slots, stages: &stages };
        job.record(renderer, &mut writer, progress)?;
    }
    writer.finish()?;
    let totals = writer.totals();
    Ok(DatasetSummary {
        scenario: scenario.name().to_owned(),
        path: dir.to_owned(),
        clips: totals.episodes,
        frames: totals.frames,
        hash: totals.hash(),
        units: totals.units,
        outcomes: totals.outcomes.clone(),
        rejected: totals.rejected.clone(),
        redrawn_for_balance: totals.redrawn,
        stage_seconds: stages.seconds(),
    })
}

/// What the dataset says of itself: everything that decides what is recorded.
fn dataset_info(
    options: &SynthOptions,
    scenario: &Scenario,
    plan: Plan,
    driver: &str,
) -> Result<DatasetInfo, SynthError> {
    let textures = options.textures.as_deref().map(folder_hash).transpose()?;
    let settings = [
        ("definition", scenario.fingerprint().to_owned()),
        ("unit", unit_name(options.unit)),
        ("policy", json!(options.scenarios.mix).to_string()),
        ("horizon", json!(options.scenarios.horizon).to_string()),
        ("curation", json!(options.curation).to_string()),
        ("textures", json!(textures).to_string()),
        ("randomisation", json!(options.scenarios.randomisation).to_string()),
    ];
    Ok(DatasetInfo {
        format: FORMAT_VERSION,
        writer: env!("CARGO_PKG_VERSION").to_owned(),
        frame_size: options.frame_size,
        seed: options.seed,
        scenarios: vec![ScenarioInfo {
            id: scenario.name().to_owned(),
            action_space: scenario.action_space(),
            state_space: scenario.state_space(),
            max_episode_steps: (scenario.max_len() as f32 * options.scenarios.horizon).ceil() as u32,
            instances: scenario.slots(),
            outcomes: scenario.outcomes().to_vec(),
        }],
        channels: options.channels.iter().map(|channel| channel.name().to_owned()).collect(),
        cameras: scenario.camera_names(),
        driver: driver.to_owned(),
        settings: settings
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        shard: plan.shard,
    })
}

/// BLAKE3 of the names and contents of the files in `folder`, hexadecimal.
fn folder_hash(folder: &Path) -> Result<String, SynthError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |error: std::io::Error| SynthError::Options { message: format!("cannot read {path:?}: {error}") }
    };
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(read(folder))?.collect();
    let mut paths: Vec<_> = entries.map_err(read(folder))?.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    let mut hasher = blake3::Hasher::new();
    for path in paths.iter().filter(|path| path.is_file()) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        hasher.update(blake3::hash(name.as_bytes()).as_bytes());
        hasher.update(blake3::hash(&std::fs::read(path).map_err(read(path))?).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
