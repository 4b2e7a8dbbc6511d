//! Where a session has its observations, if not in messages.

use worldstep_env::Space;
use worldstep_model::on_card::{SlotHandles, SlotSizes, Slots};

use crate::Limits;
use crate::engines::Placed;
use crate::memory::{Claim, Memory};
use crate::shared_memory::SharedMemory;
use crate::wire::SharedSlots;
use crate::worker::Join;

/// Observations of a session below which memory is shared for nothing: a socket carries them as fast.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// Where a session can take its observations from.
pub enum Place {
    /// Only from the socket.
    Socket,
    /// From memory of this machine.
    Shared {
        /// The memory.
        memory: SharedMemory,
        /// What it takes of the server's.
        _claim: Claim,
    },
    /// From slots on its card.
    Card(Box<dyn Slots>),
}

impl Place {
    /// The best that `join` can have of `env`, and why that is not on the card that it has asked for.
    pub fn open(env: &Placed, join: &Join, limits: &Limits, memory: &Memory) -> (Self, Option<String>) {
        let refused = match join.card.clone() {
            None => None,
            Some(key) => match key.and_then(|key| slots(env, join.count, key, limits)) {
                Ok(slots) => return (Self::Card(slots), None),
                Err(why) => Some(why),
            },
        };
        // Without it, observations go through the socket.
        let shared = join.shared_key.and_then(|key| shared(env, join.count, key, (limits, memory)));
        (shared.unwrap_or(Self::Socket), refused)
    }

    /// How the client finds memory of this machine.
    pub fn shared_memory(&self) -> Option<SharedSlots> {
        if let Self::Shared { memory, .. } = self { Some(memory.describe()) } else { None }
    }

    /// How the client finds slots on its card.
    pub fn card(&self) -> Option<SlotHandles> {
        if let Self::Card(slots) = self { Some(slots.handles()) } else { None }
    }
}

/// Memory of this machine for `count` environments, if it is wanted and there.
fn shared(env: &Placed, count: usize, key: u128, (limits, memory): (&Limits, &Memory)) -> Option<Place> {
    let len = row_bytes(&env.spec().observation_space) * count;
    let slots = limits.in_flight_max + 1;
    if !(SHARED_BYTES_MIN..=limits.shared_bytes_max / slots).contains(&len) {
        return None;
    }
    let claim = memory.claim((slots * len) as u64)?;
    Some(Place::Shared { memory: SharedMemory::new(slots, len, key).ok()?, _claim: claim })
}

/// Slots for `count` environments on the engine's card, or why there are none.
fn slots(env: &Placed, count: usize, key: u128, limits: &Limits) -> Result<Box<dyn Slots>, String> {
    let env = match env {
        Placed::Host { why, .. } => return Err(why.clone()),
        Placed::Card(env) => env,
    };
    let sizes = SlotSizes {
        slots: limits.in_flight_max + 1,
        slot_len: row_bytes(&env.spec().observation_space) * count,
        action_slots: limits.in_flight_max,
        action_len: row_bytes(&env.spec().action_space) * count,
    };
    let (wanted, most) = (sizes.slots * sizes.slot_len, limits.shared_bytes_max);
    if wanted > most {
        return Err(format!(
            "its slots would take {wanted} bytes, shared_bytes_max allows {most}: ask for fewer environments, or \
             allow more (worldstep serve --max-shared-mb)"
        ));
    }
    env.slots(sizes, key).map_err(|error| error.to_string())
}

/// Bytes of one element of `space`.
pub fn row_bytes(space: &Space) -> usize {
    space.flat_len() * space.dtype().size()
}
