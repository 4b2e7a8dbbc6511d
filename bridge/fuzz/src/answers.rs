//! What an engine that a session has for itself answers.

use worldstep_bridge::on_card::StandInView;
use worldstep_bridge::shared_memory::{SharedView, host_id};
use worldstep_bridge::wire::{
    Header, MakeReply, MakeRequest, Refusal, Reply, Request, buffer_from_bytes, bytes_from_buffer,
};
use worldstep_env::VectorEnv;

use crate::counting::CountingEnv;
use crate::model::bad_action;
use crate::own_engine::{rows, step};

/// Bytes of a session's observations from which on memory is shared.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// A session's environments.
pub struct Tenant {
    kind: MakeRequest,
    env: CountingEnv,
    shared: Option<SharedView>,
    card: Option<StandInView>,
}

impl Tenant {
    /// The environments of a session that was asked for with `kind`.
    ///
    /// # Panics
    /// If the server shares no memory where it should, or shares some where it should not.
    pub fn new(kind: MakeRequest, made: &MakeReply) -> Self {
        let env = CountingEnv::new(kind.num_envs, kind.autoreset_mode.of_engine(), kind.obs);
        let bytes = bytes_from_buffer(&env.batch().observations).len();
        let is_shared = is_here(&kind) && kind.card.is_none() && bytes >= SHARED_BYTES_MIN;
        assert_eq!(made.shared_memory.is_some(), is_shared, "{bytes} bytes for {kind:?}");
        assert_eq!(made.card.is_some(), is_on_card(&kind), "{kind:?}");
        assert_eq!(made.card_refused.is_some(), kind.card.is_some() && !is_here(&kind), "{kind:?}");
        let shared = made.shared_memory.as_ref().map(|slots| SharedView::open(slots).unwrap());
        let card = made.card.as_ref().map(|handles| StandInView::open(handles).unwrap());
        Self { kind, env, shared, card }
    }

    /// What was asked for.
    pub fn kind(&self) -> &MakeRequest {
        &self.kind
    }

    /// Whether a session that was asked for with `other` may share an engine with this one.
    pub fn is_like(&self, other: &MakeRequest) -> bool {
        let kind = &self.kind;
        (kind.engine, kind.obs, kind.autoreset_mode, is_on_card(kind))
            == (other.engine, other.obs, other.autoreset_mode, is_on_card(other))
    }

    /// Environments that it has.
    pub fn num_envs(&self) -> usize {
        self.env.num_envs()
    }

    /// `reply` with its observations in place, wherever the server has put them.
    ///
    /// # Panics
    /// If they are not where the request wanted them.
    pub fn whole(&self, asked: &Header, reply: Reply) -> Reply {
        let Reply::Rows(mut rows) = reply else { return reply };
        let elsewhere = self.shared.is_some() || self.card.is_some();
        assert_eq!(rows.shared, asked.shared && elsewhere, "observations in the wrong place");
        if let Some(view) = self.card.as_ref().filter(|_| rows.shared) {
            let row = bytes_from_buffer(&self.env.batch().observations).len() / self.num_envs();
            rows.observations = view.slot(&rows.observations, rows.rewards.len() * row).unwrap();
            rows.shared = false;
        }
        if let Some(view) = self.shared.as_ref().filter(|_| rows.shared) {
            assert_eq!(rows.observations.len(), 4, "the number of a slot, and nothing else");
            let row = bytes_from_buffer(&self.env.batch().observations).len() / self.num_envs();
            rows.observations = view.slot(&rows.observations).unwrap()[..rows.rewards.len() * row].to_vec();
            rows.shared = false;
        }
        Reply::Rows(rows)
    }

    /// The answer to an admitted request.
    ///
    /// # Errors
    /// If it has to be refused; nothing has changed then.
    pub fn expected(&mut self, asked: &Header, request: &Request) -> Result<Reply, Refusal> {
        let env = &mut self.env;
        match request {
            Request::Reset { seeds, mask, options } => {
                env.set_options(options, mask)?;
                env.reset(&first_seeds(env, seeds), mask)?;
            }
            Request::Step { actions, mask } => {
                // Nobody puts any on the card: there are zeros.
                let none = vec![0; size_of::<f32>() * env.num_envs()];
                let is_there = actions.is_empty() && is_on_card(&self.kind);
                let actions = if is_there { &none } else { actions };
                let actions =
                    buffer_from_bytes(env.spec().action_space.dtype(), actions).map_err(bad_action)?;
                let mask = mask.clone().unwrap_or_else(|| vec![true; asked.num_envs as usize]);
                return Ok(Reply::Rows(step(env, self.kind.autoreset_mode, &actions, &mask)?));
            }
            Request::Save => {
                let states: Result<Vec<_>, _> = (0..env.num_envs()).map(|lane| env.save_lane(lane)).collect();
                return Ok(Reply::Save(states?));
            }
            Request::Load { states } => {
                let mut loaded = env.clone();
                for (lane, state) in states.iter().enumerate() {
                    loaded.load_lane(lane, state)?;
                }
                *env = loaded;
            }
            _ => return Ok(Reply::Close),
        }
        Ok(Reply::Rows(rows(&self.env)))
    }
}

/// Whether the client says that it is where the server is.
fn is_here(kind: &MakeRequest) -> bool {
    kind.shared_memory_host.is_some() && kind.shared_memory_host == host_id()
}

/// Whether its observations stay on the card that stands in for one.
fn is_on_card(kind: &MakeRequest) -> bool {
    kind.card.is_some() && is_here(kind)
}

/// An environment that was never reset starts from its index.
fn first_seeds(env: &CountingEnv, seeds: &[Option<u64>]) -> Vec<Option<u64>> {
    let first = |i: usize| env.save_lane(i).is_err().then_some(i as u64);
    seeds.iter().enumerate().map(|(i, seed)| seed.or_else(|| first(i))).collect()
}
