//! The brokers' protocols, as far as publishing and counting take.
//!
//! Each is a module of four functions: `greet` says what must be said first, `subscribe` returns when the broker has it,
//! `event` is one event as it is published, and `piece` tells how many bytes and events the next thing is that arrives.

mod dbus;
mod mqtt;
mod nats;
pub mod ostler;
mod raw;
mod redis;
pub(super) mod zmtp;

use std::str::FromStr;

use super::line::{Address, Line};

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A hub's.
    Ostler,
    /// Payloads and nothing else: the relay's.
    Raw,
    /// NATS's text protocol.
    Nats,
    /// Redis's RESP 2, publish and subscribe.
    Redis,
    /// MQTT 3.1.1, quality of service 0.
    Mqtt,
    /// ZeroMQ's ZMTP 3.0, PUB and SUB.
    Zmtp,
    /// D-Bus signals.
    Dbus,
}

/// What arrives next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes, in all.
    pub size: usize,
    /// How many events it is.
    pub events: u64,
    /// How many it says were lost.
    pub lost: u64,
}

impl Piece {
    fn event(size: usize) -> Self {
        Self {
            size,
            events: 1,
            lost: 0,
        }
    }

    fn other(size: usize) -> Self {
        Self {
            size,
            events: 0,
            lost: 0,
        }
    }
}

impl Wire {
    const NAMES: [(&'static str, Self); 7] = [
        ("ostler", Self::Ostler),
        ("raw", Self::Raw),
        ("nats", Self::Nats),
        ("redis", Self::Redis),
        ("mqtt", Self::Mqtt),
        ("zmtp", Self::Zmtp),
        ("dbus", Self::Dbus),
    ];

    /// Its name, for a role's arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::NAMES.iter().find(|(_, wire)| *wire == self);
        named.map_or("", |(name, _)| name)
    }

    /// Connects, and says what must be said first.
    ///
    /// # Errors
    /// If nobody is there, or speaks something else.
    pub fn connect(self, to: &Address, publishes: bool) -> Result<Line, String> {
        let mut line = Line::connect(to)?;
        match self {
            Self::Ostler => ostler::greet(&mut line, "postcard")?,
            Self::Raw => raw::greet(&mut line, publishes)?,
            Self::Nats => nats::greet(&mut line)?,
            Self::Redis => {}
            Self::Mqtt => mqtt::greet(&mut line)?,
            Self::Zmtp => zmtp::greet(&mut line, publishes)?,
            Self::Dbus => dbus::greet(&mut line)?,
        }
        Ok(line)
    }

    /// Subscribes; returns when the broker has it.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn subscribe(self, line: &mut Line, to: &Address) -> Result<(), String> {
        match self {
            Self::Ostler => ostler::subscribe(line, ostler::Options::default()),
            Self::Raw => Ok(()),
            Self::Nats => nats::subscribe(line),
            Self::Redis => redis::subscribe(line),
            Self::Mqtt => mqtt::subscribe(line),
            Self::Zmtp => zmtp::subscribe(line, to),
            Self::Dbus => dbus::subscribe(line),
        }
    }

    /// One event, as it is published.
    #[must_use]
    pub fn event(self, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::Ostler => ostler::event(payload),
            Self::Raw => payload.to_vec(),
            Self::Nats => nats::event(payload),
            Self::Redis => redis::event(payload),
            Self::Mqtt => mqtt::event(payload),
            Self::Zmtp => zmtp::event(payload),
            Self::Dbus => dbus::event(payload),
        }
    }

    /// What `bytes` begin with; `None` if there are too few to tell. `payload` is the size of every payload.
    ///
    /// # Errors
    /// If that is nothing that may come.
    pub fn piece(self, bytes: &[u8], payload: usize) -> Result<Option<Piece>, String> {
        match self {
            Self::Ostler => ostler::piece(bytes),
            Self::Raw => Ok((!bytes.is_empty()).then(|| Piece::event(payload))),
            Self::Nats => nats::piece(bytes, payload),
            Self::Redis => redis::piece(bytes, payload),
            Self::Mqtt => mqtt::piece(bytes),
            Self::Zmtp => zmtp::piece(bytes),
            Self::Dbus => dbus::piece(bytes),
        }
    }

    /// Bytes after an event's payload.
    #[must_use]
    pub fn tail(self) -> usize {
        match self {
            Self::Nats | Self::Redis => 2,
            Self::Ostler | Self::Raw | Self::Mqtt | Self::Zmtp | Self::Dbus => 0,
        }
    }

    /// Whether the broker answers what is published, so that a publisher must read.
    #[must_use]
    pub fn answers_publishers(self) -> bool {
        match self {
            Self::Redis | Self::Zmtp => true,
            Self::Ostler | Self::Raw | Self::Nats | Self::Mqtt | Self::Dbus => false,
        }
    }
}

