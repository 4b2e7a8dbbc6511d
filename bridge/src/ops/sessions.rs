use std::cmp::Reverse;
use std::time::Duration;

use super::PoolKind;
use super::events::session_label;
use crate::session::Token;

/// Sessions that are told one by one: those that have been silent longest, for whom others may wait.
const SESSIONS_TOLD_MAX: usize = 32;

/// A session as its operator sees it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// What names it; only a label of it is told.
    pub token: Token,
    /// Where its environments are.
    pub kind: PoolKind,
    /// How many it has.
    pub envs: usize,
    /// How long it has been silent.
    pub idle: Duration,
}

/// Figures of the sessions that have been silent longest, `session/LABEL/TASK/ENGINE/OBS/envs` and `…/idle_s`.
pub fn session_figures(mut rows: Vec<SessionRow>) -> impl Iterator<Item = (String, f64)> {
    rows.sort_by_key(|row| Reverse(row.idle));
    rows.truncate(SESSIONS_TOLD_MAX);
    rows.into_iter().flat_map(|row| {
        let [(_, engine), (_, task), (_, obs)] = row.kind.labels();
        let prefix = format!("session/{}/{task}/{engine}/{obs}", session_label(row.token));
        [(format!("{prefix}/envs"), row.envs as f64), (format!("{prefix}/idle_s"), row.idle.as_secs_f64())]
    })
}
