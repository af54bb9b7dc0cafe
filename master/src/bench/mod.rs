//! `ostler bench`: what this machine's bus does, in ten seconds.
//!
//! It has a hub of its own, in a process of its own as in a master, with subscribers and answerers that are processes of
//! their own too ([`role`]); this process publishes, asks and connects ([`drive`]). Nothing touches a running master.
//! What is lost would be a wrong figure, so the publisher never runs further ahead than the slowest subscriber's queue
//! takes ([`credit`]), and a loss is a failure.

mod credit;
mod drive;
mod report;
mod role;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use ostler_bus::{Request, Schema};
use serde::{Deserialize, Serialize};

use self::report::{Deliveries, Figures};
use crate::cli::{
    args::BenchArgs,
    error::{CliError, Exit},
    interrupt,
    live::Live,
    output,
    progress::Line,
    render, runtime,
    style::Style,
};

pub(crate) use self::role::main as role_main;

/// The hidden word that makes this binary a part of the benchmark.
pub(crate) const ROLE_COMMAND: &str = "__bench";

/// Where events are published.
const TOPIC: &str = "bench.sample";

/// Subscribers of the runs that count deliveries.
const SUBSCRIBERS: [usize; 3] = [1, 4, 16];

/// Bytes of their events.
const SIZES: [usize; 2] = [64, 1024];

/// Events a second while latency is measured.
const PACE: u64 = 1_000;

/// Shares of the whole time: each of the six runs that count deliveries, latency, requests, connections.
const SHARES: [f64; 4] = [0.1, 0.2, 0.1, 0.1];

/// Between two drawings of the progress bar.
const REDRAW: Duration = Duration::from_millis(100);

/// How long processes may take to start, and the last events to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question that is answered with itself: 64 bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "bench.echo", reply = Echoed)]
pub(crate) struct Echo {
    values: [f64; 8],
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Echoed {
    values: [f64; 8],
}

/// Runs it all and prints what came of it.
///
/// # Errors
/// If a part fails, or an event is lost.
pub(crate) fn run(args: BenchArgs) -> Result<ExitCode, CliError> {
    let runtime = runtime::of_this_thread()?;
    let figures = runtime.block_on(async {
        let mut interrupt = interrupt::listen()?;
        tokio::select! {
            biased;
            () = interrupt.heard() => Err(CliError::new(Exit::Failed, "interrupted: nothing is told of what was measured so far")),
            figures = measure(Duration::from_secs(args.seconds)) => figures.map_err(failed),
        }
    });
    runtime.shutdown_background();
    let figures = figures?;
    output::print(&match args.json {
        true => render::json(&figures)?,
        false => report::table(&figures, Style::of_stdout()),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn failed(why: String) -> CliError {
    let mut error = CliError::new(Exit::Failed, "the benchmark could not be carried out");
    error.causes.push(why);
    error
}

async fn measure(whole: Duration) -> Result<Figures, String> {
    let dir = Dir::new().map_err(|e| format!("no directory for its socket: {e}"))?;
    let socket = dir.0.join("bus.sock");
    let [throughput, latency, requests, connects] = SHARES.map(|share| whole.mul_f64(share));
    let mut bar = Bar::new();
    let mut deliveries = Vec::new();
    for bytes in SIZES {
        for subscribers in SUBSCRIBERS {
            let what = format!("1 → {subscribers}, {bytes} bytes");
            let run = drive::deliveries(&socket, subscribers, bytes, throughput);
            let per_second = bar.during(&what, throughput, run).await?;
            deliveries.push(Deliveries {
                subscribers,
                bytes,
                per_second,
            });
        }
    }
    let what = format!("latency at {PACE} a second");
    let run = drive::latency(&socket, latency);
    let one_way = bar.during(&what, latency, run).await?;
    let run = drive::requests(&socket, requests);
    let request = bar.during("requests", requests, run).await?;
    let run = drive::connects(&socket, connects);
    let connects_per_second = bar.during("connections", connects, run).await?;
    Ok(Figures {
        seconds: whole.as_secs(),
        deliveries,
        one_way_ns: one_way,
        request_ns: request,
        connects_per_second,
    })
}

/// A private directory for the socket; gone when dropped.
#[derive(Debug)]
struct Dir(PathBuf);

impl Dir {
    fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        let mut tries = 0;
        loop {
            let path = parent.join(format!("ostler-bench-{}-{tries}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left by one of the same number that was killed, or put there to be in the way.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 100 => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What can't be removed is an empty directory and a dead socket.
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// How far the benchmark is, on standard error.
struct Bar {
    live: Live<io::Stderr>,
    step: usize,
}

impl Bar {
    /// The steps there are.
    const STEPS: usize = SUBSCRIBERS.len() * SIZES.len() + 3;
    const WIDTH: usize = 24;

    fn new() -> Self {
        Self {
            live: Live::on_stderr(),
            step: 0,
        }
    }

    /// Waits for a step that should take `takes`, and shows how far it is.
    async fn during<T>(
        &mut self,
        what: &str,
        takes: Duration,
        step: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let begun = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(REDRAW);
        let mut step = std::pin::pin!(step);
        let mut shown = false;
        let done = loop {
            tokio::select! {
                biased;
                _ = tick.tick() => {
                    let part = begun.elapsed().as_secs_f64() / takes.as_secs_f64();
                    let text = match self.live.moves() {
                        true => format!("{} {what}", self.drawn(part.min(1.0))),
                        false => what.to_owned(),
                    };
                    if self.live.moves() || !shown {
                        self.live.show(&Line::Step(text));
                    }
                    shown = true;
                }
                done = &mut step => break done,
            }
        };
        self.step += 1;
        done.map_err(|why| format!("{what}: {why}"))
    }

    /// The bar, `part` of the current step being done.
    fn drawn(&self, part: f64) -> String {
        let done = (self.step as f64 + part) / Self::STEPS as f64;
        let full = (done * Self::WIDTH as f64).round() as usize;
        let full = full.min(Self::WIDTH);
        let rest = Self::WIDTH - full;
        format!(
            "{}{} {:3.0}%",
            "█".repeat(full),
            "░".repeat(rest),
            done * 100.0
        )
    }
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str()
        .ok_or_else(|| "a path that is not UTF-8".into())
}

/// The nanoseconds of a clock that all processes of the machine share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
