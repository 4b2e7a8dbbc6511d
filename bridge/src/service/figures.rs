//! What the service tells of itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Service;
use crate::ops::{ProcessFigures, SessionRow, Snapshot, session_figures};
use crate::wire::ServerInfo;

impl Service {
    pub(super) fn info(&self) -> ServerInfo {
        ServerInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.sessions.epoch(),
            lease_ms: self.limits.lease.as_millis() as u64,
            envs: self.factory.catalogue(),
        }
    }

    /// Figures of this moment.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.metrics.snapshot();
        snapshot.gauge("sessions", self.sessions.len() as f64);
        snapshot.gauge("sessions_max", self.limits.sessions_max as f64);
        snapshot.gauge("envs", self.sessions.envs() as f64);
        snapshot.gauge("envs_max", self.limits.envs_total_max as f64);
        snapshot.gauge("memory_bytes", self.memory.held() as f64);
        if let Some(most) = self.limits.memory_bytes_max {
            snapshot.gauge("memory_bytes_max", most as f64);
        }
        snapshot.gauge("pools", self.desks.len() as f64);
        for desk in self.desks.values() {
            snapshot.add_pool(desk.kind().clone(), desk.tokens().count(), desk.envs(), desk.lanes);
        }
        snapshot
    }

    pub(super) fn figures(&self, now: Duration) -> BTreeMap<String, f64> {
        let mut figures = self.snapshot().figures();
        figures.extend(ProcessFigures::read().figures());
        let rows = self.desks.values().flat_map(|desk| {
            desk.tokens().filter_map(|token| {
                let session = self.sessions.get(token)?;
                let (kind, envs, idle) = (desk.kind().clone(), session.num_envs, session.idle(now));
                Some(SessionRow { token, kind, envs, idle })
            })
        });
        figures.extend(session_figures(rows.collect()));
        figures
    }
}
