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

mod gone;
mod headers;
mod homes;
mod peek;
mod takers;

use std::{io, net::IpAddr, os::fd::OwnedFd, time::Instant};

use ostler_bus::vocab::status::ProxiedStatus;
use ostler_worker_sdk::proxy_protocol::IN_TIME;
use rustix::process::{Resource, getrlimit};

use self::{
    gone::Rounds,
    headers::{Headers, Outcome, Refusal},
    homes::Homes,
    takers::Takers,
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
    takers: Takers,
    /// Members, or the app's slots, stand otherwise than when that was last looked at.
    changed: bool,
    /// Looks for clients that have gone.
    rounds: Rounds,
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
            takers: Takers::default(),
            changed: false,
            rounds: Rounds::default(),
            most: most(),
            malformed: 0,
            late: 0,
        })
    }

    /// What is readable when [`Self::look`] would find something.
    pub(super) fn edges(&self) -> &OwnedFd {
        self.headers.edges()
    }

    /// A member has come, stands otherwise, or has gone.
    pub(super) fn members_changed(&mut self) {
        self.changed = true;
    }

    /// So the app's slots stand now.
    pub(super) fn stand(&mut self, services: &[Service]) {
        self.takers.stand(services);
        self.changed = true;
    }

    /// Finds homes for what waits as members and slots stand now, and lets go of what nobody will take or whose clients have gone.
    pub(super) fn review(&mut self, socket: &Served, pool: &mut Pool<Connection>, now: Instant) {
        let due = self.takers.due().is_some_and(|due| due <= now);
        if std::mem::take(&mut self.changed) || due {
            let (taking, listening) = (pool.homes(true).collect(), pool.homes(false).collect());
            self.takers.review(&taking, &listening, now);
            self.find_homes(pool);
            self.give_up(socket, pool);
        }
        let full = pool.waiting() > 0 && self.may_accept(pool) && self.space(pool) == 0;
        if self.rounds.begin(full, now) {
            let gone = gone::let_go(pool, self.kind, self.header);
            if gone > 0 {
                tracing::debug!("{}: {gone} clients have gone while they waited", socket.app);
            }
        }
    }

    fn find_homes(&mut self, pool: &mut Pool<Connection>) {
        let services = self.takers.services();
        let Ok(size) = u32::try_from(services.len()) else {
            return;
        };
        if size == 0 && !self.homes.are_known() {
            // Nothing was told yet.
            return;
        }
        self.homes.stand(size, &services);
        pool.move_home(|connection| self.home(connection.client));
        pool.awaits(self.takers.awaited());
    }

    /// Whoever might come would accept for itself: what waits would wait for ever.
    fn give_up(&self, socket: &Served, pool: &mut Pool<Connection>) {
        let lost = pool.waiting();
        if lost > 0 && pool.members().next().is_none() && self.takers.nobody_will() {
            pool.keep(|| false);
            let (app, name) = (&socket.app, &socket.name);
            tracing::warn!(
                "{app}: {lost} connections to the socket {name:?} were closed: the master had accepted them, and no worker takes connections from it any more"
            );
        }
    }

    /// The slot of this client.
    pub(super) fn home(&self, client: Option<IpAddr>) -> Option<u32> {
        client.and_then(|client| self.homes.of(client))
    }

    fn may_accept(&self, pool: &Pool<Connection>) -> bool {
        self.homes.are_known() && pool.has_room()
    }

    fn space(&self, pool: &Pool<Connection>) -> usize {
        let here = self.headers.awaited() + pool.waiting();
        self.most.saturating_sub(here)
    }

    /// How many connections to accept now: none while no worker at all has room, so that they wait in the kernel.
    pub(super) fn room(&self, pool: &Pool<Connection>) -> usize {
        match self.may_accept(pool) {
            true => self.space(pool),
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

    /// When there is something to do although nothing has happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let dues = [self.headers.due(), self.takers.due(), self.rounds.due()];
        dues.into_iter().flatten().min()
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
