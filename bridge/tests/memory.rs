//! Engines take no more than they are counted with. A process of its own: others' memory would be counted in.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::PathBuf;

use worldstep_bridge::engines::Engines;
use worldstep_bridge::wire::Autoreset;
use worldstep_bridge::{Engine, EngineFactory as _, MakeRequest, Observation};
use worldstep_env::VectorEnv;
use worldstep_model::device::ComputeDevice;

fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    4096 * pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
}

fn stepped(mut env: Box<dyn VectorEnv>) -> Box<dyn VectorEnv> {
    let n = env.num_envs();
    env.reset(&vec![Some(0); n], &vec![true; n]).unwrap();
    let actions = env.spec().action_space.neutral(n);
    for _ in 0..3 {
        env.step(&actions, &vec![true; n]).unwrap();
    }
    env
}

#[test]
fn engines_take_no_more_than_they_are_counted_with() {
    let models = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../models/nano");
    let engines = Engines::new(Some(models), ComputeDevice::Cpu).unwrap();
    const CATCH: &str = "CatchBehindScreen-v0";
    let cases = [
        (CATCH, Engine::Truth, Observation::State, 2048),
        (CATCH, Engine::Truth, Observation::Rgb, 256),
        (CATCH, Engine::Truth, Observation::Depth, 256),
        (CATCH, Engine::Dream, Observation::Rgb, 128),
        (CATCH, Engine::Dream, Observation::State, 128),
        ("QuadrupedRough-v0", Engine::Truth, Observation::State, 256),
        ("Pour-v0", Engine::Truth, Observation::State, 512),
        ("ArmStack-v0", Engine::Truth, Observation::State, 512),
    ];
    for (task, engine, obs, num_envs) in cases {
        let request = MakeRequest {
            id: task.to_owned(),
            engine,
            obs,
            num_envs,
            autoreset_mode: Autoreset::NextStep,
            temperature: None,
            randomisation: None,
            shared_memory_host: None,
            card: None,
        };
        let before = resident_bytes();
        let env = stepped(engines.make(&request, num_envs).unwrap());
        let taken = resident_bytes().saturating_sub(before);
        let counted = engines.bytes(&request).total(num_envs);
        println!("{task} {engine:?} {obs:?}: {taken} bytes taken, {counted} counted");
        assert!(taken <= counted, "{task} {engine:?} {obs:?}: {taken} bytes taken, {counted} counted");
        // The first one has the memory of no other to use again.
        let fresh = task == CATCH && obs == Observation::State && engine == Engine::Truth;
        assert!(!fresh || counted < 2 * taken, "{taken} bytes taken, {counted} counted");
        drop(env);
    }
}
