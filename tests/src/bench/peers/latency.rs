//! How long one event takes, where they come one by one.
//!
//! The publisher sends one each millisecond, with the time of its writing in it; each reader subtracts that from the time at which it has
//! it. Both clocks are the machine's one.

use std::time::Duration;

use rustix::{
    thread::{NanosleepRelativeResult, nanosleep},
    time::{ClockId, Timespec, clock_gettime},
};

use super::{
    conduct::{Part, Party},
    line::Address,
    party::{Allowance, ready},
    wire::Wire,
};
use crate::bench::roles::{Role, end_with_stdin};

/// Between two events.
const BEAT: Duration = Duration::from_millis(1);

/// Events at the beginning that don't count: caches are cold.
const WARM_UP: usize = 100;

/// Bytes of a payload; its time stands at the beginning.
pub const PAYLOAD: usize = 64;

/// Latencies of a run, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Half were faster.
    pub p50: f64,
    /// Nine in ten were.
    pub p90: f64,
    /// All but one in a hundred were.
    pub p99: f64,
}

impl Latency {
    /// Of so many nanoseconds each.
    ///
    /// # Errors
    /// If there are none.
    pub fn of(mut nanos: Vec<u64>) -> Result<Self, String> {
        nanos.sort_unstable();
        let at = |hundredth: usize| {
            let nth = nanos.get(nanos.len() * hundredth / 100);
            nth.map(|nanos| *nanos as f64 / 1e3).ok_or("nothing came")
        };
        Ok(Self {
            p50: at(50)?,
            p90: at(90)?,
            p99: at(99)?,
        })
    }
}

/// Sends so many events, one each millisecond, to so many readers; gives what all of them measured.
///
/// # Errors
/// If anybody fails.
pub fn run(
    wire: Wire,
    publishers: &Address,
    subscribers: &Address,
    readers: usize,
    events: usize,
) -> Result<Latency, String> {
    let count = (events + WARM_UP).to_string();
    let (from, to) = (publishers.to_string(), subscribers.to_string());
    let mut hearing = Vec::new();
    for _ in 0..readers {
        hearing.push(Role::start("time", &[wire.name(), &to, &count])?);
    }
    let mut tick = Party::start(Part::Publishes, "tick", &[wire.name(), &from, &count])?;
    for reader in &mut hearing {
        reader.line()?;
    }
    tick.begin()?;
    let mut all = Vec::new();
    for reader in &mut hearing {
        let line = reader.line()?;
        all.extend(
            line.split(' ')
                .filter_map(|nanos| nanos.parse::<u64>().ok()),
        );
    }
    Latency::of(all)
}

/// The machine's time, in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

fn arguments(args: &[String]) -> Result<(Wire, Address, usize), String> {
    let [wire, address, count] = args else {
        return Err("usage: WIRE ADDRESS EVENTS".into());
    };
    let count = count.parse().map_err(|_| "EVENTS is no number")?;
    Ok((wire.parse()?, address.parse()?, count))
}

/// A role: publishes one event each millisecond.
pub(super) fn tick(args: &[String]) -> Result<(), String> {
    let (wire, address, count) = arguments(args)?;
    let mut line = wire.connect(&address, true)?;
    if wire.answers_publishers() {
        let mut answers = line.again()?;
        std::thread::spawn(move || while answers.read(&mut [0; 4096]).is_ok() {});
    }
    let mut allowance = Allowance::listen();
    ready()?;
    futures::executor::block_on(allowance.until(1))?;
    let mut event = wire.event(&[0; PAYLOAD]);
    let time_at = event.len() - wire.tail() - PAYLOAD;
    let mut due = now();
    for _ in 0..count {
        due += BEAT.as_nanos() as u64;
        sleep_until(due);
        event[time_at..time_at + 8].copy_from_slice(&now().to_be_bytes());
        line.write(&event)?;
    }
    loop {
        std::thread::park();
    }
}

fn sleep_until(due: u64) {
    let mut left = Duration::from_nanos(due.saturating_sub(now()));
    while let Ok(time) = Timespec::try_from(left)
        && !left.is_zero()
        && let NanosleepRelativeResult::Interrupted(rest) = nanosleep(&time)
    {
        left = Duration::try_from(rest).unwrap_or_default();
    }
}

/// A role: says when it has subscribed, and, once all have come, how long each took.
pub(super) fn time(args: &[String]) -> Result<(), String> {
    let (wire, address, count) = arguments(args)?;
    end_with_stdin();
    let mut line = wire.connect(&address, false)?;
    if wire != Wire::Raw {
        wire.subscribe(&mut line, &address)?;
    }
    println!("ready");
    let mut took = Vec::with_capacity(count);
    let mut buffer = vec![0; 64 << 10];
    let mut filled = line.came.len();
    buffer[..filled].copy_from_slice(&line.came);
    while took.len() < count {
        filled += line.read(&mut buffer[filled..])?;
        let now = now();
        let mut at = 0;
        while let Some(piece) = wire.piece(&buffer[at..filled], PAYLOAD)? {
            if at + piece.size > filled {
                break;
            }
            at += piece.size;
            // Several at once have the same end: from there back they are of the same size.
            let one = wire.event(&[0; PAYLOAD]).len();
            for back in (0..piece.events as usize).rev() {
                let end = at - back * one - wire.tail();
                let sent = &buffer[end - PAYLOAD..][..8];
                let sent = sent.try_into().map_or(0, u64::from_be_bytes);
                took.push(now.saturating_sub(sent));
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    let words: Vec<String> = took[WARM_UP..].iter().map(u64::to_string).collect();
    println!("{}", words.join(" "));
    super::server::linger();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted() {
        let latency = Latency::of((1..=1000).rev().map(|n| n * 1000).collect()).unwrap();
        assert_eq!(
            (latency.p50, latency.p90, latency.p99),
            (501.0, 901.0, 991.0)
        );
        assert!(Latency::of(vec![]).is_err());
    }
}
