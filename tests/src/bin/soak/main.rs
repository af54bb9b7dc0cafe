//! A soak of the bus: for a minute, clients disconnect, stall, flood and come again at random, while order, loss and memory are
//! checked.
//!
//! ```text
//! $ cargo run --release -p ostler-tests --bin soak -- --seconds 60
//! ```
//!
//! The hub is a process of its own. Everybody reaches it through a [`Cutter`], which passes bytes on in pieces and breaks
//! the connection off at any of them, or holds them up. What must hold:
//!
//! - acknowledged events are taken exactly once, and in the order in which they were emitted;
//! - a subscriber that comes again has got, or was told to have missed, every event, each once, in order;
//! - whoever keeps the latest event of each topic has it in the end;
//! - what a queue group was given was handled by one of its members at least, though some go in the middle of it;
//! - the hub's memory stays within its bound, whoever reads slowly.
//!
//! It ends by itself. Exit code 0 if all of that held; 1, with the seed, if not.

mod account;
mod cutter;
mod group;
mod hub;
mod latest;
mod others;
mod publish;
mod subscribe;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use ostler_bus::{
    client::{Bus, ConnectOptions, ReconnectPolicy},
    transport::UnixTransport,
    wire::control::OverflowPolicy,
};
use tokio::{runtime::Builder, sync::watch, task::JoinSet};

use self::{account::Published, cutter::Cutter, hub::HubProcess};

/// Publishers of acknowledged events; half of their topics keep a history.
const PUBLISHERS: u32 = 4;

/// Publishers that flood.
const FLOODERS: u32 = 2;

/// How long subscribers may take for what is under way when publishing has ended.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// What may be in the hub's memory beside what its limit counts: its program, buffers of connections, the allocator's slack.
const MEMORY_SLACK: usize = 96 << 20;

#[derive(Debug, Parser)]
#[command(
    about = "Disconnects, stalls, floods and restarts clients of a bus at random, and checks what they get"
)]
struct Args {
    /// How long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which disturbances: any number. Another one each time unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// Be the hub, at this path. For the program itself.
    #[arg(long, hide = true)]
    hub: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(path) = &args.hub {
        return hub::serve(path);
    }
    let seed = args.seed.unwrap_or_else(random);
    println!("seed {seed}, {} s", args.seconds);
    let runtime = Builder::new_current_thread().enable_all().build();
    let soaked = runtime
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(soak(Duration::from_secs(args.seconds), seed)));
    match soaked {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}\n\nhint: the same disturbances again: --seed {seed}");
            ExitCode::FAILURE
        }
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now())
}

/// Where everybody meets.
#[derive(Clone)]
struct Place {
    /// The hub itself.
    hub: PathBuf,
    /// A directory for the sockets of cutters.
    dir: PathBuf,
    published: Arc<Published>,
    /// True once publishing is to end.
    over: watch::Receiver<bool>,
    /// True once it has, and `published` is all there is.
    settled: watch::Receiver<bool>,
    seed: u64,
}

impl Place {
    /// A client that is disturbed, as `name`.
    async fn disturbed(&self, name: &str, number: u64) -> Result<(Bus, Cutter), String> {
        let path = self.dir.join(name);
        let cutter = Cutter::start(&path, &self.hub, self.seed ^ (number << 32))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok((connect(&path, name).await?, cutter))
    }
}

async fn connect(path: &Path, name: &str) -> Result<Bus, String> {
    let mut options = ConnectOptions::client(name);
    options.reconnect = Some(ReconnectPolicy {
        max: Duration::from_millis(200),
        ..ReconnectPolicy::default()
    });
    // The connection may break any number of times meanwhile.
    options.answer_timeout = LAST_WORDS;
    options.room_timeout = LAST_WORDS;
    Bus::connect(UnixTransport::new(path), options)
        .await
        .map_err(|error| format!("{name}: {error}"))
}

async fn soak(time: Duration, seed: u64) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let hub = HubProcess::start(&dir.path().join("hub")).await?;
    let (end, over) = watch::channel(false);
    let (settle, settled) = watch::channel(false);
    let place = Place {
        hub: dir.path().join("hub"),
        dir: dir.path().to_owned(),
        published: Arc::default(),
        over,
        settled,
        seed,
    };
    let mut readers = JoinSet::new();
    let policies = [
        ("oldest", OverflowPolicy::DropOldest),
        ("newest", OverflowPolicy::DropNewest),
        (
            "patient",
            OverflowPolicy::Backpressure { max_wait_ms: 2_000 },
        ),
    ];
    for (number, (name, policy)) in (1..).zip(policies) {
        let reader = subscribe::Exact::start(&place, name, number, policy).await?;
        readers.spawn(reader.run());
    }
    readers.spawn(latest::latest(place.clone()));
    let group = group::Group::start(&place, 3).await?;
    let mut others = JoinSet::new();
    others.spawn(others::watcher(place.clone()));
    others.spawn(others::visitors(place.clone()));
    others.spawn(others::vandals(place.clone()));
    others.spawn(group::passing(place.clone(), group.handled.clone()));
    for number in 0..FLOODERS {
        others.spawn(publish::flood(place.clone(), number));
    }
    let mut publishers = JoinSet::new();
    for number in 0..PUBLISHERS {
        publishers.spawn(publish::acknowledged(place.clone(), number));
    }
    let ended = Instant::now() + time;
    let mut most = 0;
    while Instant::now() < ended {
        tokio::time::sleep(Duration::from_millis(200)).await;
        most = most.max(hub.resident()?);
    }
    end.send_replace(true);
    all(&mut publishers, "publishers").await?;
    settle.send_replace(true);
    all(&mut others, "the others").await?;
    all(&mut readers, "readers").await?;
    group.check().await?;
    println!("{}", place.published);
    println!(
        "hub: {} MiB at most, {} MiB at the end",
        most >> 20,
        hub.resident()? >> 20
    );
    let bound = hub::MEMORY_BYTES + MEMORY_SLACK;
    if most > bound {
        return Err(format!(
            "the hub had {most} bytes, {bound} at most were expected"
        ));
    }
    hub.stop()
}

/// Waits for all of them, for a bounded time.
async fn all(tasks: &mut JoinSet<Result<(), String>>, what: &str) -> Result<(), String> {
    let joined = async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| format!("{what}: {error}"))??;
        }
        Ok(())
    };
    let slow = |_| Err(format!("{what} didn't end within {:?}", 2 * LAST_WORDS));
    tokio::time::timeout(2 * LAST_WORDS, joined)
        .await
        .unwrap_or_else(slow)
}
