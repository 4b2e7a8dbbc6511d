//! Where engines work: on threads of their own, or, in tests, at once.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::worker::{Done, Job, PoolId, Worker};

/// Runs jobs of engines. An engine has one job at a time: nobody submits another before the first one is finished.
pub trait Workshop: Send {
    /// Takes in a new engine.
    ///
    /// # Errors
    /// If there is no thread for it.
    fn open(&mut self, id: PoolId, worker: Worker) -> io::Result<()>;

    /// Begins a job.
    fn submit(&mut self, id: PoolId, job: Job);

    /// Ends an engine, when the job that it has is done.
    fn close(&mut self, id: PoolId);

    /// What has been finished since it was last asked, one at a time.
    fn finished(&mut self) -> Option<(PoolId, Done)>;

    /// Ends all engines, and waits until they are gone, or no longer than `patience`.
    fn end(&mut self, patience: Duration);
}

/// Does each job when it is submitted.
#[derive(Default)]
pub struct Inline {
    workers: BTreeMap<PoolId, Worker>,
    done: VecDeque<(PoolId, Done)>,
}

impl Workshop for Inline {
    fn open(&mut self, id: PoolId, worker: Worker) -> io::Result<()> {
        self.workers.insert(id, worker);
        Ok(())
    }

    fn submit(&mut self, id: PoolId, job: Job) {
        if let Some(worker) = self.workers.get_mut(&id) {
            self.done.push_back((id, worker.run(job)));
        }
    }

    fn close(&mut self, id: PoolId) {
        if let Some(mut worker) = self.workers.remove(&id) {
            worker.discard();
        }
    }

    fn finished(&mut self) -> Option<(PoolId, Done)> {
        self.done.pop_front()
    }

    fn end(&mut self, _patience: Duration) {
        std::mem::take(&mut self.workers).into_values().for_each(|mut worker| worker.discard());
    }
}

/// A thread for each engine. What is done comes back through one bounded channel; a byte in a pipe wakes whoever sleeps
/// on it.
pub struct Threads {
    jobs: BTreeMap<PoolId, Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    sender: Sender<(PoolId, Done)>,
    done: Receiver<(PoolId, Done)>,
    wake: Arc<UnixStream>,
}

impl Threads {
    /// Room for `engines_max` engines; each finished job writes a byte to `wake`, which does not block.
    pub fn new(engines_max: usize, wake: UnixStream) -> Self {
        let (sender, done) = bounded(engines_max);
        Self { jobs: BTreeMap::new(), threads: Vec::new(), sender, done, wake: Arc::new(wake) }
    }
}

impl Workshop for Threads {
    fn open(&mut self, id: PoolId, mut worker: Worker) -> io::Result<()> {
        // One job is under way at most, so that sending never waits.
        let (sender, jobs) = bounded::<Job>(1);
        let (done, wake) = (self.sender.clone(), Arc::clone(&self.wake));
        let work = move || {
            for job in jobs {
                if done.send((id, worker.run(job))).is_err() {
                    break;
                }
                // A full pipe has woken them already.
                let _ = (&*wake).write(&[1]);
            }
            worker.discard();
        };
        self.threads.retain(|thread| !thread.is_finished());
        self.threads.push(std::thread::Builder::new().name(format!("engine {id}")).spawn(work)?);
        self.jobs.insert(id, sender);
        Ok(())
    }

    fn submit(&mut self, id: PoolId, job: Job) {
        if let Some(jobs) = self.jobs.get(&id) {
            let _ = jobs.send(job);
        }
    }

    fn close(&mut self, id: PoolId) {
        self.jobs.remove(&id);
    }

    fn finished(&mut self) -> Option<(PoolId, Done)> {
        self.done.try_recv().ok()
    }

    fn end(&mut self, patience: Duration) {
        self.jobs.clear();
        let deadline = Instant::now() + patience;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            // Nobody waits for these any more, but their senders may.
            while self.done.recv_timeout(Duration::from_millis(5)).is_ok() {}
        }
    }
}
