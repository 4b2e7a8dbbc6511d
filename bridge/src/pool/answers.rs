//! What sessions are answered with: rows of the engine, or rows kept from an engine before it.

use std::ops::Range;

use worldstep_env::VectorEnv;
use worldstep_model::on_card::Part;

use super::tenants::tenant;
use super::{Pool, Taken, card_failed};
use crate::engines::Placed;
use crate::place::Place;
use crate::session::Token;
use crate::wire::{LaneRows, Refusal, write_rows};
use crate::worker::{Answer, Asked};

impl Pool {
    /// The rows of a step.
    pub(super) fn stepped(&mut self, taken: Taken) -> Answer {
        let mut rows = self.answer(&taken.asked, &taken.mask)?;
        if let Some(ended) = taken.ended {
            rows.rewards = ended.rewards;
            rows.terminated = ended.terminated;
            rows.truncated = ended.truncated;
            rows.finals = ended.finals;
        }
        Ok(rows)
    }

    /// What the last calls left in all of a session's environments.
    ///
    /// # Errors
    /// [`SessionLost`](crate::wire::ErrorCode::SessionLost) if it has no lanes here.
    pub fn all_rows(&mut self, asked: &Asked) -> Answer {
        let count = tenant(&self.tenants, asked.session)?.lanes.len();
        self.answer(asked, &vec![true; count])
    }

    /// The rows of `mask`, their observations in shared memory or on the card if they were asked for there.
    fn answer(&mut self, asked: &Asked, mask: &[bool]) -> Answer {
        let tenant = tenant(&self.tenants, asked.session)?;
        let (lanes, is_plain) = (tenant.lanes.clone(), tenant.is_plain());
        let is_card = matches!(tenant.place, Place::Card(_));
        let is_socket = !asked.shared || matches!(tenant.place, Place::Socket);
        // Rows that are not the engine's are put together first; so are those that are wanted on the card and are not there.
        let is_shown = is_plain && !is_socket && (!is_card || self.env.is_on_card());
        if !(is_shown && is_card) {
            self.fetch(lanes.clone())?;
        }
        if is_socket {
            return self.rows(asked.session, mask);
        }
        let mut rows = match is_shown {
            false => self.rows(asked.session, mask)?,
            true => self.lane_rows(lanes.clone(), mask, false),
        };
        let (env, tenants) = (&self.env, &mut self.tenants);
        let number = match tenants.get_mut(&asked.session).map(|tenant| &mut tenant.place) {
            Some(Place::Shared { memory, .. }) => {
                let (number, slot) = memory.next_slot();
                match is_shown {
                    true => write_lanes(&**env, lanes, mask, slot),
                    false => slot[..rows.observations.len()].copy_from_slice(&rows.observations),
                }
                number
            }
            Some(Place::Card(slots)) => {
                let shown: Vec<usize> = masked(&lanes.collect::<Vec<_>>(), mask).collect();
                let number = match env {
                    Placed::Card(env) if is_shown => env.show(&shown, slots.as_mut()),
                    _ => slots.publish(&[Part::Host(&rows.observations)]),
                };
                number.map_err(card_failed)?
            }
            Some(Place::Socket) | None => return Ok(rows),
        };
        rows.observations = number.to_le_bytes().to_vec();
        rows.shared = true;
        Ok(rows)
    }

    /// Brings the observations of `lanes` to where [`lane_rows`](Self::lane_rows) reads them.
    pub(super) fn fetch(&mut self, lanes: Range<usize>) -> Result<(), Refusal> {
        if !self.env.is_on_card() {
            return Ok(());
        }
        let mask: Vec<bool> = (0..self.env.num_envs()).map(|lane| lanes.contains(&lane)).collect();
        Ok(self.env.fetch(&mask)?)
    }

    pub(super) fn rows(&self, token: Token, mask: &[bool]) -> Answer {
        let tenant = tenant(&self.tenants, token)?;
        if tenant.is_plain() {
            return Ok(self.lane_rows(tenant.lanes.clone(), mask, true));
        }
        let mut rows = self.lane_rows(tenant.lanes.clone(), &vec![true; mask.len()], true);
        // What a session that has gone left there is nobody's business.
        (0..mask.len()).filter(|i| !tenant.started[*i]).for_each(|i| rows.blank_env(i));
        if let Some((kept, untouched)) = &tenant.kept {
            (0..untouched.len()).filter(|i| untouched[*i]).for_each(|i| rows.copy_env(kept, i));
        }
        Ok(rows.select(mask))
    }

    /// What the engine shows of the lanes of `mask`, counted from the first of `lanes`.
    pub(super) fn lane_rows(&self, lanes: Range<usize>, mask: &[bool], seen: bool) -> LaneRows {
        let batch = self.env.batch();
        let count = mask.iter().filter(|masked| **masked).count();
        let mut observations = Vec::new();
        if seen {
            let space = &self.env.spec().observation_space;
            observations.resize(count * space.flat_len() * space.dtype().size(), 0);
            write_lanes(&*self.env, lanes.clone(), mask, &mut observations);
        }
        let infos = batch.info.iter();
        LaneRows {
            observations,
            shared: false,
            rewards: masked(&batch.rewards[lanes.clone()], mask).collect(),
            terminated: masked(&batch.terminated[lanes.clone()], mask).collect(),
            truncated: masked(&batch.truncated[lanes.clone()], mask).collect(),
            info_values: infos
                .clone()
                .flat_map(|column| masked(&column.values[lanes.clone()], mask))
                .collect(),
            info_masks: infos.flat_map(|column| masked(&column.mask[lanes.clone()], mask)).collect(),
            finals: None,
        }
    }
}

/// Writes the observations of the lanes of `mask` to `out`, one after the other.
fn write_lanes(env: &dyn VectorEnv, lanes: Range<usize>, mask: &[bool], out: &mut [u8]) {
    let (observations, space) = (&env.batch().observations, &env.spec().observation_space);
    let width = space.flat_len();
    if !mask.contains(&false) {
        return write_rows(observations, lanes.start, lanes.len(), width, out);
    }
    let len = width * space.dtype().size();
    for (i, lane) in masked(&lanes.collect::<Vec<_>>(), mask).enumerate() {
        write_rows(observations, lane, 1, width, &mut out[i * len..]);
    }
}

/// The values where `mask` is true.
fn masked<'a, T: Copy>(values: &'a [T], mask: &'a [bool]) -> impl Iterator<Item = T> + 'a {
    values.iter().zip(mask).filter(|(_, masked)| **masked).map(|(value, _)| *value)
}
