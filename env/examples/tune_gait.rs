//! Looks for the gait of a running task's expert by the cross-entropy method, and prints it as it stands in the task's
//! file: `cargo run --release -p worldstep-env --example tune_gait -- HalfCheetah-v0 60`. A third argument, numbers with
//! commas, is the pose about which the joints swing at first.
#![allow(clippy::print_stdout)]

use std::error::Error;

use rand::{RngExt as _, SeedableRng as _};
use rayon::prelude::*;
use worldstep_env::registry::{TaskEntry, find};
use worldstep_env::tasks::locomotion::{Gait, Swing};
use worldstep_env::{Buffer, Rng, TruthEnv};

const POPULATION: usize = 64;
const ELITE: usize = 10;
const SEEDS: u64 = 2;
/// Cost of the squared change of an action from one step to the next.
const JUMP_COST: f32 = 0.4;
const CLOCK: usize = 3;
/// Where the search starts and how wide it looks: frequency, stiffness, damping.
const CLOCK_START: [[f32; 2]; CLOCK] = [[1.8, 0.5], [1.5, 0.6], [0.1, 0.05]];
/// The same for a joint: offset, amplitude, phase, answers to lean and its rate.
const SWING_START: [[f32; 2]; 5] = [[0.0, 0.3], [0.3, 0.3], [0.0, 0.4], [0.0, 0.3], [0.0, 0.1]];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let entry = find(&arguments.next().unwrap_or_else(|| "HalfCheetah-v0".to_owned()))?;
    let rounds: usize = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let joints = (entry.action_space)().flat_len();
    let mut pose = match arguments.next() {
        Some(text) => text.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>()?,
        None => Vec::new(),
    };
    pose.resize(joints, 0.0);
    let swings = pose.into_iter().flat_map(|offset| {
        let [_, others @ ..] = SWING_START;
        std::iter::once([offset, SWING_START[0][1]]).chain(others)
    });
    let (mut mean, mut spread): (Vec<f32>, Vec<f32>) =
        CLOCK_START.into_iter().chain(swings).map(|[mean, spread]| (mean, spread)).unzip();
    let mut best = (f32::NEG_INFINITY, mean.clone());
    for round in 0..rounds {
        let mut scored: Vec<_> = (0..POPULATION)
            .into_par_iter()
            .map(|i| {
                let mut rng = Rng::seed_from_u64((round * POPULATION + i) as u64);
                let draw = |(mean, spread): (&f32, &f32)| mean + spread * normal(&mut rng);
                let sample: Vec<f32> = mean.iter().zip(&spread).map(draw).collect();
                (score(entry, &sample), sample)
            })
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        if scored[0].0 > best.0 {
            best = scored[0].clone();
        }
        let elite = &scored[..ELITE];
        for i in 0..mean.len() {
            let values = || elite.iter().map(|(_, sample)| sample[i]);
            mean[i] = values().sum::<f32>() / ELITE as f32;
            let variance = values().map(|value| (value - mean[i]).powi(2)).sum::<f32>() / ELITE as f32;
            // A little noise keeps the search from settling too soon.
            spread[i] = variance.sqrt() + 0.03 * (1.0 - round as f32 / rounds as f32);
        }
        eprintln!("{round}: best {:.1} of this round, {:.1} of all", scored[0].0, best.0);
    }
    let settled = (score(entry, &mean), mean);
    let (return_, gait) = if settled.0 >= best.0 { settled } else { best };
    println!("// mean score of {SEEDS} episodes: {return_:.1}");
    println!("frequency: {:.3}, stiffness: {:.3}, damping: {:.4}, swings: &[", gait[0], gait[1], gait[2]);
    for swing in gait[CLOCK..].chunks(5) {
        let numbers: Vec<_> = swing.iter().map(|value| format!("{value:.3}")).collect();
        println!("    [{}],", numbers.join(", "));
    }
    println!("]");
    Ok(())
}

/// A normal number, by Box and Muller.
fn normal(rng: &mut Rng) -> f32 {
    let [a, b]: [f32; 2] = [rng.random_range(1e-7..1.0), rng.random_range(0.0..1.0)];
    (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
}

/// Mean return of whole episodes with this gait, less a cost for actions that jump about.
fn score(entry: &'static TaskEntry, sample: &[f32]) -> f32 {
    let swings: Vec<Swing> =
        sample[CLOCK..].chunks(5).map(|swing| std::array::from_fn(|i| swing[i])).collect();
    let joints = swings.len();
    let (frequency, stiffness, damping) = (sample[0].abs(), sample[1].abs(), sample[2].abs());
    (0..SEEDS)
        .map(|seed| {
            episode(entry, seed, Gait { frequency, stiffness, damping, swings: &[] }, &swings, joints)
        })
        .sum::<f32>()
        / SEEDS as f32
}

fn episode(entry: &'static TaskEntry, seed: u64, gait: Gait, swings: &[Swing], joints: usize) -> f32 {
    let mut env = TruthEnv::new(entry, 0);
    env.reset(Some(seed));
    let (mut total, mut time, mut state, mut last) = (0.0, 0.0, Vec::new(), vec![0.0; joints]);
    loop {
        state.clear();
        env.task().state(&mut state);
        let planar = state.len() == 2 * joints + 5;
        let first = if planar { 2 } else { 5 };
        let speeds = state.len() - joints;
        let lean =
            if planar { [state[1], state[first + joints + 2]] } else { lean_of(&state, first + joints) };
        let pairs: Vec<_> = (0..joints).map(|joint| [state[first + joint], state[speeds + joint]]).collect();
        let mut action = Vec::new();
        gait.act_with(swings, time, lean, &pairs, &mut action);
        total -= JUMP_COST * action.iter().zip(&last).map(|(now, last)| (now - last).powi(2)).sum::<f32>();
        last.clone_from(&action);
        let Ok(step) = env.step(&Buffer::F32(action)) else { return f32::NEG_INFINITY };
        total += step.reward;
        time += 1.0 / entry.fps as f32;
        if step.outcome.terminated || step.truncated {
            return total;
        }
    }
}

/// Forward lean and its rate from a free torso's quaternion and angular velocity.
fn lean_of(state: &[f32], velocity: usize) -> [f32; 2] {
    let [x, y, z, w] = [state[1], state[2], state[3], state[4]];
    let up = [2.0 * (x * z + w * y), 1.0 - 2.0 * (x * x + y * y)];
    [up[0].atan2(up[1]), state[velocity + 4]]
}
