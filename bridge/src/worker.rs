//! An engine and what it is asked, one job at a time, wherever it is run.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Limits;
use crate::batcher::PendingStep;
use crate::containment::contain;
use crate::engines::{EngineFactory, Placed};
use crate::memory::Memory;
use crate::pool::{Hired, Pool};
use crate::session::Token;
use crate::wire::{ErrorCode, Header, LaneRows, MakeReply, MakeRequest, Parts, Refusal, Reply};

/// Names an engine; never used twice.
pub type PoolId = u64;

/// Who answers a request, and what it was.
pub type Asked = Header;

/// What an engine is asked.
#[derive(Debug)]
pub enum Job {
    /// Give a new session its environments.
    Join(Join),
    /// Start episodes, of several sessions in one call.
    Reset(Vec<PendingReset>),
    /// Step several sessions in one call.
    Step(Vec<PendingStep>),
    /// Give a session's states.
    Save(Asked),
    /// Restore a session's states.
    Load(Asked, Vec<Vec<u8>>),
    /// Take a session's environments back.
    Leave(Token),
}

/// A session that is to be opened.
#[derive(Clone, Debug)]
pub struct Join {
    /// Its token, if all goes well.
    pub token: Token,
    /// Environments that it asks for.
    pub count: usize,
    /// Names its shared memory, if it can use any.
    pub shared_key: Option<u128>,
    /// Names its slots on the card that it has asked for, or why there are none.
    pub card: Option<Result<u128, String>>,
}

/// A session's reset, checked and waiting.
#[derive(Clone, Debug)]
pub struct PendingReset {
    /// The request.
    pub asked: Asked,
    /// Seed of each environment; `None` goes on with its random stream.
    pub seeds: Vec<Option<u64>>,
    /// Which environments.
    pub mask: Vec<bool>,
    /// What its episodes are to be like.
    pub options: BTreeMap<String, f32>,
}

/// A request, the message that answers it, and whether that is a refusal.
pub type Replied = (Asked, Arc<Parts>, bool);

/// What came of a job.
#[derive(Debug, Default)]
pub struct Done {
    /// What its requests are answered.
    pub replies: Vec<Replied>,
    /// Of a [`Job::Join`]: the new session, or why there is none.
    pub joined: Option<(Join, Result<MakeReply, Refusal>)>,
    /// The engine has panicked: it is gone, and its sessions with it.
    pub failed: Option<Refusal>,
    /// Whether it has moved into a larger engine.
    pub grown: bool,
    /// Environments that there are.
    pub lanes: usize,
    /// Of a [`Job::Step`]: sessions and environments stepped.
    pub stepped: Option<(usize, usize)>,
    /// How long it took.
    pub took: Duration,
    /// What audits have found: name and value.
    pub found: Vec<(&'static str, f64)>,
}

/// An engine with the means to make it.
pub struct Worker {
    factory: Arc<dyn EngineFactory>,
    request: MakeRequest,
    limits: Limits,
    memory: Memory,
    pool: Option<Pool>,
}

impl Worker {
    /// A worker whose engine is made when the first session joins.
    pub fn new(
        factory: Arc<dyn EngineFactory>,
        request: MakeRequest,
        limits: Limits,
        memory: Memory,
    ) -> Self {
        Self { factory, request, limits, memory, pool: None }
    }

    /// Does one job; panics of the engine end here.
    pub fn run(&mut self, job: Job) -> Done {
        let started = Instant::now();
        let mut done = self.work(job);
        done.lanes = self.pool.as_ref().map_or(0, Pool::lanes);
        done.took = started.elapsed();
        if done.failed.is_some() {
            self.discard();
        }
        done
    }

    /// Drops the engine; should that panic, it is gone all the same.
    pub fn discard(&mut self) {
        let pool = self.pool.take();
        let _ = contain(|| drop(pool));
    }

    fn work(&mut self, job: Job) -> Done {
        let join = match job {
            Job::Join(join) => join,
            job => return self.serve(job),
        };
        let before = self.pool.as_ref().map(Pool::lanes);
        // A panic on the way leaves the engine that is in use as it was.
        let made = contain(|| self.join(&join)).flatten();
        let grown = before.is_some_and(|before| self.pool.as_ref().map(Pool::lanes) > Some(before));
        Done { joined: Some((join, made)), grown, ..Done::default() }
    }

    fn serve(&mut self, job: Job) -> Done {
        let asked: Vec<Asked> = match &job {
            Job::Join(_) | Job::Leave(_) => Vec::new(),
            Job::Reset(resets) => resets.iter().map(|reset| reset.asked).collect(),
            Job::Step(steps) => steps.iter().map(|step| step.asked).collect(),
            Job::Save(asked) | Job::Load(asked, _) => vec![*asked],
        };
        let Some(pool) = &mut self.pool else {
            let lost =
                Refusal::session_lost("the engine of this session is gone: make the environments again");
            return Done {
                replies: asked.iter().map(|asked| refused(asked, lost.clone())).collect(),
                ..Done::default()
            };
        };
        match contain(|| answers(pool, job)) {
            Ok((replies, stepped)) => Done { replies, stepped, found: pool.take_found(), ..Done::default() },
            Err(failure) => Done {
                replies: asked.iter().map(|asked| refused(asked, failure.clone())).collect(),
                failed: Some(failure),
                ..Done::default()
            },
        }
    }

