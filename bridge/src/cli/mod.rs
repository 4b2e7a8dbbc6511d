//! Subcommands of `worldstep`, one file each.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;
use worldstep_bridge::bench::BRIDGE_PARTS;
use worldstep_model::cuda::ProductNumbers;
use worldstep_synth::SynthError;

use serve_config::ServeConfig;

mod audit;
mod bench;
mod data;
mod doctor;
mod envs;
mod eval;
mod eval_summary;
mod export;
mod keys;
mod pictures;
mod progress;
mod robots;
mod serve;
mod serve_config;
mod synth;
mod top;
mod top_view;
mod train;
mod train_data;
mod train_objective;

/// Exit code for a request that fails in the same way whenever and wherever it is made; the parser's own is the same.
const WRONG_REQUEST: u8 = 2;
const EXIT_CODES: &str =
    "Exit codes: 0 done, 1 failed (another try or machine may do better), 2 wrong request.";

/// A robotics simulator with one interface and two engines: truth (physics) and dream (a learned world model).
#[derive(Parser)]
#[command(name = "worldstep", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// What this machine can do (GPU, renderer, libzmq), and what to install if not.
    Doctor(Json),
    /// The registry of tasks, with what random actions and the expert earn.
    Envs(envs::Envs),
    /// Records clips of a family or task as a LeRobotDataset v3.0.
    Synth(SynthArgs),
    /// Looks after datasets: checks them, draws a report.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Writes a dataset in a format of other tools.
    Export(export::ExportArgs),
    /// Trains a world model on such a dataset.
    Train(train::TrainArgs),
    /// Weighs a world model against truth: same starts, same actions.
    Eval(EvalArgs),
    /// Steps truth beside a dream, with the same starts and actions, and tells how far they drift apart.
    Audit(AuditArgs),
    /// Serves both engines over ZeroMQ.
    Serve(ServeArgs),
    /// Makes a key pair: what a server and its clients need to talk across machines.
    Keys(keys::KeysArgs),
    /// Watches a server: sessions, batch sizes, engine time, waits.
    Top(top::TopArgs),
    /// Measures one part: env, render, dream, train or bridge.
    Bench(BenchArgs),
}

#[derive(Args)]
struct Json {
    /// One JSON object on stdout.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct SynthArgs {
    /// Family (`toss`), task id or name (`catch-behind-screen`), path of a family's file, several with commas between,
    /// or `all`; more than one make a dataset each, in subfolders.
    #[arg(long)]
    scenario: String,
    /// Accepted clips (episodes) in all.
    #[arg(long, allow_negative_numbers = true)]
    clips: u64,
    /// Folder of the dataset: new, empty, or with --resume that of the interrupted run.
    #[arg(long)]
    out: PathBuf,
    /// Seed of the first clip; unit i has seed + i.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0)]
    seed: u64,
    /// Goes on where an interrupted run stopped.
    #[arg(long)]
    resume: bool,
    /// Threads that simulate and encode, 1 to 256; the clips are the same with any number. As many as cores by default.
    #[arg(long, allow_negative_numbers = true)]
    workers: Option<usize>,
    /// Records one part `i/N` of the job, i from 0; `worldstep data merge` makes one dataset of all parts.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    shard: Option<(usize, usize)>,
    /// Images to store: `all`, or some of rgb,depth,instance,semantic,normal,flow_forward,flow_backward,coordinates;
    /// rgb and instance always are.
    #[arg(long, default_value = "all")]
    channels: String,
    /// Side of the square frames in pixels, 1 to 1024.
    #[arg(long, allow_negative_numbers = true, default_value_t = 64)]
    size: u32,
    /// Groups of this many clips (2, 4, 8, 16, 32 or 64) that begin alike and go on with different actions.
    #[arg(long, value_name = "B", conflicts_with = "pairs")]
    branches: Option<usize>,
    /// Pairs of a possible clip and an impossible twin (of families that have such), in a split of their own.
    #[arg(long)]
    pairs: bool,
    /// Length of clips as a multiple of the family's own; longer ones are a test split.
    #[arg(long, allow_negative_numbers = true, default_value_t = 1.0)]
    horizon: f32,
    /// TOML file with ranges for what is randomised.
    #[arg(long, value_name = "FILE")]
    randomisation: Option<PathBuf>,
    /// TOML file with thresholds for what clips are accepted.
    #[arg(long, value_name = "FILE")]
    curation: Option<PathBuf>,
    /// Folder of PNG and JPEG pictures that textures are chosen from.
    #[arg(long, value_name = "FOLDER")]
    textures: Option<PathBuf>,
    /// How often clips are random, scripted, noisy_expert and noop, for instance `random=0.5,scripted=0.5`.
    #[arg(long, value_name = "MIX")]
    policy: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// `i/N` as a pair.
fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("{text:?} is no shard, expected I/N with I from 0 to N - 1, for instance 0/4");
    let (index, of) = text.split_once('/').ok_or_else(wrong)?;
    let (index, of) = (index.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
    if index < of { Ok((index, of)) } else { Err(wrong()) }
}

/// Longest time that one row of a bench may take, seconds.
const ROW_SECONDS_MAX: f64 = 3600.0;

/// Seconds as a duration.
fn row_time(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.01..=ROW_SECONDS_MAX).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is no time, expected seconds from 0.01 to {ROW_SECONDS_MAX}"))
}

