use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, queue};
use worldstep_bridge::client::{Client, ClientOptions};
use worldstep_bridge::security::CurveClient;
use worldstep_bridge::wire::{Reply, Request};

use super::top_view::{Figures, View};
use super::{Json, print_json, print_text, stop_flag};

/// How long the server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long keys and signals wait at most.
const TICK: Duration = Duration::from_millis(100);

#[derive(Args)]
pub struct TopArgs {
    /// Server to watch.
    #[arg(long, default_value = "tcp://127.0.0.1:7447")]
    address: String,
    /// Seconds between two looks, 0.1 to 3600.
    #[arg(long, default_value = "1", value_parser = interval, allow_negative_numbers = true)]
    interval: Duration,
    /// Prints one view, of one interval, and ends; so it does where stdout is no terminal, and with --json.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    json: Json,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("{text:?} is no interval, expected seconds from 0.1 to 3600"))
}

/// Shows a server until `q` or Ctrl-C, or once.
pub fn run(args: &TopArgs) -> Result<()> {
    let mut server = Watched::reach(&args.address)?;
    let stop = stop_flag()?;
    if args.json.json || args.once || !io::stdout().is_terminal() {
        let pause = Instant::now();
        while pause.elapsed() < args.interval && !stop.load(Ordering::Acquire) {
            thread::sleep(TICK.min(args.interval.saturating_sub(pause.elapsed())));
        }
        let view = server.look()?;
        return if args.json.json {
            print_json(&view)
        } else {
            print_text(&(view.lines().join("\n") + "\n"))
        };
    }
    let _screen = Screen::open()?;
    let mut lines = vec![format!("looking at {} …", args.address)];
    loop {
        draw(&lines)?;
        if quit_within(args.interval, &stop)? {
            return Ok(());
        }
        lines = match server.look() {
            Ok(view) => view.lines(),
            Err(error) => {
                server.reconnect()?;
                vec![format!("{error:#}")]
            }
        };
    }
}

/// With the keys that the environment names, if it does; nobody waits long for a view.
fn client_options() -> Result<ClientOptions> {
    let curve = CurveClient::from_environment()?;
    Ok(ClientOptions { timeout: ANSWER_MAX, curve, ..ClientOptions::default() })
}

/// A server and its figures when it was last looked at.
struct Watched {
    address: String,
    client: Client,
    /// Empty until it is asked for.
    version: String,
    before: Figures,
    at: Instant,
}

impl Watched {
    fn reach(address: &str) -> Result<Self> {
        let client = Client::without_session(address, client_options()?)?;
        let (version, before) = (String::new(), Figures::new());
        let mut server = Self { address: address.to_owned(), client, version, before, at: Instant::now() };
        server.look()?;
        Ok(server)
    }

    /// What has happened since the last look.
    fn look(&mut self) -> Result<View> {
        if self.version.is_empty() {
            self.version = version(&mut self.client)?;
        }
        let now = figures(&mut self.client)?;
        let interval = self.at.elapsed();
        let view = View::new(&self.address, &self.version, &self.before, &now, interval);
        (self.before, self.at) = (now, Instant::now());
        Ok(view)
    }

    /// Begins anew with a server that did not answer: it may be another one when it does.
    fn reconnect(&mut self) -> Result<()> {
        self.client = Client::without_session(&self.address, client_options()?)?;
        self.version.clear();
        Ok(())
    }
}

fn version(client: &mut Client) -> Result<String> {
    match client.ask(&Request::Hello)? {
        Reply::Hello(info) => Ok(info.version),
        other => bail!("the server answered hello with {other:?}"),
    }
}

fn figures(client: &mut Client) -> Result<Figures> {
    match client.ask(&Request::Metrics)? {
        Reply::Metrics(figures) => Ok(figures),
        other => bail!("the server answered metrics with {other:?}"),
    }
}

/// The terminal while it is drawn on; it is left as it was, however this ends.
struct Screen;

impl Screen {
    fn open() -> Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs no tidying.
        let _ = execute!(io::stdout(), cursor::Show, LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Draws as much as fits.
fn draw(lines: &[String]) -> Result<()> {
    let (columns, rows) = terminal::size()?;
    let mut stdout = io::stdout().lock();
    queue!(stdout, Clear(ClearType::All))?;
    let fitting = lines.iter().take(usize::from(rows).saturating_sub(1));
    for (row, line) in fitting.enumerate() {
        let text: String = line.chars().take(usize::from(columns)).collect();
        queue!(stdout, cursor::MoveTo(0, row as u16), Print(text))?;
    }
    queue!(stdout, cursor::MoveTo(0, rows.saturating_sub(1)), Print("q ends"))?;
    stdout.flush()?;
    Ok(())
}

/// Waits for `time`; true as soon as a key or a signal says to end.
fn quit_within(time: Duration, stop: &Arc<AtomicBool>) -> Result<bool> {
    let started = Instant::now();
    loop {
        let left = time.saturating_sub(started.elapsed());
        if stop.load(Ordering::Acquire) {
            return Ok(true);
        }
        if left.is_zero() {
            return Ok(false);
        }
        if !event::poll(left.min(TICK))? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
            return Ok(true);
        }
    }
}
