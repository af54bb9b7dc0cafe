//! One run: everybody is started, told to begin when all are ready, and kept together until all have read everything.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bench::{
    bus::credit::Report,
    fleet::Process,
    roles::{Pipe, Role},
};

/// Without a word from anybody for so long, what has not come has been lost.
const STUCK: Duration = Duration::from_secs(5);

/// Bytes that may be on their way to one subscriber: half of what a hub's queue takes.
const WINDOW_BYTES: u64 = 4 << 20;

/// Events likewise.
const WINDOW_EVENTS: u64 = 32 << 10;

/// How many events may be on their way to one subscriber.
#[must_use]
pub fn window(payload: usize) -> u64 {
    (WINDOW_BYTES / payload as u64).min(WINDOW_EVENTS)
}

/// What somebody does in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It publishes.
    Publishes,
    /// It reads.
    Reads,
    /// It does both.
    Both,
    /// It is there.
    Bystands,
}

/// Somebody in a run.
#[derive(Debug)]
pub struct Party {
    role: Role,
    pipe: Pipe,
    part: Part,
    report: Report,
    partial: Vec<u8>,
    gone: bool,
}

impl Party {
    /// Starts this program in a role.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn start(part: Part, role: &str, args: &[&str]) -> Result<Self, String> {
        let mut role = Role::start(role, args)?;
        let pipe = role.take_pipe().ok_or("no pipe")?;
        Ok(Self {
            role,
            pipe,
            part,
            report: Report::default(),
            partial: Vec::new(),
            gone: false,
        })
    }

    /// Waits until it is ready, and lets it do what it likes.
    ///
    /// # Errors
    /// If it has failed.
    pub fn begin(&mut self) -> Result<(), String> {
        self.ready()?;
        self.role.tell(&u64::MAX.to_be_bytes())
    }

    fn ready(&mut self) -> Result<(), String> {
        while !self.hear()? {
            if self.gone {
                return Err("somebody has failed".into());
            }
        }
        Ok(())
    }

    fn reads(&self) -> bool {
        matches!(self.part, Part::Reads | Part::Both)
    }

    fn publishes(&self) -> bool {
        matches!(self.part, Part::Publishes | Part::Both)
    }

    fn done(&self) -> u64 {
        self.report.read + self.report.lost
    }

    /// Takes what it said: true if that was a whole report.
    fn hear(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 4096];
        let read = self.pipe.read(&mut buffer).map_err(|e| e.to_string())?;
        self.gone = read == 0;
        self.partial.extend_from_slice(&buffer[..read]);
        let (reports, rest) = self.partial.as_chunks();
        let last = reports.last().map(|bytes| Report::from(*bytes));
        self.partial = rest.to_vec();
        self.report = last.unwrap_or(self.report);
        Ok(last.is_some())
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Events read, all readers taken together, a second.
    pub deliveries_per_second: f64,
    /// The broker's processor time for each of them, in nanoseconds.
    pub cpu_nanos_per_delivery: f64,
    /// Events that were published and not read.
    pub lost: u64,
}

/// Has each publisher publish `events`, of which no more than `window` are ever on their way to a reader, and waits until every reader has
/// all. The broker is `process`.
///
/// # Errors
/// If anybody fails.
pub fn run(
    mut parties: Vec<Party>,
    process: Process,
    events: u64,
    window: u64,
) -> Result<Outcome, String> {
    for party in &mut parties {
        party.ready()?;
    }
    let publishers = parties.iter().filter(|p| p.publishes()).count() as u64;
    let readers = parties.iter().filter(|p| p.reads()).count() as u64;
    let each = events * publishers;
    let cpu = process.cpu_nanos()?;
    let began = Instant::now();
    let (mut last, mut allowed) = (began, 0);
    loop {
        let slowest = parties.iter().filter(|p| p.reads()).map(Party::done).min();
        let slowest = slowest.ok_or("nobody reads")?;
        if slowest >= each {
            break;
        }
        let allow = (slowest + window) / publishers;
        if allow > allowed {
            allowed = allow;
            for party in parties.iter_mut().filter(|p| p.publishes()) {
                party.role.tell(&allow.to_be_bytes())?;
            }
        }
        if !hear(&mut parties)? {
            break;
        }
        if parties
            .iter()
            .any(|party| party.gone && party.done() < each)
        {
            return Err("somebody has failed".into());
        }
        last = Instant::now();
    }
    let read: u64 = parties.iter().map(|party| party.report.read).sum();
    let cpu = process.cpu_nanos()? - cpu;
    Ok(Outcome {
        deliveries_per_second: read as f64 / (last - began).as_secs_f64(),
        cpu_nanos_per_delivery: cpu as f64 / read as f64,
        lost: each * readers - read,
    })
}

/// Takes what anybody says; false if nobody says anything any more.
fn hear(parties: &mut [Party]) -> Result<bool, String> {
    let stuck = Timespec::try_from(STUCK).map_err(|e| e.to_string())?;
    let mut fds: Vec<PollFd<'_>> = parties
        .iter()
        .filter(|party| !party.gone)
        .map(|party| PollFd::new(&party.pipe, PollFlags::IN))
        .collect();
    if poll(&mut fds, Some(&stuck)).map_err(|e| e.to_string())? == 0 {
        return Ok(false);
    }
    let spoke: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    let there = parties.iter_mut().filter(|party| !party.gone);
    for (party, spoke) in there.zip(spoke) {
        if spoke {
            party.hear()?;
        }
    }
    Ok(true)
}
