//! The benchmark's other processes: this binary again, in a role. Each says on its standard output when it is ready and
//! what it found, and ends when its standard input does, so none outlives the benchmark, however that ends.

use std::{
    future::pending,
    io::{self, Write as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{ExitCode, Stdio},
};

use futures::StreamExt as _;
use ostler_bus::{
    client::{Bus, ConnectOptions, Delivery, Payload},
    hub::Admission,
    transport::UnixTransport,
    vocab::rules::fleet_rules,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::{Echo, Echoed, PATIENCE, ROLE_COMMAND, TOPIC, credit, report::Percentiles, text};
use crate::{config::bus_table::BusSettings, home::MasterName, master, sys};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The hub, as a master starts it.
    Hub,
    /// Reads events, and reports how many.
    Reader,
    /// Reads events with the time in them, until one has none; then tells how old they were.
    Clock,
    /// Answers requests.
    Answerer,
}

impl Role {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Hub, "hub"),
        (Self::Reader, "reader"),
        (Self::Clock, "clock"),
        (Self::Answerer, "answerer"),
    ];

    fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(role, _)| *role == self);
        found.map_or("", |(_, word)| word)
    }

    fn named(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found
            .map(|(role, _)| *role)
            .ok_or_else(|| format!("there is no role {word:?}"))
    }
}

/// A process in a role; killed when dropped.
#[derive(Debug)]
pub(super) struct Player {
    _child: Child,
    output: BufReader<ChildStdout>,
}

impl Player {
    /// Starts this binary in a role, at the hub on `socket`.
    pub(super) fn start(role: Role, socket: &Path) -> Result<Self, String> {
        // Even if the file was replaced meanwhile.
        let mut child = Command::new("/proc/self/exe")
            .args([ROLE_COMMAND, role.word(), text(socket)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for this process.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("the {} can't be started: {e}", role.word()))?;
        let output = child.stdout.take().ok_or("no pipe")?;
        Ok(Self {
            _child: child,
            output: BufReader::new(output),
        })
    }

    /// Its next line.
    pub(super) async fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(Ok(n)) if n > 0 => Ok(line.trim_end().into()),
            Ok(Ok(_)) => Err("a part has ended too early".into()),
            Ok(Err(e)) => Err(e.to_string()),
            Err(_) => Err(format!("a part said nothing for {PATIENCE:?}")),
        }
    }

    /// What it says, for somebody else to read; the process must be kept.
    pub(super) fn split(self) -> (Child, BufReader<ChildStdout>) {
        (self._child, self.output)
    }
}

/// Plays the role that the arguments name.
pub(crate) fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(2).collect();
    std::thread::spawn(|| {
        // At its end, or should it break: both mean that nobody is there.
        let _end = io::copy(&mut io::stdin(), &mut io::sink());
        std::process::exit(0);
    });
    match play(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", words.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn play(words: &[String]) -> Result<(), String> {
    let [role, socket] = words else {
        return Err("this is a part of `ostler bench`, which starts it by itself".into());
    };
    let (role, socket) = (Role::named(role)?, Path::new(socket));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    runtime.block_on(async {
        match role {
            Role::Hub => hub(socket).await,
            Role::Reader => reader(socket).await,
            Role::Clock => clock(socket).await,
            Role::Answerer => answerer(socket).await,
        }
    })
}

pub(super) async fn connect(socket: &Path, name: &str) -> Result<Bus, String> {
    let options = ConnectOptions::client(name);
    let bus = Bus::connect(UnixTransport::new(socket), options).await;
    bus.map_err(|e| e.to_string())
}

fn say(line: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let said = writeln!(out, "{line}").and_then(|()| out.flush());
    said.map_err(|e| e.to_string())
}

async fn hub(socket: &Path) -> Result<(), String> {
    let name = MasterName::new("bench").map_err(|e| e.problem)?;
    let started = master::start_hub(
        &name,
        &BusSettings::default(),
        fleet_rules(),
        sys::raise_open_files().ok(),
    );
    let (hub, mut notices) = started.map_err(|e| e.to_string())?;
    let listener = UnixListener::bind(socket).map_err(|e| e.to_string())?;
    let listening = hub.listen(listener, Admission::default());
    listening.map_err(|e| e.to_string())?;
    say("ready")?;
    while notices.recv().await.is_some() {}
    Err("the hub has ended".into())
}

async fn reader(socket: &Path) -> Result<(), String> {
    let bus = connect(socket, "reader").await?;
    let events = bus.subscribe_raw(TOPIC).await;
    let mut events = events.map_err(|e| e.to_string())?;
    let mut out = io::stdout().lock();
    let mut read = 0;
    loop {
        if read % credit::STRIDE == 0 {
            credit::tell(&mut out, read).map_err(|e| e.to_string())?;
        }
        match events.next().await {
            Some(Delivery::Event(_)) => read += 1,
            Some(other) => return Err(format!("after {read} events: {other:?}")),
            None => return Err("the subscription has ended".into()),
        }
    }
}

async fn clock(socket: &Path) -> Result<(), String> {
    let bus = connect(socket, "clock").await?;
    let events = bus.subscribe_raw(TOPIC).await;
    let mut events = events.map_err(|e| e.to_string())?;
    say("ready")?;
    let mut ages = Vec::new();
    loop {
        let payload = match events.next().await {
            Some(Delivery::Event(received)) => received.event,
            Some(other) => return Err(format!("after {} events: {other:?}", ages.len())),
            None => return Err("the subscription has ended".into()),
        };
        match sent_at(&payload)? {
            0 => break,
            sent => ages.push(super::now().saturating_sub(sent)),
        }
    }
    let percentiles = Percentiles::of(ages).ok_or("no event has come")?;
    say(&serde_json::to_string(&percentiles).map_err(|e| e.to_string())?)?;
    // The pipe is read before this process goes.
    pending().await
}

/// The time an event begins with.
fn sent_at(payload: &Payload) -> Result<u64, String> {
    let first = match payload {
        Payload::Bytes(bytes) => bytes.first_chunk::<8>(),
        Payload::Postcard { .. } | Payload::Json(_) => None,
    };
    first
        .map(|bytes| u64::from_be_bytes(*bytes))
        .ok_or_else(|| "an event that is none of the benchmark's".into())
}

async fn answerer(socket: &Path) -> Result<(), String> {
    let bus = connect(socket, "answerer").await?;
    let calls = bus.serve::<Echo>().await;
    let mut calls = calls.map_err(|e| e.to_string())?;
    say("ready")?;
    while let Some(call) = calls.next().await {
        let values = call.request().values;
        let replied = call.reply(&Echoed { values }).await;
        replied.map_err(|e| e.to_string())?;
    }
    Err("the subscription has ended".into())
}
