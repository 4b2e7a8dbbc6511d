use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use serde_json::json;
use worldstep_env::{EnvError, Rng};
use worldstep_model::device::ComputeDevice;

use super::dream::models_or_shipped;
use super::{Row, steps_row};
use crate::client::{Client, ClientError};
use crate::engines::Engines;
use crate::wire::{Autoreset, Engine, MakeRequest, Observation, Request, bytes_from_buffer};
use crate::{Limits, ServeOptions, serve};

const TASK: &str = "CatchBehindScreen-v0";

/// Both engines through a server of this process: over TCP and over a Unix socket, one client and two.
///
/// # Errors
/// [`EnvError::Engine`] if the server does not start or refuses.
pub fn bridge(models: Option<&Path>, time: Duration) -> Result<Vec<Row>, EnvError> {
    let models = models_or_shipped(models)?;
    let socket = std::env::temp_dir().join(format!("worldstep-bench-{}", std::process::id()));
    let mut rows = Vec::new();
    for (transport, bind) in
        [("tcp", "tcp://127.0.0.1:0".to_owned()), ("ipc", format!("ipc://{}", socket.display()))]
    {
        let server = Server::start(&models, &bind)?;
        for (engine, obs) in [(Engine::Truth, Observation::State), (Engine::Dream, Observation::Rgb)] {
            for (clients, envs) in [(1, 1), (1, 64), (2, 32)] {
                let value = server.env_steps_per_s((engine, obs), (clients, envs), time)?;
                let case = json!({
                    "task": TASK, "engine": engine, "obs": obs, "envs": clients * envs, "clients": clients,
                    "transport": transport,
                });
                rows.push(steps_row(case, value));
            }
        }
    }
    Ok(rows)
}

/// A server on a thread of its own.
struct Server {
    address: String,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(models: &Path, bind: &str) -> Result<Self, EnvError> {
        let stop = Arc::new(AtomicBool::new(false));
        let engines = Engines::new(Some(models.to_owned()), ComputeDevice::Cpu).map_err(failed)?;
        let options = ServeOptions {
            bind: bind.to_owned(),
            factory: Box::new(engines),
            limits: Limits::default(),
            curve: None,
            stop: Arc::clone(&stop),
            board: None,
        };
        let (sender, ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let told = sender.clone();
            let served = serve(options, move |info| drop(told.send(Ok(info.address.clone()))));
            if let Err(error) = served {
                let _ = sender.send(Err(error));
            }
        });
        let address = ready.recv().map_err(failed)?.map_err(failed)?;
        Ok(Self { address, stop })
    }

    fn env_steps_per_s(
        &self,
        (engine, obs): (Engine, Observation),
        (clients, num_envs): (usize, usize),
        time: Duration,
    ) -> Result<f64, EnvError> {
        let request = MakeRequest {
            id: TASK.to_owned(),
            engine,
            obs,
            num_envs,
            autoreset_mode: Autoreset::NextStep,
            temperature: None,
            shared_memory_host: None,
        };
        let rates: Vec<_> = std::thread::scope(|scope| {
            let run = || roll_out(&self.address, request.clone(), time);
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut total = 0.0;
        for rate in rates {
            total += rate.map_err(|_| failed("a client's thread died"))?.map_err(failed)?;
        }
        Ok(total)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Env-steps/s of one client that steps `request` under random actions for `time`.
fn roll_out(address: &str, request: MakeRequest, time: Duration) -> Result<f64, ClientError> {
    let num_envs = request.num_envs;
    let (mut client, made) = Client::connect(address, request)?;
    let seeds = (0..num_envs).map(|seed| Some(seed as u64)).collect();
    client.ask(&Request::Reset { seeds, mask: vec![true; num_envs] })?;
    let mut actions = made.action_space.buffer(0);
    let mut rng = Rng::seed_from_u64(0);
    (0..num_envs).for_each(|_| made.action_space.sample(&mut rng, &mut actions));
    let step = Request::Step { actions: bytes_from_buffer(&actions), mask: None };
    client.ask(&step)?;
    let (start, mut steps) = (Instant::now(), 0);
    while start.elapsed() < time {
        client.ask(&step)?;
        steps += num_envs;
    }
    let rate = steps as f64 / start.elapsed().as_secs_f64();
    client.ask(&Request::Close)?;
    Ok(rate)
}

fn failed(error: impl std::fmt::Display) -> EnvError {
    EnvError::Engine { message: error.to_string() }
}
