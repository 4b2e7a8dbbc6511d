//! What a session is answered that has an engine for itself. Shared with the soak test.

use worldstep_bridge::wire::{Autoreset, LaneRows, Refusal, bytes_from_buffer};
use worldstep_env::{Buffer, VectorEnv};

/// Rows of all environments.
pub fn rows(env: &dyn VectorEnv) -> LaneRows {
    let batch = env.batch();
    LaneRows {
        observations: bytes_from_buffer(&batch.observations),
        rewards: batch.rewards.clone(),
        terminated: batch.terminated.clone(),
        truncated: batch.truncated.clone(),
        info_values: batch.info.iter().flat_map(|column| column.values.clone()).collect(),
        info_masks: batch.info.iter().flat_map(|column| column.mask.clone()).collect(),
        ..LaneRows::default()
    }
}

/// Steps the environments of `mask`, and gives their rows; with `same_step`, episodes that have ended start anew.
///
/// # Errors
/// If the engine refuses; nothing has changed then.
pub fn step(
    env: &mut dyn VectorEnv,
    mode: Autoreset,
    actions: &Buffer,
    mask: &[bool],
) -> Result<LaneRows, Refusal> {
    env.step(actions, mask)?;
    let last = rows(env);
    let has_ended = |i: usize| mask[i] && (last.terminated[i] || last.truncated[i]);
    let ended: Vec<_> = (0..mask.len()).map(has_ended).collect();
    if mode != Autoreset::SameStep || !ended.contains(&true) {
        return Ok(last.select(mask));
    }
    env.reset(&vec![None; mask.len()], &ended)?;
    let (first, stepped) = (rows(env).select(mask), last.select(mask));
    let of_stepped = ended.iter().zip(mask).filter(|(_, stepped)| **stepped).map(|(ended, _)| *ended);
    let finals = Some(last.select(&ended).into_finals(of_stepped.collect()));
    let LaneRows { rewards, terminated, truncated, .. } = stepped;
    Ok(LaneRows { rewards, terminated, truncated, finals, ..first })
}