    /// Lanes for a new session: where there is room, or in an engine that is made larger, or in the first one.
    fn join(&mut self, join: &Join) -> Result<MakeReply, Refusal> {
        if let Some(pool) = &mut self.pool {
            if !pool.admit(join.token, join.count) {
                let most = self.limits.envs_per_pool_max;
                let sizes = grown(pool.lanes_held() + join.count, pool.lanes(), most);
                let made = match make(&*self.factory, &self.request, &self.memory, *sizes.end()) {
                    // What does not fit twice over may fit as it is needed.
                    Err(refusal) if refusal.code == ErrorCode::Limit && sizes.end() > sizes.start() => {
                        make(&*self.factory, &self.request, &self.memory, *sizes.start())
                    }
                    made => made,
                };
                pool.move_into(made?)?;
                if !pool.admit(join.token, join.count) {
                    return Err(Refusal::new(ErrorCode::Engine, "the engine did not grow"));
                }
            }
            return Ok(pool.describe(join, &self.limits, &self.memory));
        }
        let engine = make(&*self.factory, &self.request, &self.memory, join.count)?;
        let mut pool = Pool::new(&self.request, engine);
        if !pool.admit(join.token, join.count) {
            let message = "the engine has fewer environments than asked for";
            return Err(Refusal::new(ErrorCode::Engine, message));
        }
        Ok(self.pool.insert(pool).describe(join, &self.limits, &self.memory))
    }
}

/// An engine with `num_envs` environments, and the memory that it takes.
fn make(
    factory: &dyn EngineFactory,
    request: &MakeRequest,
    memory: &Memory,
    num_envs: usize,
) -> Result<Hired, Refusal> {
    let claim = memory.claim_engine(factory.bytes(request), num_envs)?;
    let env = match &request.card {
        Some(_) => factory.make_on_card(request, num_envs)?,
        None => Placed::Host { env: factory.make(request, num_envs)?, why: String::new() },
    };
    Ok(Hired { env, claim })
}

/// Sizes for an engine of `lanes` lanes that needs `needed`: as few as it must have, and as many as it should have. From
/// its second session on it is padded to a power of two, so that not every newcomer makes it move and sizes are few; or
/// left as large as it is, if only a gap is missing.
fn grown(needed: usize, lanes: usize, max: usize) -> RangeInclusive<usize> {
    let doubled = if needed <= lanes { lanes } else { needed.next_power_of_two() };
    needed..=doubled.min(max).max(needed)
}

/// The replies to a job's requests, and, of a step, how many sessions and environments were stepped.
fn answers(pool: &mut Pool, job: Job) -> (Vec<Replied>, Option<(usize, usize)>) {
    let rows = |(asked, rows): (Asked, Answer)| reply(&asked, rows.map(Reply::Rows));
    let replies = match job {
        Job::Join(_) => Vec::new(),
        Job::Reset(resets) => {
            let asked = resets.iter().map(|reset| reset.asked);
            asked.zip(pool.reset(&resets)).map(rows).collect()
        }
        Job::Step(steps) => {
            let answers = pool.step(steps);
            let stepped = answers.iter().filter_map(|(_, rows)| rows.as_ref().ok());
            let stepped = stepped.fold((0, 0), |(n, envs), rows| (n + 1, envs + rows.rewards.len()));
            return (answers.into_iter().map(rows).collect(), Some(stepped));
        }
        Job::Save(asked) => vec![reply(&asked, pool.save(asked.session).map(Reply::Save))],
        Job::Load(asked, states) => {
            vec![rows((asked, pool.load(&asked, &states).and_then(|()| pool.all_rows(&asked))))]
        }
        Job::Leave(token) => {
            pool.evict(token);
            Vec::new()
        }
    };
    (replies, None)
}

fn reply(asked: &Asked, answer: Result<Reply, Refusal>) -> Replied {
    match answer {
        Ok(answer) => (*asked, Arc::new(answer.into_parts(asked)), false),
        Err(refusal) => refused(asked, refusal),
    }
}

fn refused(asked: &Asked, refusal: Refusal) -> Replied {
    (*asked, Arc::new(Reply::Error(refusal).into_parts(asked)), true)
}

/// Rows of one session, or why there are none.
pub type Answer = Result<LaneRows, Refusal>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_doubled_as_far_as_they_may() {
        assert_eq!(grown(3, 2, 100), 3..=4);
        assert_eq!(grown(9, 2, 100), 9..=16);
        assert_eq!(grown(5, 4, 6), 5..=6);
        assert_eq!(grown(4, 4, 6), 4..=4, "a gap in the right place is all that is missing");
    }
}