fn product_numbers(text: &str) -> Result<ProductNumbers, String> {
    ProductNumbers::from_name(text).ok_or_else(|| format!("{text:?} are no products, expected bf16 or fp8"))
}

/// Most environments that a bench is asked to step.
const BENCH_ENVS_MAX: usize = 1 << 16;

fn environments(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=BENCH_ENVS_MAX).contains(count));
    count.ok_or_else(|| format!("{text:?} is no number of environments, expected 1 to {BENCH_ENVS_MAX}"))
}

#[derive(Args)]
struct EvalArgs {
    /// Folder of a trained model.
    #[arg(long)]
    model: PathBuf,
    /// Dataset whose `val` clips it is weighed on, and whose held-out sets, if it has such.
    #[arg(long)]
    data: PathBuf,
    /// Clips evaluated at most in each set.
    #[arg(long, default_value_t = 128)]
    clips: usize,
    /// Dataset of possible and impossible twins (`synth --pairs`) to look for surprise in; that of --data if not given.
    #[arg(long, value_name = "DIR")]
    pairs: Option<PathBuf>,
    /// Sampling temperature; 0 takes the likeliest codes.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0.0)]
    temperature: f32,
    /// Where to evaluate: `cpu` or `cuda:0`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What the blocks of the network multiply on a GPU: `bf16` or `fp8`.
    #[arg(long, default_value = "bf16", value_parser = product_numbers)]
    products: ProductNumbers,
    /// Folder for animated pictures of truth beside dream.
    #[arg(long)]
    pictures: Option<PathBuf>,
    /// File for the report as JSON; eval.json beside the model if it is not given and can be written. A page with tables,
    /// curves and pictures is written beside it, with `.html` for `.json`.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
struct AuditArgs {
    /// Folder of the model, or of one for each task; the shipped ones if it is not given.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Task to dream.
    #[arg(long, default_value = "CatchBehindScreen-v0")]
    task: String,
    /// Environments that dream.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    envs: u16,
    /// Environments of them that truth is stepped beside.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    sample: u16,
    /// Steps of all environments, under random actions.
    #[arg(long, default_value_t = 500)]
    steps: u32,
    /// Sampling temperature; 0 takes the likeliest codes.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    /// Seed of the first environment and of the actions.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    json: Json,
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    flags: ServeConfig,
    /// TOML file with any of the options above, named like them (`max_wait_us = 500`); flags win over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints what file and flags come to, as such a file, and ends.
    #[arg(long)]
    print_config: bool,
    /// Ends when standard input closes, as it does when the parent process dies.
    #[arg(long)]
    exit_with_stdin: bool,
    /// Lets clients take observations on a card that is this machine's memory, for tests.
    #[arg(long, hide = true)]
    stand_in_card: bool,
    #[command(flatten)]
    json: Json,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BenchPart {
    /// Truth with state observations.
    Env,
    /// Frames from the batch renderer.
    Render,
    /// The world model.
    Dream,
    /// Learning one.
    Train,
    /// Truth and dream through the bridge.
    Bridge,
    /// How far a device's step engine is from the processor's.
    Numerics,
    /// Where the time of a dream's step goes on a GPU, kernel by kernel.
    Kernels,
}

#[derive(Args)]
struct BenchArgs {
    /// What to measure.
    part: BenchPart,
    /// Folder of the model behind the dream engine, or of one for each task; the shipped ones if it is not given.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Seconds for each row.
    #[arg(long, default_value = "2", value_parser = row_time, allow_negative_numbers = true)]
    seconds: Duration,
    /// Numbers of views that the renderer draws in turn, for instance 64,1024; the whole grid if not given.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4096))]
    tiles: Vec<u32>,
    /// Sides of the views that the renderer draws, pixels; the whole grid if not given.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    sizes: Vec<u32>,
    /// Measures peers too, in turns, with a Python that has them: MuJoCo's renderer (render; .venv-mujoco if not named), the
    /// same network in PyTorch (dream, train; .venv-reference), or Gymnasium and EnvPool (env, bridge; .venv-envpool).
    #[arg(long, value_name = "PYTHON", num_args = 0..=1)]
    peers: Option<Option<PathBuf>>,
    /// Parts of the bridge's bench; all of them if not given.
    #[arg(long, value_delimiter = ',', value_parser = BRIDGE_PARTS)]
    parts: Vec<String>,
    /// Size of the model that is trained or whose kernels are timed (nano if not given; its steps need more --seconds the
    /// larger it is) or compared (nano and s).
    #[arg(long)]
    preset: Option<String>,
    /// Where the dream steps, numerics are compared, kernels are timed and training is measured: `cpu` or `cuda:0`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// What the blocks of the network multiply there when it is stepped, if it is a GPU: `bf16` or `fp8`.
    #[arg(long, default_value = "bf16", value_parser = product_numbers)]
    products: ProductNumbers,
    /// With train: where the time of one step of the dynamics goes, by part, and how fast its products are. The device is
    /// waited for after each part, which costs: such a step is slower than one that is not looked at.
    #[arg(long)]
    profile: bool,
    /// Numbers of the products of training: `f32`, or `bf16` on a GPU.
    #[arg(long, default_value = "f32")]
    precision: String,
    /// Windows of a training step of the dynamics.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Numbers of environments that the dream steps, or kernels are timed with, in turn, for instance 1,64,4096.
    #[arg(long, value_delimiter = ',', value_parser = environments)]
    envs: Vec<usize>,
    /// Dataset to train on; a small one is recorded if not given.
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    json: Json,
}

/// Runs the chosen subcommand.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Doctor(args) => doctor::run(args),
        Command::Envs(args) => envs::run(args),
        Command::Synth(args) => synth::run(&args),
        Command::Data(command) => data::run(&command),
        Command::Export(args) => export::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Keys(args) => keys::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Bench(args) => bench::run(&args),
    }
}

/// What the process ends with after `error`.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<SynthError>() {
        Some(error) if error.is_of_request() => ExitCode::from(WRONG_REQUEST),
        _ => ExitCode::FAILURE,
    }
}

/// Prints `value` as the command's one JSON object.
fn print_json(value: &impl Serialize) -> Result<()> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    serde_json::to_writer(&mut stdout, value)?;
    stdout.write_all(b"\n")?;
    stdout.flush()?;
    Ok(())
}

/// Prints `text` on stdout.
fn print_text(text: &str) -> Result<()> {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// A flag that Ctrl-C (SIGINT) and SIGTERM raise; a second one ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(flag)
}