impl FromStr for Wire {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::NAMES.iter().find(|(known, _)| *known == name);
        named
            .map(|(_, wire)| *wire)
            .ok_or(format!("{name:?} is no protocol"))
    }
}

/// Counts events in what arrives, wherever the bytes are cut.
#[derive(Debug)]
pub struct Counter {
    wire: Wire,
    payload: usize,
    /// Bytes of the current piece that are still to come.
    skip: usize,
    /// The last event's size and first bytes: where the next ones look alike, they are counted together.
    like: Option<(usize, [u8; 4])>,
}

/// What a [`Counter`] made of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes it has no further use for.
    pub used: usize,
    /// Events.
    pub read: u64,
    /// Events that the broker says were lost.
    pub lost: u64,
}

impl Counter {
    /// Of a protocol, where every payload has so many bytes.
    #[must_use]
    pub fn new(wire: Wire, payload: usize) -> Self {
        Self {
            wire,
            payload,
            skip: 0,
            like: None,
        }
    }

    /// Counts.
    ///
    /// # Errors
    /// If something arrives that may not.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Counted, String> {
        let mut sum = Counted::default();
        loop {
            let skipped = self.skip.min(bytes.len() - sum.used);
            sum.used += skipped;
            self.skip -= skipped;
            let rest = &bytes[sum.used..];
            if let Some(alike) = self.alike(rest) {
                sum.used += alike * self.like.map_or(0, |(size, _)| size);
                sum.read += alike as u64;
                continue;
            }
            let Some(piece) = self.wire.piece(rest, self.payload)? else {
                return Ok(sum);
            };
            sum.read += piece.events;
            sum.lost += piece.lost;
            self.skip = piece.size;
            let is_alike = piece.events == 1 && self.wire != Wire::Ostler;
            self.like = match rest.first_chunk() {
                Some(first) if is_alike => Some((piece.size, *first)),
                Some(_) | None => None,
            };
        }
    }

    /// How many events, two at least, look like the last one.
    fn alike(&self, rest: &[u8]) -> Option<usize> {
        let (size, first) = self.like?;
        let count = rest.len() / size;
        let begins = |at: usize| self.wire == Wire::Raw || rest[at * size..].starts_with(&first);
        (count > 1 && begins(0) && begins(count - 1)).then_some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a broker sends for what a publisher sends.
    fn delivered(wire: Wire, payload: &[u8]) -> Vec<u8> {
        let topic = super::super::TOPIC;
        let text = |head: String| [head.as_bytes(), payload, b"\r\n"].concat();
        match wire {
            Wire::Nats => text(format!("MSG {topic} 1 {}\r\n", payload.len())),
            Wire::Redis => text(format!(
                "*3\r\n$7\r\nmessage\r\n${}\r\n{topic}\r\n${}\r\n",
                topic.len(),
                payload.len()
            )),
            Wire::Raw | Wire::Mqtt | Wire::Zmtp | Wire::Dbus => wire.event(payload),
            Wire::Ostler => ostler::run_of(&[payload, payload]),
        }
    }

    #[test]
    fn events_are_counted_wherever_the_bytes_are_cut() {
        for (name, wire) in Wire::NAMES {
            for size in [64, 1024] {
                let one = delivered(wire, &vec![b'x'; size]);
                let stream = one.repeat(5);
                let each = if wire == Wire::Ostler { 2 } else { 1 };
                for cut in 0..stream.len() {
                    let mut counter = Counter::new(wire, size);
                    let first = counter.take(&stream[..cut]).unwrap();
                    let second = counter.take(&stream[first.used..]).unwrap();
                    assert_eq!(
                        first.used + second.used,
                        stream.len(),
                        "{name} cut at {cut}"
                    );
                    assert_eq!(first.read + second.read, 5 * each, "{name} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_event_is_not_counted() {
        let ping = b"PING\r\n".as_slice();
        let event = delivered(Wire::Nats, &[0; 64]);
        let stream = [&event, ping, &event, &event, &event].concat();
        let counted = Counter::new(Wire::Nats, 64).take(&stream).unwrap();
        assert_eq!((counted.used, counted.read), (stream.len(), 4));
        assert!(Counter::new(Wire::Nats, 64).take(b"-ERR 'x'\r\n").is_err());
    }
}
