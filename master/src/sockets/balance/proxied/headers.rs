//! Connections whose headers have not come yet.
//!
//! Proxies send the header at once, so as a rule it is there when the connection is accepted. Where it isn't, the connection is watched:
//! each time that more comes of it, and only then, it is looked at again, until its time is over. So one that dribbles wakes the
//! thread as often as it has bytes of a header, which are few, and one that is silent not at all.

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use ostler_worker_sdk::proxy_protocol::{Header, IN_TIME, Malformed};
use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use super::peek::{Look, look};
use crate::sockets::Foreign;

/// Events taken in at once.
const EVENTS: usize = 64;

/// Not for each byte that waits, but for each that comes; and if no more will come.
const MORE: EventFlags = EventFlags::IN
    .union(EventFlags::RDHUP)
    .union(EventFlags::ET);

/// What became of a connection whose header was waited for.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The header is there.
    Whole(Foreign, Header),
    /// It will never be.
    Refused(Foreign, Refusal),
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It begins otherwise.
    Malformed(Malformed),
    /// Descriptors came with its header.
    Descriptors,
    /// It ended within its header.
    CutShort,
    /// It has taken too long.
    Late,
    /// It ended without a byte, as those do that only try whether somebody listens.
    Gone,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Headers {
    /// Readable when more has come of one of them.
    epoll: OwnedFd,
    /// The oldest first: numbers grow, and each has as long as any other.
    awaited: BTreeMap<u64, Awaited>,
    last: u64,
}

#[derive(Debug)]
struct Awaited {
    fd: Foreign,
    until: Instant,
}

impl Headers {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            awaited: BTreeMap::new(),
            last: 0,
        })
    }

    /// What is readable when more has come.
    pub(super) fn edges(&self) -> &OwnedFd {
        &self.epoll
    }

    /// How many are waited for.
    pub(super) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// When the next one has taken too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.awaited.values().next().map(|first| first.until)
    }

    /// A connection was accepted: what becomes of it, if that can be told already.
    ///
    /// # Errors
    /// If it can't be watched.
    pub(super) fn arrive(&mut self, fd: Foreign, now: Instant) -> io::Result<Option<Outcome>> {
        let fd = match judge(fd, false) {
            Ok(outcome) => return Ok(Some(outcome)),
            Err(fd) => fd,
        };
        self.last += 1;
        // What has come by now is told as well.
        epoll::add(&self.epoll, &fd, EventData::new_u64(self.last), MORE)?;
        let until = now + IN_TIME;
        self.awaited.insert(self.last, Awaited { fd, until });
        Ok(None)
    }

    /// Looks at those of which more has come.
    ///
    /// # Errors
    /// If they can't be waited for.
    pub(super) fn look(&mut self) -> io::Result<Vec<Outcome>> {
        let mut events = [const {
            Event {
                flags: EventFlags::empty(),
                data: EventData::new_u64(0),
            }
        }; EVENTS];
        let now = Timespec::default();
        let come = match epoll::wait(&self.epoll, &mut events[..], Some(&now)) {
            Ok(come) => come,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let hung_up = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let mut outcomes = Vec::new();
        for event in &events[..come] {
            let (number, flags) = (event.data.u64(), event.flags);
            let Some(it) = self.awaited.remove(&number) else {
                continue;
            };
            match judge(it.fd, flags.intersects(hung_up)) {
                Ok(outcome) => {
                    self.unwatch(outcome.connection());
                    outcomes.push(outcome);
                }
                Err(fd) => {
                    let until = it.until;
                    self.awaited.insert(number, Awaited { fd, until });
                }
            }
        }
        Ok(outcomes)
    }

    /// Gives up those that have taken too long.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Outcome> {
        let mut late = Vec::new();
        while let Some(first) = self.awaited.first_entry() {
            if first.get().until > now {
                break;
            }
            let fd = first.remove().fd;
            self.unwatch(&fd);
            late.push(Outcome::Refused(fd, Refusal::Late));
        }
        late
    }

    /// The description will be a worker's too: closing ours would not end the watch.
    fn unwatch(&self, connection: impl AsFd) {
        if let Err(error) = epoll::delete(&self.epoll, connection) {
            tracing::debug!("it was not watched: {error}");
        }
    }
}

impl Outcome {
    fn connection(&self) -> &Foreign {
        match self {
            Self::Whole(fd, _) | Self::Refused(fd, _) => fd,
        }
    }
}

/// What becomes of a connection, of which no more may come; it is given back if that can't be told yet.
fn judge(fd: Foreign, ended: bool) -> Result<Outcome, Foreign> {
    let refusal = match look(&fd) {
        Look::Whole(header) => return Ok(Outcome::Whole(fd, header)),
        Look::Part if !ended => return Err(fd),
        Look::Part => Refusal::CutShort,
        Look::Malformed(malformed) => Refusal::Malformed(malformed),
        Look::Descriptors => Refusal::Descriptors,
        Look::Gone => Refusal::Gone,
    };
    Ok(Outcome::Refused(fd, refusal))
}
