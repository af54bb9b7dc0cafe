//! The processes that publish and subscribe.
//!
//! Each says on its standard output when it is ready; who reads, how far it is, and who publishes is told on its standard
//! input how far it may go. All numbers are big-endian.

use std::io::{Read, Stdout};

use tokio::sync::watch;

use super::{
    line::{Address, BUFFER, Line},
    server,
    wire::{Counter, Wire, ostler},
};
use crate::bench::bus::credit::Reporter;

/// What a party is told by its arguments.
struct Task {
    wire: Wire,
    address: Address,
    payload: usize,
    /// How many it reads in all, or how many it publishes.
    events: u64,
    /// How often it says how far it is.
    step: u64,
}

impl Task {
    fn from(args: &[String]) -> Result<Self, String> {
        let [wire, address, payload, events, step] = args else {
            return Err("usage: WIRE ADDRESS PAYLOAD EVENTS STEP".into());
        };
        let number = |text: &String| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
        Ok(Self {
            wire: wire.parse()?,
            address: address.parse()?,
            payload: number(payload)? as usize,
            events: number(events)?,
            step: number(step)?,
        })
    }
}

/// A role: subscribes, and counts.
pub(super) fn read(args: &[String]) -> Result<(), String> {
    let task = Task::from(args)?;
    crate::bench::roles::end_with_stdin();
    let mut line = task.wire.connect(&task.address, false)?;
    task.wire.subscribe(&mut line, &task.address)?;
    let reporter = Reporter::every(std::io::stdout(), task.events, task.step)?;
    count(&task, line, reporter)?;
    server::linger();
    Ok(())
}

fn count(task: &Task, mut line: Line, mut reporter: Reporter<Stdout>) -> Result<(), String> {
    let mut counter = Counter::new(task.wire, task.payload);
    let mut buffer = vec![0; BUFFER.max(2 * line.came.len())];
    let mut filled = line.came.len();
    buffer[..filled].copy_from_slice(&line.came);
    loop {
        let counted = counter.take(&buffer[..filled])?;
        if reporter.count(counted.read, counted.lost)? {
            return Ok(());
        }
        buffer.copy_within(counted.used..filled, 0);
        filled -= counted.used;
        filled += line.read(&mut buffer[filled..])?;
    }
}

/// How far publishing may go, as told on standard input.
#[derive(Clone, Debug)]
pub(super) struct Allowance(watch::Receiver<u64>);

impl Allowance {
    /// Listens on a thread of its own; the process ends with its standard input.
    #[must_use]
    pub(super) fn listen() -> Self {
        let (told, allowed) = watch::channel(0);
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            let mut number = [0; 8];
            while stdin.read_exact(&mut number).is_ok() {
                told.send_replace(u64::from_be_bytes(number));
            }
            std::process::exit(0);
        });
        Self(allowed)
    }

    /// Waits until so many may be published.
    ///
    /// # Errors
    /// If nobody tells any more.
    pub(super) async fn until(&mut self, events: u64) -> Result<(), String> {
        let there = self.0.wait_for(|told| *told >= events).await;
        there.map(drop).map_err(|e| e.to_string())
    }

    fn wait(&mut self, events: u64) -> Result<(), String> {
        futures::executor::block_on(self.until(events))
    }
}

/// Says that this party is ready.
///
/// # Errors
/// If nobody listens.
pub(super) fn ready() -> Result<Reporter<Stdout>, String> {
    Reporter::every(std::io::stdout(), u64::MAX, u64::MAX)
}

/// A role: publishes.
pub(super) fn publish(args: &[String]) -> Result<(), String> {
    let task = Task::from(args)?;
    let line = task.wire.connect(&task.address, true)?;
    let allowance = Allowance::listen();
    ready()?;
    send(&task, line, allowance)?;
    // What was written is still read by the broker: stay until told otherwise.
    loop {
        std::thread::park();
    }
}

/// Writes buffers of ready-made messages, as many at once as fit in one.
fn send(task: &Task, mut line: Line, mut allowance: Allowance) -> Result<(), String> {
    if task.wire.answers_publishers() {
        let mut answers = line.again()?;
        std::thread::spawn(move || {
            let mut buffer = vec![0; BUFFER];
            while answers.read(&mut buffer).is_ok() {}
        });
    }
    let one = task.wire.event(&vec![b'x'; task.payload]);
    let count = (BUFFER / one.len()).max(1) as u64;
    let buffer = one.repeat(count as usize);
    let mut done = 0;
    while done < task.events {
        let now = count.min(task.events - done);
        allowance.wait(done + now)?;
        line.write(&buffer[..now as usize * one.len()])?;
        done += now;
    }
    Ok(())
}

/// A role: publishes and reads, on a connection for each, as a member of a group in which everybody hears everybody.
/// Its arguments are a publisher's; it reads so many from each of as many members as the last one says.
pub(super) fn member(args: &[String]) -> Result<(), String> {
    let [task @ .., members] = args else {
        return Err("usage: as for publish, and MEMBERS".into());
    };
    let task = Task::from(task)?;
    let members: u64 = members.parse().map_err(|_| "MEMBERS is no number")?;
    let mut heard = task.wire.connect(&task.address, false)?;
    task.wire.subscribe(&mut heard, &task.address)?;
    let line = task.wire.connect(&task.address, true)?;
    let allowance = Allowance::listen();
    let reporter = Reporter::every(std::io::stdout(), task.events * members, task.step)?;
    let reading = Task { ..task };
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&reading, line, allowance));
        count(&reading, heard, reporter)?;
        sending.join().map_err(|_| "the publisher panicked")?
    })?;
    loop {
        std::thread::park();
    }
}

/// A role: subscribes on a hub, and then reads nothing.
pub(super) fn stall(args: &[String]) -> Result<(), String> {
    let [address, policy] = args else {
        return Err("usage: ADDRESS POLICY".into());
    };
    let policy = serde_json::from_str(policy).map_err(|e| e.to_string())?;
    let mut line = Wire::Ostler.connect(&address.parse()?, false)?;
    let json = false;
    ostler::subscribe(&mut line, ostler::Options { policy, json })?;
    ready()?;
    server::linger();
    Ok(())
}

/// A role: subscribes on a hub in a codec, reads, and says nothing of it.
pub(super) fn listen(args: &[String]) -> Result<(), String> {
    let [address, codec] = args else {
        return Err("usage: ADDRESS CODEC".into());
    };
    crate::bench::roles::end_with_stdin();
    let mut line = Line::connect(&address.parse()?)?;
    ostler::greet(&mut line, codec)?;
    let options = ostler::Options {
        json: codec == "json",
        ..ostler::Options::default()
    };
    ostler::subscribe(&mut line, options)?;
    ready()?;
    let mut buffer = vec![0; BUFFER];
    loop {
        line.read(&mut buffer)?;
    }
}
