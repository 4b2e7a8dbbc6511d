use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use worldstep_env::{EnvError, EnvSpec};

use super::StartSource;

/// Starts that are kept ready at most; of four frames of 64 × 64 each, 12.6 MB. Further lanes wait for the drawing of theirs.
pub const STARTS_AHEAD_MAX: usize = 256;
/// Starts that are drawn together ahead of time: a caller who needs another one waits for these at most.
const AHEAD_TOGETHER: usize = 8;
/// Starts that are asked for together when a caller waits.
const ASKED_TOGETHER: usize = 64;

/// Starts that another thread draws before they are asked for.
///
/// A lane's next seed is known as soon as its episode begins, so what is prepared is exactly what will be asked for; what is
/// not ready is drawn at once, and waited for. What comes out is what `source` gives, whatever the timing.
pub struct PrefetchedStarts {
    spec: EnvSpec,
    context_frames: usize,
    neutral_action: Vec<f32>,
    desk: Arc<Desk>,
    worker: Option<JoinHandle<()>>,
}

impl PrefetchedStarts {
    /// Starts of `source`, which moves to a thread of its own. The thread ends with this value.
    ///
    /// # Errors
    /// [`EnvError::Engine`] if the system gives no thread.
    pub fn new(source: impl StartSource + 'static) -> Result<Self, EnvError> {
        let desk = Arc::new(Desk::default());
        let (spec, context_frames) = (source.spec().clone(), source.context_frames());
        let neutral_action = source.neutral_action().to_vec();
        let theirs = Arc::clone(&desk);
        let work = move || theirs.serve(source);
        let worker = std::thread::Builder::new().name("starts".to_owned()).spawn(work).map_err(|error| {
            EnvError::Engine { message: format!("cannot start the thread that draws starts: {error}") }
        })?;
        Ok(Self { spec, context_frames, neutral_action, desk, worker: Some(worker) })
    }

    /// Starts that lie ready.
    pub fn ready(&self) -> usize {
        self.desk.lock().drawn.values().filter(|start| start.is_ok()).count()
    }

    fn take(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        let mut papers = self.desk.lock();
        // Asked again at each turn: what was being drawn ahead may have come to nothing.
        while papers.ask(seeds) && !papers.closed {
            self.desk.turned.notify_all();
            papers = self.desk.turned.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
        let taken: BTreeMap<_, _> = seeds.iter().filter_map(|seed| papers.drawn.remove_entry(seed)).collect();
        drop(papers);
        for seed in seeds {
            match taken.get(seed) {
                Some(Ok(frames)) => out.extend_from_slice(frames),
                Some(Err(message)) => return Err(EnvError::Engine { message: message.clone() }),
                None => return Err(self.mourn(*seed)),
            }
        }
        Ok(())
    }

    /// What a caller is told who needs the start of `seed` from a thread that has ended.
    ///
    /// # Panics
    /// The first time, if the thread did: its panic goes on here, where a caller contains those of an engine.
    fn mourn(&mut self, seed: u64) -> EnvError {
        if let Some(Err(panic)) = self.worker.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        EnvError::Engine {
            message: format!("the thread that draws starts has died before that of seed {seed}"),
        }
    }
}

impl StartSource for PrefetchedStarts {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn context_frames(&self) -> usize {
        self.context_frames
    }

    fn neutral_action(&self) -> &[f32] {
        &self.neutral_action
    }

    fn starts(&mut self, seeds: &[u64], out: &mut Vec<u8>) -> Result<(), EnvError> {
        self.desk.lock().caller_waits = true;
        let taken = seeds.chunks(ASKED_TOGETHER).try_for_each(|seeds| self.take(seeds, out));
        self.desk.lock().caller_waits = false;
        self.desk.turned.notify_all();
        taken
    }

