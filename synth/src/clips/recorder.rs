use std::collections::BTreeMap;
use std::ops::Range;

use worldstep_env::policy::{ClipPolicy, PolicyMix};
use worldstep_env::registry::TaskEntry;
use worldstep_env::{
    AutoresetMode, Buffer, EnvError, Pose, TruthSource, TruthVectorEnv, VectorEnv, Velocity,
};

use super::{Episode, SynthError};
use crate::eyes::Eyes;
use crate::render::{Channels, Frames, RenderConfig, Renderer};

/// Episodes that may be under way or finished before the one that is due is: what memory is bounded by.
const EPISODES_AHEAD_MAX: usize = 64;

/// Records episodes of one task, several at once, and hands them out in the order of their index.
///
/// Each episode follows from its own seed alone, so how many are recorded at once changes nothing.
pub struct Recorder {
    env: TruthVectorEnv,
    eyes: Eyes,
    lanes: Vec<Option<Take>>,
    waiting: Range<usize>,
    /// Finished episodes whose predecessors aren't.
    finished: BTreeMap<usize, Episode>,
    /// Index of the next episode to hand out.
    due: usize,
    seed: u64,
    mix: PolicyMix,
    poses: Vec<Pose>,
    velocities: Vec<Velocity>,
}

/// An episode under way in a lane.
struct Take {
    policy: ClipPolicy,
    episode: Episode,
}

impl Recorder {
    /// A recorder of the episodes `range` of `entry`, `lanes` at once, with frames of `frame_size` pixels.
    pub fn new(
        entry: &'static TaskEntry,
        range: Range<usize>,
        lanes: usize,
        frame_size: u32,
        (seed, mix): (u64, PolicyMix),
    ) -> Result<Self, SynthError> {
        let lanes = lanes.min(range.len()).max(1);
        let renderer = Renderer::new(RenderConfig { tiles: lanes, width: frame_size, height: frame_size })?;
        Ok(Self {
            env: TruthVectorEnv::new(entry, lanes, AutoresetMode::Disabled)?,
            eyes: Eyes::new(renderer),
            lanes: (0..lanes).map(|_| None).collect(),
            due: range.start,
            waiting: range,
            finished: BTreeMap::new(),
            seed,
            mix,
            poses: Vec::new(),
            velocities: Vec::new(),
        })
    }

    /// Advances every lane by one step and gives `deliver` the episodes that are next in order.
    ///
    /// Returns whether to go on: something is left to record, and `deliver` still wants it.
    pub fn step(&mut self, deliver: &mut dyn FnMut(Episode) -> bool) -> Result<bool, SynthError> {
        self.start_episodes()?;
        let active: Vec<usize> = (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_some()).collect();
        if active.is_empty() {
            return Ok(false);
        }
        self.record_observations(&active)?;
        self.act(&active)?;
        self.collect(&active);
        while let Some(episode) = self.finished.remove(&self.due) {
            self.due += 1;
            if !deliver(episode) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn start_episodes(&mut self) -> Result<(), EnvError> {
        let mut seeds = vec![None; self.lanes.len()];
        let mut indices = vec![None; self.lanes.len()];
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].is_none() && self.waiting.start < self.due + EPISODES_AHEAD_MAX {
                indices[lane] = self.waiting.next();
                seeds[lane] = indices[lane].map(|index| self.seed.wrapping_add(index as u64));
            }
        }
        let mask: Vec<bool> = seeds.iter().map(Option::is_some).collect();
        if !mask.contains(&true) {
            return Ok(());
        }
        self.env.reset(&seeds, &mask)?;
        for (lane, (index, seed)) in indices.into_iter().zip(seeds).enumerate() {
            let (Some(index), Some(seed)) = (index, seed) else { continue };
            let policy = ClipPolicy::new(&self.mix, seed);
            let episode = Episode::new(index, seed, policy.kind(), self.env.scene(lane).clone());
            self.lanes[lane] = Some(Take { policy, episode });
        }
        Ok(())
    }

    fn record_observations(&mut self, active: &[usize]) -> Result<(), SynthError> {
        let frames = self.eyes.look(&self.env, active, Channels::Labels)?;
        let pixels = frames.instance.len() / active.len();
        for (image, lane) in active.iter().enumerate() {
            let Some(take) = &mut self.lanes[*lane] else { continue };
            push_images(&mut take.episode, frames, image, pixels);
            self.env.state(*lane, &mut take.episode.state);
            self.poses.clear();
            self.velocities.clear();
            self.env.poses(*lane, &mut self.poses);
            self.env.velocities(*lane, &mut self.velocities);
            take.episode.push_world(&self.poses, &self.velocities);
        }
        Ok(())
    }

    fn act(&mut self, active: &[usize]) -> Result<(), EnvError> {
        let space = self.env.spec().action_space.clone();
        let width = space.flat_len();
        let mut actions = space.neutral(self.lanes.len());
        for lane in active {
            let Some(take) = &mut self.lanes[*lane] else { continue };
            let mut action = Buffer::empty(space.dtype());
            take.policy.act(&self.env, *lane, &mut action);
            actions.copy_rows(*lane, &action, 0, 1, width);
            take.episode.push_action(&action, 0, width);
        }
        let mask: Vec<bool> = self.lanes.iter().map(Option::is_some).collect();
        self.env.step(&actions, &mask)
    }

    fn collect(&mut self, active: &[usize]) {
        let batch = self.env.batch();
        let success = batch.info("success");
        for lane in active {
            let Some(take) = &mut self.lanes[*lane] else { continue };
            let episode = &mut take.episode;
            episode.reward.push(batch.rewards[*lane]);
            episode.terminated.push(batch.terminated[*lane]);
            episode.truncated.push(batch.truncated[*lane]);
            episode
                .success
                .push(success.is_some_and(|column| column.mask[*lane] && column.values[*lane] != 0.0));
            episode.len += 1;
            if batch.done(*lane)
                && let Some(take) = self.lanes[*lane].take()
            {
                self.finished.insert(take.episode.index, take.episode);
            }
        }
    }
}

fn push_images(episode: &mut Episode, frames: &Frames, image: usize, pixels: usize) {
    let of = |channels: usize| image * pixels * channels..(image + 1) * pixels * channels;
    episode.rgb.extend(&frames.rgb[of(3)]);
    episode.depth.extend(&frames.depth[of(1)]);
    episode.instance.extend(&frames.instance[of(1)]);
}
