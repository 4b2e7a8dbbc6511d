use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use worldstep_bridge::bench::{
    self, BridgeBench, DreamBench, KernelsBench, RenderBench, Report, StepOptions, TrainBench,
};
use worldstep_model::config::Preset;
use worldstep_model::device::ComputeDevice;
use worldstep_model::precision::Precision;

use super::{BenchArgs, BenchPart, print_json, print_text};

/// Pythons that have the peers, if no other is named.
const MUJOCO: &str = ".venv-mujoco/bin/python";
const ENVPOOL: &str = ".venv-envpool/bin/python";
const PYTORCH: &str = ".venv-reference/bin/python";

impl BenchArgs {
    /// The Python to measure a peer with, if that is asked for.
    fn peer_python(&self, default: &str) -> Option<PathBuf> {
        self.peers.as_ref().map(|named| named.clone().unwrap_or_else(|| default.into()))
    }

    /// The preset that was named, or nano.
    fn preset(&self) -> Result<Preset> {
        let name = self.preset.as_deref().unwrap_or("nano");
        Preset::from_name(name).with_context(|| format!("unknown preset {name:?}; expected nano, s, m or l"))
    }

    fn device(&self) -> Result<ComputeDevice> {
        Ok(ComputeDevice::from_name(&self.device)?)
    }
}

/// Measures one part. What takes minutes shows its rows as it goes, on stderr if JSON is to come.
pub fn run(args: &BenchArgs) -> Result<()> {
    let time = args.seconds;
    match args.part {
        BenchPart::Env => env(args, time),
        BenchPart::Render => render(args, time),
        BenchPart::Dream => dream(args, time),
        BenchPart::Train => train(args, time),
        BenchPart::Bridge => bridge(args, time),
        BenchPart::Numerics => numerics(args),
        BenchPart::Kernels => kernels(args),
    }
}

/// Every task alone, or with peers the families that they have too.
fn env(args: &BenchArgs, time: Duration) -> Result<()> {
    shown(args, |show| match args.peer_python(ENVPOOL) {
        Some(python) => Ok(bench::env_peers(&python, time, show)?),
        None => Ok(bench::env(time, show)?),
    })
}

fn dream(args: &BenchArgs, time: Duration) -> Result<()> {
    let mut asked = DreamBench {
        models: args.model.clone(),
        device: args.device()?,
        products: args.products,
        ..DreamBench::new(time)
    };
    if !args.envs.is_empty() {
        asked.envs.clone_from(&args.envs);
    }
    let mut rows = bench::dream(&asked)?;
    let mut refused = None;
    if let Some(python) = args.peer_python(PYTORCH) {
        match bench::dream_peers(&python, &asked, &mut |row| eprint!("{}", row.line())) {
            Ok(beside) => rows.extend(beside),
            Err(error) => refused = Some(error),
        }
    }
    let report = Report::new(rows);
    if args.json.json {
        print_json(&report)?
    } else {
        print_text(&report.table())?
    }
    // What was measured alone is told whether or not there is something to compare it with.
    refused.map_or(Ok(()), |error| Err(error.into()))
}

/// The preset that was named, or else two that are quick to compare.
fn numerics(args: &BenchArgs) -> Result<()> {
    let presets = match &args.preset {
        Some(_) => vec![args.preset()?],
        None => vec![Preset::Nano, Preset::S],
    };
    let place = (args.device()?, args.products);
    let mut apart = None;
    shown(args, |show| {
        let found = bench::numerics(place, &presets, show)?;
        apart = found.apart;
        Ok(found.rows)
    })?;
    // What was found is told whether or not it is too far apart.
    apart.map_or(Ok(()), |message| bail!("{message}"))
}

fn kernels(args: &BenchArgs) -> Result<()> {
    let (device, products) = (args.device()?, args.products);
    let asked = KernelsBench { device, products, preset: args.preset()?, envs: args.envs.clone() };
    shown(args, |show| Ok(bench::kernels(&asked, show)?))
}

fn train(args: &BenchArgs, time: Duration) -> Result<()> {
    let asked = TrainBench {
        time,
        preset: args.preset()?,
        data: args.data.clone(),
        peers: args.peer_python(PYTORCH),
        step: step(args)?,
        is_profile: args.profile,
    };
    let report = Report::new(bench::train(&asked)?);
    if args.json.json { print_json(&report) } else { print_text(&report.table()) }
}

/// The steps that are to be measured.
fn step(args: &BenchArgs) -> Result<StepOptions> {
    let precision = Precision::from_name(&args.precision)
        .with_context(|| format!("unknown precision {:?}; expected f32 or bf16", args.precision))?;
    Ok(StepOptions { device: args.device()?, precision, batch: args.batch })
}

fn bridge(args: &BenchArgs, time: Duration) -> Result<()> {
    let (models, peers) = (args.model.clone(), args.peer_python(ENVPOOL));
    let asked = BridgeBench { models, time, peers, parts: args.parts.clone() };
    shown(args, |show| Ok(bench::bridge(&asked, show)?))
}

/// Shows rows as they are measured, on stderr if JSON is to come.
fn shown(
    args: &BenchArgs,
    measure: impl FnOnce(&mut dyn FnMut(&bench::Row)) -> Result<Vec<bench::Row>>,
) -> Result<()> {
    let json = args.json.json;
    if !json {
        print_text(&Report::new(Vec::new()).heading())?;
    }
    // A reader that went away does not stop the measuring.
    let rows = measure(&mut |row| {
        let line = row.line();
        if json { eprint!("{line}") } else { drop(print_text(&line)) }
    })?;
    if json { print_json(&Report::new(rows)) } else { Ok(()) }
}

fn render(args: &BenchArgs, time: Duration) -> Result<()> {
    let mut asked = RenderBench { time, peers: args.peer_python(MUJOCO), ..RenderBench::default() };
    if !args.tiles.is_empty() {
        asked.tiles = args.tiles.iter().map(|tiles| *tiles as usize).collect();
    }
    if !args.sizes.is_empty() {
        asked.sizes.clone_from(&args.sizes);
    }
    shown(args, |show| Ok(bench::render(&asked, show)?))
}
