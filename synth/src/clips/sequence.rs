use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam::channel::{Receiver, Sender, bounded, select};
use rayon::{Scope, ThreadPool};
use worldstep_env::dataset::EPISODES_PER_FILE;

use super::pipeline::Job;
use super::unit::{Candidate, UnitMaker, facts};
use super::{SynthError, Trajectory};
use crate::curate::{Code, Signature};
use crate::lerobot::Facts;
use crate::scenario::Scenario;

/// Units under way or finished before the one that is due, for each worker. With the clips that wait to be drawn and
/// the two that have pixels, this is what memory is bounded by.
const UNITS_AHEAD_PER_WORKER: usize = 2;

type Made = (usize, Result<Option<Candidate>, SynthError>);
/// Rows of clips that were written, and who wants to know.
type Reports<'a> = (&'a Receiver<usize>, &'a mut dyn FnMut(usize));

/// Keeps workers busy ahead of the unit that is due, and hands clips on in order.
pub struct Sequence<'a> {
    job: &'a Job<'a>,
    maker: UnitMaker<'a>,
    /// Units that no worker has yet.
    units: Range<usize>,
    /// The unit to hand on next.
    due: usize,
    /// Position of its first clip in the dataset.
    next_index: usize,
    /// Made units whose predecessors aren't.
    waiting: BTreeMap<usize, Candidate>,
    /// Of the units of the file under way.
    signatures: Vec<Signature>,
}

impl<'a> Sequence<'a> {
    /// The units of `job` from its episode `first` on.
    pub fn new(job: &'a Job<'a>, first: usize) -> Self {
        let maker = UnitMaker::new(job.scenario, job.options, job.stages);
        let units = job.plan.units_from(first);
        Self {
            job,
            maker,
            due: units.start,
            units,
            next_index: first,
            waiting: BTreeMap::new(),
            signatures: Vec::new(),
        }
    }

    /// Hands all clips to `to_draw`, or until someone stops or a thread behind it has failed.
    pub fn run(
        mut self,
        pool: &ThreadPool,
        to_draw: Sender<(Trajectory, Facts)>,
        (written, on_written): Reports<'_>,
    ) -> Result<(), SynthError> {
        let (maker, options) = (self.maker, self.job.options);
        let ahead = UNITS_AHEAD_PER_WORKER * options.workers.max(1);
        // No more units are under way than that, so no worker ever waits to hand one in.
        let (sender, made) = bounded::<Made>(ahead);
        pool.in_place_scope(|workers| {
            while self.due < self.units.end && !options.stopped() {
                while self.units.start < self.units.end.min(self.due + ahead) {
                    spawn(workers, maker, self.units.start, sender.clone());
                    self.units.start += 1;
                }
                if let Some(candidate) = self.waiting.remove(&self.due) {
                    if !self.hand_on(candidate, &to_draw)? {
                        return Ok(());
                    }
                    written.try_iter().for_each(&mut *on_written);
                    continue;
                }
                select! {
                    recv(made) -> unit => match unit {
                        Ok((unit, Ok(Some(candidate)))) => drop(self.waiting.insert(unit, candidate)),
                        Ok((_, Err(error))) => return Err(error),
                        _ => return Ok(()),
                    },
                    recv(written) -> rows => match rows {
                        Ok(rows) => on_written(rows),
                        Err(_) => return Ok(()),
                    },
                }
            }
            Ok(())
        })
    }

    /// Sends the clips of the unit that is due to be drawn; `false` if nobody draws any more.
    fn hand_on(
        &mut self,
        candidate: Candidate,
        to_draw: &Sender<(Trajectory, Facts)>,
    ) -> Result<bool, SynthError> {
        let Some(candidate) = self.first_of_its_kind(candidate)? else { return Ok(false) };
        let horizon = self.job.options.scenarios.horizon;
        let facts = facts(&candidate, self.next_index, horizon, self.job.slots);
        self.next_index += candidate.clips.len();
        self.due += 1;
        Ok(candidate.clips.into_iter().zip(facts).all(|clip| to_draw.send(clip).is_ok()))
    }

    /// `candidate`, or the next attempt at its unit that is no near-duplicate of a unit before it in the same file.
    ///
    /// Within a file, so that shards need not know of each other. A task's clips are what its policies make of it, and
    /// some are alike.
    fn first_of_its_kind(&mut self, mut candidate: Candidate) -> Result<Option<Candidate>, SynthError> {
        let curation = &self.job.options.curation;
        if matches!(self.job.scenario, Scenario::Task(_)) || curation.off.contains(&Code::NearDuplicate) {
            return Ok(Some(candidate));
        }
        if self.next_index.is_multiple_of(EPISODES_PER_FILE) {
            self.signatures.clear();
        }
        let known = |candidate: &Candidate| {
            let near =
                |other: &Signature| other.distance(&candidate.signature) <= curation.duplicate_distance;
            self.signatures.iter().any(near)
        };
        while known(&candidate) {
            let Some(another) = self.maker.make_another(candidate, Code::NearDuplicate)? else {
                return Ok(None);
            };
            candidate = another;
        }
        self.signatures.push(candidate.signature.clone());
        Ok(Some(candidate))
    }
}

/// Has a worker make `unit`. A panic in there is an error of its own; the other units go on.
fn spawn<'s>(workers: &Scope<'s>, maker: UnitMaker<'s>, unit: usize, made: Sender<Made>) {
    workers.spawn(move |_| {
        let result = catch_unwind(AssertUnwindSafe(|| maker.make(unit)));
        let result = result.unwrap_or_else(|_| Err(maker.panicked(unit)));
        // Nobody waits for it any more if the run has ended.
        let _ = made.send((unit, result));
    });
}
