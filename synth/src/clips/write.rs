use std::path::Path;

use crossbeam::channel::{Receiver, bounded};
use worldstep_env::policy::ClipPolicy;
use worldstep_env::registry::{TASKS, TaskEntry, find};

use super::options::DatasetSummary;
use super::{Episode, Recorder, SynthError, SynthOptions, SynthProgress, SynthSummary};
use crate::lerobot::DatasetWriter;

/// Episodes that may wait for the writer before recording pauses.
const QUEUE_EPISODES: usize = 4;
/// Largest side of a frame in pixels.
const FRAME_SIZE_MAX: u32 = 1024;

/// Records clips and writes them as a dataset: physics → pixels → (another thread) encoding → files.
///
/// # Errors
/// [`SynthError`]; files that were finished before stay, and `resume` goes on from them.
pub fn write_dataset(
    options: &SynthOptions,
    progress: &mut dyn FnMut(&SynthProgress),
) -> Result<SynthSummary, SynthError> {
    check(options)?;
    let mut datasets = Vec::new();
    if options.scenario == "all" {
        let share = |i: usize| options.clips / TASKS.len() + usize::from(i < options.clips % TASKS.len());
        for (i, task) in TASKS.iter().enumerate() {
            datasets.push(write_task(options, task, (&options.out.join(task.scenario), share(i)), progress)?);
        }
    } else {
        let task = find(&options.scenario)?;
        datasets.push(write_task(options, task, (&options.out, options.clips), progress)?);
    }
    let summary = SynthSummary { datasets, interrupted: false };
    Ok(SynthSummary { interrupted: summary.clips() < options.clips, ..summary })
}

fn check(options: &SynthOptions) -> Result<(), SynthError> {
    let wrong = |message: String| Err(SynthError::Options { message });
    if options.clips == 0 {
        return wrong("0 clips were asked for, expected at least 1".to_owned());
    }
    if options.frame_size == 0 || options.frame_size > FRAME_SIZE_MAX {
        return wrong(format!("frames of {} pixels, expected 1..={FRAME_SIZE_MAX}", options.frame_size));
    }
    let filled = std::fs::read_dir(&options.out).is_ok_and(|mut entries| entries.next().is_some());
    if filled && !options.resume {
        return Err(SynthError::NotEmpty { path: options.out.clone() });
    }
    Ok(())
}

fn write_task(
    options: &SynthOptions,
    task: &'static TaskEntry,
    (dir, clips): (&Path, usize),
    progress: &mut dyn FnMut(&SynthProgress),
) -> Result<DatasetSummary, SynthError> {
    let scene = (task.make)().scene().clone();
    let mut writer = DatasetWriter::new(dir, task, &scene, (options.seed, options.frame_size));
    if options.resume {
        writer.resume(clips)?;
        check_policies(options, &writer, dir)?;
    }
    let found = writer.entries().len();
    if found < clips && !options.stopped() {
        record(options, task, found..clips, &mut writer, progress)?;
    }
    writer.finish()?;
    let entries = writer.entries();
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        hasher.update(entry.hash.as_bytes());
    }
    Ok(DatasetSummary {
        scenario: task.id.to_owned(),
        path: dir.to_owned(),
        clips: entries.len(),
        frames: entries.iter().map(|entry| entry.length).sum(),
        hash: hasher.finalize().to_hex().to_string(),
    })
}

/// The mix of behaviours is not written down, but what it chose is.
fn check_policies(options: &SynthOptions, writer: &DatasetWriter, dir: &Path) -> Result<(), SynthError> {
    for entry in writer.entries() {
        let policy = ClipPolicy::new(&options.mix, entry.seed).kind().name();
        if policy != entry.policy {
            let message = format!(
                "episode {} there is {}, but with this mix of behaviours it is {policy}",
                entry.index, entry.policy
            );
            return Err(SynthError::Mismatch { path: dir.to_owned(), message });
        }
    }
    Ok(())
}

fn record(
    options: &SynthOptions,
    task: &'static TaskEntry,
    range: std::ops::Range<usize>,
    writer: &mut DatasetWriter,
    progress: &mut dyn FnMut(&SynthProgress),
) -> Result<(), SynthError> {
    let clips_total = range.end;
    let mut report = SynthProgress { scenario: task.id, clips_done: range.start, clips_total, frames: 0 };
    let how = (options.seed, options.mix);
    let mut recorder = Recorder::new(task, range, options.lanes, options.frame_size, how)?;
    progress(&report);
    std::thread::scope(|scope| {
        let (sender, receiver) = bounded::<Episode>(QUEUE_EPISODES);
        let written = scope.spawn(move || write_all(writer, &receiver));
        let mut deliver = |episode: Episode| {
            report.clips_done += 1;
            report.frames += episode.len;
            // A writer that has failed hangs up; its own error says why.
            let open = sender.send(episode).is_ok();
            progress(&report);
            open
        };
        let mut recorded = Ok(true);
        while !options.stopped() && matches!(recorded, Ok(true)) {
            recorded = recorder.step(&mut deliver);
        }
        drop(sender);
        let written = written.join().unwrap_or_else(|_| {
            let message = "the writing thread panicked".to_owned();
            Err(SynthError::Write { path: options.out.clone(), message })
        });
        recorded?;
        written
    })
}

/// Until the recorder hangs up or a file fails; what came before is then finished or dropped.
fn write_all(writer: &mut DatasetWriter, episodes: &Receiver<Episode>) -> Result<(), SynthError> {
    for episode in episodes {
        writer.push(&episode)?;
    }
    writer.finish()
}