    fn expect(&mut self, seeds: &[u64]) {
        self.desk.lock().expect(seeds);
        self.desk.turned.notify_all();
    }
}

impl Drop for PrefetchedStarts {
    fn drop(&mut self) {
        self.desk.close();
        if let Some(worker) = self.worker.take() {
            // Whatever it died of: nobody waits for it any more.
            let _ = worker.join();
        }
    }
}

/// Where both threads meet.
#[derive(Default)]
struct Desk {
    papers: Mutex<Papers>,
    /// Rung at every change.
    turned: Condvar,
}

#[derive(Default)]
struct Papers {
    /// Seeds that a caller waits for.
    asked: VecDeque<u64>,
    /// More may be asked for at once, so nothing is drawn ahead.
    caller_waits: bool,
    /// Seeds that will be asked for, the most urgent first.
    expected: VecDeque<u64>,
    /// Seeds that are being drawn.
    drawing: Vec<u64>,
    /// What came of the others: frames, or, to a caller who waits, why there are none.
    drawn: BTreeMap<u64, Result<Vec<u8>, String>>,
    /// Nobody draws any more, or is to.
    closed: bool,
}

impl Papers {
    /// Whether `seed` is drawn or is being drawn.
    fn is_under_way(&self, seed: u64) -> bool {
        self.drawn.contains_key(&seed) || self.drawing.contains(&seed)
    }

    /// Sees to it that `seeds` are drawn; whether there are some to wait for.
    fn ask(&mut self, seeds: &[u64]) -> bool {
        let is_new = |seed: &u64| !self.is_under_way(*seed) && !self.asked.contains(seed);
        let new: BTreeSet<u64> = seeds.iter().copied().filter(is_new).collect();
        self.expected.retain(|seed| !new.contains(seed));
        self.asked.extend(new);
        !seeds.iter().all(|seed| self.drawn.contains_key(seed))
    }

    fn expect(&mut self, seeds: &[u64]) {
        let mut wanted = BTreeSet::new();
        let new = seeds.iter().copied().filter(|seed| wanted.insert(*seed));
        let in_order: Vec<u64> = new.take(STARTS_AHEAD_MAX).collect();
        self.drawn.retain(|seed, _| wanted.contains(seed));
        self.expected = in_order.into_iter().filter(|seed| !self.is_under_way(*seed)).collect();
    }

    /// Seeds to draw next, and whether a caller waits for them.
    fn next(&mut self) -> Option<(Vec<u64>, bool)> {
        let asked = !self.asked.is_empty();
        let (queue, count) = match asked {
            true => (&mut self.asked, ASKED_TOGETHER),
            false if self.caller_waits => return None,
            false => (&mut self.expected, AHEAD_TOGETHER),
        };
        let count = count.min(queue.len());
        self.drawing = queue.drain(..count).collect();
        (count > 0).then(|| (self.drawing.clone(), asked))
    }

    /// Takes note of what came of the seeds that were being drawn: of those that nobody waits for only what succeeded, so
    /// that they are tried again when somebody does.
    fn put(&mut self, drawn: Result<Vec<&[u8]>, String>, asked: bool) {
        let seeds = std::mem::take(&mut self.drawing);
        match drawn {
            Ok(starts) => {
                self.drawn.extend(seeds.into_iter().zip(starts.into_iter().map(|start| Ok(start.to_vec()))))
            }
            Err(message) if asked => {
                self.drawn.extend(seeds.into_iter().map(|seed| (seed, Err(message.clone()))))
            }
            Err(_) => {}
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.turned.notify_all();
    }

    /// Draws what is asked for and expected until the desk is closed.
    fn serve(&self, mut source: impl StartSource) {
        /// Whoever waits must learn of a thread that panics.
        struct ClosedAtLast<'a>(&'a Desk);
        impl Drop for ClosedAtLast<'_> {
            fn drop(&mut self) {
                self.0.close();
            }
        }
        let _closed_at_last = ClosedAtLast(self);
        let start_len = source.context_frames() * source.spec().observation_space.flat_len();
        while let Some((seeds, asked)) = self.wait_for_work() {
            let mut frames = Vec::with_capacity(seeds.len() * start_len);
            let drawn = source.starts(&seeds, &mut frames).map_err(|error| error.to_string());
            let expected = seeds.len() * start_len;
            let drawn = drawn.and_then(|()| match frames.len() {
                len if len == expected => Ok(frames.chunks_exact(start_len).collect()),
                len => Err(format!("{} starts have {len} bytes, expected {expected}", seeds.len())),
            });
            self.lock().put(drawn, asked);
            self.turned.notify_all();
        }
    }

    fn wait_for_work(&self) -> Option<(Vec<u64>, bool)> {
        let mut papers = self.lock();
        loop {
            if papers.closed {
                return None;
            }
            if let Some(work) = papers.next() {
                return Some(work);
            }
            papers = self.turned.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
