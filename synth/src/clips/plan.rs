use std::ops::Range;

use worldstep_env::dataset::{EPISODES_PER_FILE, ShardInfo};

use super::SynthError;
use super::sensor::mix;
use crate::scenario::UnitKind;

/// Which units one run records: those of the files of its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Clips of a unit.
    pub unit_clips: usize,
    /// First unit of this shard.
    pub first_unit: usize,
    /// Clips of this shard.
    pub clips: usize,
    /// Which shard, if the job is divided.
    pub shard: Option<ShardInfo>,
}

impl Plan {
    /// The part of a job of `clips` clips that shard `(i, n)` records, see [`ShardInfo::range`].
    ///
    /// # Errors
    /// [`SynthError::Options`] if units don't divide a file or the job, or there is no such shard.
    pub fn new(kind: UnitKind, clips: usize, shard: Option<(usize, usize)>) -> Result<Self, SynthError> {
        let wrong = |message: String| Err(SynthError::Options { message });
        let unit_clips = unit_clips(kind);
        if unit_clips < 1 || !EPISODES_PER_FILE.is_multiple_of(unit_clips) {
            return wrong(format!("branch groups of {unit_clips} clips, expected 2, 4, 8, 16, 32 or 64"));
        }
        if !clips.is_multiple_of(unit_clips) {
            let more = clips.next_multiple_of(unit_clips);
            return wrong(format!(
                "{clips} clips in units of {unit_clips}, expected a multiple, for instance {more}"
            ));
        }
        let (index, of) = shard.unwrap_or((0, 1));
        if index >= of {
            return wrong(format!("shard {index}/{of}, expected 0/{of} to {}/{of}", of.max(1) - 1));
        }
        let range = ShardInfo { index, of, clips }.range();
        Ok(Self {
            unit_clips,
            first_unit: range.start / unit_clips,
            clips: range.len(),
            shard: shard.map(|(index, of)| ShardInfo { index, of, clips }),
        })
    }

    /// Units of this shard from the one that begins with its episode `episode` on.
    pub fn units_from(&self, episode: usize) -> Range<usize> {
        let unit = |episode: usize| self.first_unit + episode / self.unit_clips;
        unit(episode)..unit(self.clips)
    }
}

/// Clips of a unit of this kind.
pub fn unit_clips(kind: UnitKind) -> usize {
    match kind {
        UnitKind::Single => 1,
        UnitKind::Branches(clips) => clips,
        UnitKind::Pair => 2,
    }
}

/// How a dataset's settings name a kind of unit.
pub fn unit_name(kind: UnitKind) -> String {
    match kind {
        UnitKind::Single => "single".to_owned(),
        UnitKind::Branches(clips) => format!("branches {clips}"),
        UnitKind::Pair => "pair".to_owned(),
    }
}

/// Seed of attempt `attempt` at unit `unit`: `seed + unit` at first, then numbers that no other attempt shares.
pub fn unit_seed(seed: u64, unit: usize, attempt: u32) -> u64 {
    if attempt == 0 {
        return seed.wrapping_add(unit as u64);
    }
    mix(mix(mix(seed) ^ unit as u64) ^ u64::from(attempt))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn shards_cover_the_job_once_in_whole_files() {
        for (clips, of) in [(200, 3), (64, 2), (1, 5), (640, 7), (2, 1)] {
            let mut next = 0;
            for index in 0..of {
                let plan = Plan::new(UnitKind::Pair, clips * 2, Some((index, of))).unwrap();
                assert_eq!(plan.first_unit * 2, next, "{clips} clips, shard {index}/{of}");
                assert!(next.is_multiple_of(EPISODES_PER_FILE) || plan.clips == 0);
                assert_eq!(plan.units_from(0).len() * 2, plan.clips);
                next += plan.clips;
            }
            assert_eq!(next, clips * 2);
        }
    }

    #[test]
    fn what_cannot_be_divided_is_refused() {
        let refused = |kind, clips, shard| Plan::new(kind, clips, shard).unwrap_err().to_string();
        assert!(refused(UnitKind::Branches(3), 3, None).contains("branch groups of 3"));
        assert!(refused(UnitKind::Branches(4), 6, None).contains("for instance 8"));
        assert!(refused(UnitKind::Single, 6, Some((2, 2))).contains("shard 2/2, expected 0/2 to 1/2"));
    }

    #[test]
    fn first_attempts_count_on_and_later_ones_are_their_own() {
        assert_eq!(unit_seed(40, 2, 0), 42);
        let mut seeds: Vec<_> = (0..50).flat_map(|u| (1..5).map(move |k| unit_seed(40, u, k))).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 200);
    }
}
