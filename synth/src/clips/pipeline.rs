use crossbeam::channel::{Receiver, Sender, bounded};
use rayon::{ThreadPool, ThreadPoolBuilder};
use worldstep_env::dataset::{EPISODES_PER_FILE, InstanceLabel};

use super::disk::DiskBudget;
use super::draw::Artist;
use super::plan::Plan;
use super::sequence::Sequence;
use super::stages::{Stage, Stages};
use super::{SynthError, SynthOptions, SynthProgress, Trajectory};
use crate::lerobot::{Clip, DatasetWriter, EncodedEpisode, Facts, Feature, Place, encode_episode};
use crate::render::Renderer;
use crate::scenario::Scenario;

/// Simulated clips that may wait to be drawn. Of clips with pixels, one is being drawn, one encoded and one (as files)
/// written; none waits.
const CLIPS_WAITING: usize = 4;
/// Reports of written clips that may wait to be read. They are read after each unit is handed on, and by then no more
/// than its clips and those on their way can have been written; a writer that waited here would be waited for.
const REPORTS_WAITING: usize = EPISODES_PER_FILE + CLIPS_WAITING + 4;

/// What one dataset is recorded from.
pub struct Job<'a> {
    pub scenario: &'a Scenario,
    pub options: &'a SynthOptions,
    pub plan: Plan,
    pub slots: &'a [InstanceLabel],
    pub stages: &'a Stages,
}

impl Job<'_> {
    /// Records what `writer` does not have yet: workers simulate → one thread draws → workers
    /// encode → one thread writes.
    pub fn record(
        &self,
        renderer: Renderer,
        writer: &mut DatasetWriter,
        progress: &mut dyn FnMut(&SynthProgress),
    ) -> Result<(), SynthError> {
        let pool = ThreadPoolBuilder::new().num_threads(self.options.workers.max(1)).build();
        let pool = pool.map_err(|error| SynthError::Options { message: error.to_string() })?;
        let features: Vec<Feature> = writer.features().to_vec();
        let first = writer.next_index();
        let start = writer.next_place(0);
        let mut report = SynthProgress {
            scenario: self.scenario.name().to_owned(),
            clips_done: first,
            clips_total: self.plan.clips,
            frames: 0,
        };
        progress(&report);
        let (to_draw, drawing) = bounded(CLIPS_WAITING);
        let (to_encode, encoding) = bounded(0);
        let (to_write, writing) = bounded(0);
        let (to_report, written) = bounded(REPORTS_WAITING);
        std::thread::scope(|scope| {
            let artist = Artist::new(renderer, &features, self.slots);
            let drawer = scope.spawn(move || self.draw_all(artist, &drawing, &to_encode));
            let (pool, features) = (&pool, &features);
            let encoder =
                scope.spawn(move || self.encode_all((features, start), (&encoding, &to_write), pool));
            let scribe = scope.spawn(move || self.write_all(writer, &writing, &to_report));
            let mut on_written = |rows: usize| {
                report.clips_done += 1;
                report.frames += rows;
                progress(&report);
            };
            let planned = Sequence::new(self, first).run(pool, to_draw, (&written, &mut on_written));
            written.iter().for_each(&mut on_written);
            let lost =
                |_| Err(SynthError::write(&self.options.out)("a recording thread panicked".to_owned()));
            // Whoever fails hangs up on those before it, so the last in the line says why.
            [scribe, encoder, drawer]
                .map(|thread| thread.join().unwrap_or_else(lost))
                .into_iter()
                .collect::<Result<(), _>>()?;
            planned
        })
    }

    fn draw_all(
        &self,
        mut artist: Artist<'_>,
        clips: &Receiver<(Trajectory, Facts)>,
        drawn: &Sender<Clip>,
    ) -> Result<(), SynthError> {
        for (trajectory, facts) in clips {
            // Only whole units.
            if self.options.stopped() && facts.index.is_multiple_of(self.plan.unit_clips) {
                break;
            }
            let clip = self.stages.time(Stage::Render, || artist.draw(&trajectory, facts))?;
            if drawn.send(clip).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn encode_all(
        &self,
        (features, mut place): (&[Feature], Place),
        (clips, encoded): (&Receiver<Clip>, &Sender<EncodedEpisode>),
        pool: &ThreadPool,
    ) -> Result<(), SynthError> {
        for clip in clips {
            place.len = clip.len;
            let episode =
                self.stages.time(Stage::Encode, || pool.install(|| encode_episode(&clip, features, place)));
            let episode = episode.map_err(|message| SynthError::Scenario {
                scenario: clip.facts.scenario.clone(),
                seed: clip.facts.seed,
                message,
            })?;
            place = place.after();
            drop(clip);
            if encoded.send(episode).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Until the encoder hangs up or a file fails; what came before is then finished or dropped.
    fn write_all(
        &self,
        writer: &mut DatasetWriter,
        episodes: &Receiver<EncodedEpisode>,
        written: &Sender<usize>,
    ) -> Result<(), SynthError> {
        let mut budget = DiskBudget::default();
        for episode in episodes {
            let rows = episode.entry.length;
            let before = writer.file_bytes();
            self.stages.time(Stage::Write, || writer.append(episode))?;
            // Nothing after the last of a file, which is closed then.
            if let Some(bytes) = writer.file_bytes().checked_sub(before) {
                budget.add(bytes);
            }
            self.check_disk(writer, &budget)?;
            // Nobody listens any more when a thread has failed.
            let _ = written.send(rows);
        }
        writer.finish()
    }

    /// After the first clip for all that are to come, then for each file when it begins.
    fn check_disk(&self, writer: &DatasetWriter, budget: &DiskBudget) -> Result<(), SynthError> {
        let left = self.plan.clips - writer.next_index();
        let in_file = writer.next_index() % EPISODES_PER_FILE;
        let dir = writer.dir();
        if budget.is_first() {
            budget.check(dir, left)
        } else if in_file == 0 {
            budget.check(dir, left.min(EPISODES_PER_FILE))
        } else {
            Ok(())
        }
    }
}
