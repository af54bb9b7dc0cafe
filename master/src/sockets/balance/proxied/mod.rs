//! Sockets behind a proxy that keep each client at its slot: who the client is stands in a header of the PROXY protocol, at the beginning
//! of each connection.
//!
//! ```text
//!  accepted ──► headers (looked at, not taken) ──► stripped, if wanted ──► waiting ── deal: a worker of its client's slot ──► handed
//!                  │                                                          ▲
//!                  └──► refused: none, or not in time                         └── homes (pure): whose clients are whose
//! ```
//! All that is different from sockets whose connections go to any worker is here; how connections are handed over, taken and given
//! again is the pool's affair as ever. What a slot has no room for waits here while others are served, and not for ever in any number:
//! with [`Proxied::room`] used up nothing more is accepted, and the rest waits in the kernel.

mod headers;
mod homes;
mod peek;

use std::{collections::HashMap, io, os::fd::OwnedFd, time::Instant};

use ostler_bus::{Slot, WorkerId, vocab::status::ProxiedStatus};
use ostler_worker_sdk::proxy_protocol::IN_TIME;
use rustix::process::{Resource, getrlimit};

use self::{
    headers::{Headers, Outcome, Refusal},
    homes::Homes,
};
use super::{connection::Connection, inbox::Served, pool::Pool};
use crate::{
    config::app::ProxyHeader,
    fleet::Service,
    sockets::{Foreign, foreign::Kind},
};

/// Connections that may be here and no worker's: as many as wait in the kernel by default.
const ROOM: usize = 1024;

/// The same, and no more than an eighth of the descriptors that the master may have open.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let most = limit.and_then(|limit| usize::try_from(limit / 8).ok());
    most.unwrap_or(ROOM).clamp(1, ROOM)
}

/// What a socket has besides, whose clients are known by headers.
#[derive(Debug)]
pub(super) struct Proxied {
    header: ProxyHeader,
    kind: Kind,
    headers: Headers,
    homes: Homes,
    /// Where the workers live.
    slots: HashMap<WorkerId, Slot>,
    most: usize,
    /// Refused so far: what was no header, and what didn't come in time.
    malformed: u64,
    late: u64,
}

impl Proxied {
    pub(super) fn new(header: ProxyHeader, kind: Kind) -> io::Result<Self> {
        Ok(Self {
            header,
            kind,
            headers: Headers::new()?,
            homes: Homes::default(),
            slots: HashMap::new(),
            most: most(),
            malformed: 0,
            late: 0,
        })
    }

    /// What is readable when [`Self::look`] would find something.
    pub(super) fn edges(&self) -> &OwnedFd {
        self.headers.edges()
    }

    /// A worker takes connections.
    pub(super) fn join(&mut self, id: WorkerId, slot: Slot) {
        self.slots.insert(id, slot);
    }

    /// It takes none any more.
    pub(super) fn leave(&mut self, id: WorkerId) {
        self.slots.remove(&id);
    }

    /// So the app's slots stand now.
    pub(super) fn stand(&mut self, size: u32, services: &[Service]) {
        self.homes.stand(size, services);
    }

    /// How many connections to accept now: none while no worker at all has room, so that they wait in the kernel.
    pub(super) fn room(&self, pool: &Pool<Connection>) -> usize {
        match self.homes.are_known() && pool.has_room() {
            true => {
                let here = self.headers.awaited() + pool.waiting();
                self.most.saturating_sub(here)
            }
            false => 0,
        }
    }

    /// A connection was accepted; given if it can be dealt.
    pub(super) fn arrive(
        &mut self,
        socket: &Served,
        connection: OwnedFd,
        now: Instant,
    ) -> Option<Connection> {
        let connection = Foreign::connection(connection, self.kind);
        match self.headers.arrive(connection, now) {
            Ok(outcome) => self.settle(socket, outcome?),
            Err(error) => {
                tracing::error!("{}: a connection was lost: {error}", socket.app);
                None
            }
        }
    }

    /// Looks at those of which more has come; gives what can be dealt.
    pub(super) fn look(&mut self, socket: &Served) -> Vec<Connection> {
        match self.headers.look() {
            Ok(outcomes) => outcomes
                .into_iter()
                .filter_map(|outcome| self.settle(socket, outcome))
                .collect(),
            Err(error) => {
                tracing::error!("{}: headers can't be waited for: {error}", socket.app);
                Vec::new()
            }
        }
    }

    /// Refuses those that have taken too long.
    pub(super) fn expire(&mut self, socket: &Served, now: Instant) {
        for outcome in self.headers.expire(now) {
            let _refused = self.settle(socket, outcome);
        }
    }

    /// When the next one has taken too long.
    pub(super) fn due(&self) -> Option<Instant> {
        self.headers.due()
    }

    /// Deals what waits to the workers of its clients' slots.
    pub(super) fn deal(&self, pool: &mut Pool<Connection>) {
        let home = |connection: &Connection| connection.client.and_then(|it| self.homes.of(it));
        let homes = |id: WorkerId| self.slots.get(&id).map(|slot| slot.0);
        pool.deal_home(home, homes);
    }

    fn settle(&mut self, socket: &Served, outcome: Outcome) -> Option<Connection> {
        let (fd, header) = match outcome {
            Outcome::Whole(fd, header) => (fd, header),
            Outcome::Refused(fd, refusal) => {
                self.refuse(socket, fd, refusal);
                return None;
            }
        };
        let client = peek::client(&fd, &header);
        let ready = match self.header {
            ProxyHeader::Keep => Ok(()),
            ProxyHeader::Strip => peek::strip(&fd, &header),
        };
        match ready {
            Ok(()) => Some(Connection::of(client, fd)),
            Err(error) => {
                tracing::debug!("{}: a connection has broken: {error}", socket.app);
                None
            }
        }
    }

    /// Closes it, counts it, and says so of the first of its kind.
    fn refuse(&mut self, socket: &Served, connection: Foreign, refusal: Refusal) {
        let (count, why) = match refusal {
            Refusal::Gone => return,
            Refusal::Malformed(malformed) => (&mut self.malformed, malformed.to_string()),
            Refusal::Descriptors => (&mut self.malformed, "descriptors came with it".into()),
            Refusal::CutShort => (&mut self.malformed, "it ended within its header".into()),
            Refusal::Late => {
                let waited = IN_TIME.as_secs();
                let text = format!("its header had not come after {waited} s");
                (&mut self.late, text)
            }
        };
        let first = *count == 0;
        *count += 1;
        let from = peek::peer(&connection);
        let from = from.map_or_else(|| "a Unix socket".into(), |peer| peer.to_string());
        drop(connection);
        let (app, name) = (&socket.app, &socket.name);
        match first {
            true => tracing::warn!(
                "{app}: a connection from {from} to the socket {name:?} was refused: {why}; more are counted, and not told; \
                 hint: with proxy_protocol only proxies may connect, and must be told to send the header (haproxy: send-proxy, nginx: proxy_protocol on)"
            ),
            false => tracing::debug!(
                "{app}: a connection from {from} to the socket {name:?} was refused: {why}"
            ),
        }
    }

    /// How things stand.
    pub(super) fn status(&self) -> ProxiedStatus {
        ProxiedStatus {
            header: match self.header {
                ProxyHeader::Keep => "keep".into(),
                ProxyHeader::Strip => "strip".into(),
            },
            awaited: self.headers.awaited() as u64,
            malformed: self.malformed,
            late: self.late,
            buckets: self.homes.shares(),
        }
    }
}

#[cfg(test)]
mod tests;
