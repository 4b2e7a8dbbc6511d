use rayon::prelude::*;

use super::{FrameStep, Sampling, StepEngine, StepOutput};
use crate::cache::LaneCache;
use crate::model::Model;
use crate::on_card::Card;
use crate::packing::FRAME_CODE_BYTES;

/// Lanes divided over several engines, for instance one on each GPU of a machine. A lane says what it would say in one
/// engine of them all, but for rounding where an engine's products are made by another kernel for another number of rows.
pub struct ShardedEngine {
    shards: Vec<Shard>,
    lanes: usize,
    action_values: usize,
    frame_bytes: usize,
}

struct Shard {
    engine: Box<dyn StepEngine>,
    /// The first of its lanes.
    first: usize,
    said: StepOutput,
}

impl Shard {
    fn end(&self) -> usize {
        self.first + self.engine.lanes()
    }
}

/// How many of `lanes` lanes each of `shards` engines has, the first ones one more if they cannot be equal.
pub fn shares(lanes: usize, shards: usize) -> impl Iterator<Item = usize> {
    (0..shards).map(move |i| lanes / shards + usize::from(i < lanes % shards))
}

impl ShardedEngine {
    /// The lanes of `engines` of `model`, one engine's after the other's.
    pub fn new(model: &Model, engines: Vec<Box<dyn StepEngine>>) -> Self {
        let mut lanes = 0;
        let shard = |engine: Box<dyn StepEngine>| {
            let first = lanes;
            lanes += engine.lanes();
            let said = StepOutput::new(model, engine.lanes());
            Shard { engine, first, said }
        };
        let shards = engines.into_iter().map(shard).collect();
        let config = &model.card.config;
        Self { shards, lanes, action_values: config.action_values, frame_bytes: config.frame.bytes() }
    }

    /// The shard that has `lane`, and which of its lanes that is.
    fn of(&self, lane: usize) -> (usize, usize) {
        let shard = self.shards.iter().position(|shard| lane < shard.end()).unwrap_or(0);
        (shard, lane - self.shards[shard].first)
    }

    /// Does `work` on every shard that has lanes of the mask, all at once: each gets its part of the frame, and of `out`, of
    /// which every lane has as many numbers.
    fn each<T: Send>(
        &mut self,
        frame: &FrameStep<'_>,
        out: &mut [T],
        work: impl Fn(&mut Shard, &FrameStep<'_>, &mut [T]) + Sync,
    ) {
        let (values, per_lane) = (self.action_values, out.len() / self.lanes.max(1));
        let mut rest = out;
        let mut parts = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
            let (part, others) = rest.split_at_mut(per_lane * shard.engine.lanes());
            parts.push(part);
            rest = others;
        }
        self.shards.par_iter_mut().zip(parts).for_each(|(shard, out)| {
            let lanes = shard.first..shard.end();
            let part = FrameStep {
                codes: &frame.codes[lanes.start * FRAME_CODE_BYTES..lanes.end * FRAME_CODE_BYTES],
                actions: &frame.actions[lanes.start * values..lanes.end * values],
                levels: &frame.levels[lanes.clone()],
                mask: &frame.mask[lanes.clone()],
                sampling: Sampling { draws: &frame.sampling.draws[lanes], ..frame.sampling },
            };
            if part.mask.contains(&true) {
                work(shard, &part, out);
            }
        });
    }
}

impl StepEngine for ShardedEngine {
    fn lanes(&self) -> usize {
        self.lanes
    }

    fn name(&self) -> &'static str {
        self.shards.first().map_or("none", |shard| shard.engine.name())
    }

    fn card(&self) -> Result<Box<dyn Card>, String> {
        Err(format!(
            "the dream is divided over {} engines: one GPU would keep it (--devices 1)",
            self.shards.len()
        ))
    }

    fn step(&mut self, frame: &FrameStep<'_>, output: &mut StepOutput) {
        self.each::<u8>(frame, &mut [], |shard, frame, _| shard.engine.step(frame, &mut shard.said));
        let objects = output.objects.len() / self.lanes.max(1);
        for shard in &self.shards {
            for lane in (shard.first..shard.end()).filter(|lane| frame.mask[*lane]) {
                let (here, said) = (lane - shard.first, &shard.said);
                let copy = |to: &mut [u8], from: &[u8]| {
                    to[lane * FRAME_CODE_BYTES..(lane + 1) * FRAME_CODE_BYTES]
                        .copy_from_slice(&from[here * FRAME_CODE_BYTES..(here + 1) * FRAME_CODE_BYTES]);
                };
                copy(&mut output.codes, &said.codes);
                output.objects[lane * objects..(lane + 1) * objects]
                    .copy_from_slice(&said.objects[here * objects..(here + 1) * objects]);
                output.rewards[lane] = said.rewards[here];
                output.terminated[lane] = said.terminated[here];
                output.uncertainty[lane] = said.uncertainty[here];
            }
        }
    }

    fn read_objects(&mut self, frame: &FrameStep<'_>, objects: &mut [f32]) {
        self.each(frame, objects, |shard, frame, objects| shard.engine.read_objects(frame, objects));
    }

    fn read_latents(&mut self, frame: &FrameStep<'_>, latents: &mut [f32]) {
        self.each(frame, latents, |shard, frame, latents| shard.engine.read_latents(frame, latents));
    }

    fn encode(&mut self, frames: &[u8], codes: &mut [u8]) {
        let share = (frames.len() / self.frame_bytes).div_ceil(self.shards.len().max(1)).max(1);
        let parts =
            frames.par_chunks(share * self.frame_bytes).zip(codes.par_chunks_mut(share * FRAME_CODE_BYTES));
        let shards = self.shards.par_iter_mut();
        shards.zip(parts).for_each(|(shard, (frames, codes))| shard.engine.encode(frames, codes));
    }

    fn decode(&mut self, codes: &[u8], frames: &mut [u8]) {
        let share = (codes.len() / FRAME_CODE_BYTES).div_ceil(self.shards.len().max(1)).max(1);
        let parts =
            codes.par_chunks(share * FRAME_CODE_BYTES).zip(frames.par_chunks_mut(share * self.frame_bytes));
        let shards = self.shards.par_iter_mut();
        shards.zip(parts).for_each(|(shard, (codes, frames))| shard.engine.decode(codes, frames));
    }

    fn warm_up(&mut self, lanes: &[usize], codes: &[u8], action: &[f32]) {
        let film = codes.len() / lanes.len().max(1);
        self.shards.par_iter_mut().for_each(|shard| {
            let own = lanes.iter().enumerate().filter(|(_, lane)| (shard.first..shard.end()).contains(lane));
            let (mut here, mut films) = (Vec::new(), Vec::new());
            for (i, lane) in own {
                here.push(lane - shard.first);
                films.extend_from_slice(&codes[i * film..(i + 1) * film]);
            }
            if !here.is_empty() {
                shard.engine.warm_up(&here, &films, action);
            }
        });
    }

    fn lane(&self, lane: usize) -> LaneCache {
        let (shard, here) = self.of(lane);
        self.shards[shard].engine.lane(here)
    }

    fn set_lane(&mut self, lane: usize, saved: &LaneCache) -> bool {
        let (shard, here) = self.of(lane);
        self.shards[shard].engine.set_lane(here, saved)
    }

    fn lane_bytes(&self) -> usize {
        self.shards.first().map_or(0, |shard| shard.engine.lane_bytes())
    }
}
