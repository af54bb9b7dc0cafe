//! The ceiling for any hub on this machine: a relay that parses nothing.
//!
//! It reads what it can from one publisher's Unix socket, writes the same bytes to every subscriber's, and reads on when
//! all have taken them (flow control by the slowest). Publisher, relay and each subscriber have a thread of their own,
//! as a hub's clients have. Its deliveries a second and its processor time per delivery are what a hub's are compared to.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    time::{ClockId, clock_gettime},
};

/// What a run moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How many subscribers.
    pub subscribers: usize,
    /// Bytes in a frame.
    pub frame: usize,
    /// How many frames are published.
    pub frames: u64,
    /// Bytes in a buffer: what is written and read at once.
    pub buffer: usize,
}

impl Default for Setup {
    /// 1 → 4 at 64 bytes, in buffers of 64 KiB.
    fn default() -> Self {
        Self {
            subscribers: 4,
            frame: 64,
            frames: 2_000_000,
            buffer: 64 * 1024,
        }
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Frames that arrived, all subscribers taken together, a second.
    pub deliveries_per_second: f64,
    /// The relaying thread's processor time for each of them, in nanoseconds.
    pub cpu_nanos_per_delivery: f64,
}

/// A peer that does nothing for this long has failed.
const STUCK: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// Moves all frames once.
///
/// # Errors
/// If a socket fails or bytes are missing; in words.
pub fn run(setup: Setup) -> Result<Figures, String> {
    let bytes = setup.frames * setup.frame as u64;
    let (publisher, from_publisher) = pair()?;
    let mut to_subscribers = Vec::new();
    let mut subscribers = Vec::new();
    for _ in 0..setup.subscribers {
        let (relay_end, own_end) = pair()?;
        to_subscribers.push(relay_end);
        subscribers.push(thread::spawn(move || subscribe(own_end, setup.buffer)));
    }
    let began = Instant::now();
    let relay = thread::spawn(move || relay(from_publisher, to_subscribers, setup.buffer));
    let published = publish(publisher, bytes, setup.buffer);
    let cpu = relay.join().map_err(|_| "the relay panicked")??;
    for subscriber in subscribers {
        let got = subscriber.join().map_err(|_| "a subscriber panicked")??;
        if got != bytes {
            return Err(format!("a subscriber got {got} bytes of {bytes}"));
        }
    }
    let elapsed = began.elapsed();
    published?;
    let deliveries = (setup.frames * setup.subscribers as u64) as f64;
    Ok(Figures {
        deliveries_per_second: deliveries / elapsed.as_secs_f64(),
        cpu_nanos_per_delivery: cpu.as_secs_f64() * 1e9 / deliveries,
    })
}

fn pair() -> Result<(UnixStream, UnixStream), String> {
    UnixStream::pair().map_err(|e| e.to_string())
}

/// Writes so many bytes, as many at once as a buffer holds: a publisher that coalesces.
fn publish(mut stream: UnixStream, bytes: u64, buffer: usize) -> Result<(), String> {
    let buffer = vec![b'x'; buffer];
    let mut left = bytes;
    while left > 0 {
        let now = left.min(buffer.len() as u64) as usize;
        stream
            .write_all(&buffer[..now])
            .map_err(|e| format!("publisher: {e}"))?;
        left -= now as u64;
    }
    Ok(())
}

/// Reads to the end; gives the number of bytes.
fn subscribe(mut stream: UnixStream, buffer: usize) -> Result<u64, String> {
    let mut buffer = vec![0; buffer];
    let mut got = 0;
    loop {
        match stream
            .read(&mut buffer)
            .map_err(|e| format!("subscriber: {e}"))?
        {
            0 => return Ok(got),
            count => got += count as u64,
        }
    }
}

/// Relays to the publisher's end, in buffers of the usual size.
///
/// # Errors
/// If a socket fails, or somebody takes nothing any more.
pub fn hand_on(from: UnixStream, to: Vec<UnixStream>) -> Result<(), String> {
    relay(from, to, Setup::default().buffer).map(drop)
}

/// Relays to the publisher's end; gives the processor time it took.
fn relay(mut from: UnixStream, mut to: Vec<UnixStream>, buffer: usize) -> Result<Duration, String> {
    for stream in &to {
        stream.set_nonblocking(true).map_err(|e| e.to_string())?;
    }
    let mut buffer = vec![0; buffer];
    let before = cpu_time();
    loop {
        match from.read(&mut buffer).map_err(|e| format!("relay: {e}"))? {
            0 => return Ok(cpu_time() - before),
            count => hand_out(&mut to, &buffer[..count])?,
        }
    }
}

/// Writes all of `bytes` to each, waiting only for those who have no room.
fn hand_out(to: &mut [UnixStream], bytes: &[u8]) -> Result<(), String> {
    let mut waiting: Vec<(&mut UnixStream, &[u8])> = to.iter_mut().map(|s| (s, bytes)).collect();
    loop {
        for (stream, left) in &mut waiting {
            match stream.write(left) {
                Ok(count) => *left = &left[count..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(format!("relay: {e}")),
            }
        }
        waiting.retain(|(_, left)| !left.is_empty());
        if waiting.is_empty() {
            return Ok(());
        }
        let mut room: Vec<_> = waiting
            .iter()
            .map(|(stream, _)| PollFd::new(&**stream, PollFlags::OUT))
            .collect();
        match poll(&mut room, Some(&STUCK)) {
            Ok(0) => return Err("a subscriber takes nothing any more".into()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(format!("relay: {e}")),
        }
    }
}

/// This thread's processor time so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_arrives_at_every_subscriber() {
        let setup = Setup {
            frames: 10_001,
            buffer: 1000,
            ..Setup::default()
        };
        let figures = run(setup).unwrap();
        assert!(figures.deliveries_per_second > 0.0);
        assert!(figures.cpu_nanos_per_delivery > 0.0);
    }
}
