//! A socket whose clients may keep their slots: where that makes a difference.

use std::{os::fd::OwnedFd, time::Instant};

use ostler_bus::{Slot, WorkerId};

use super::{
    super::{GRACE, proxied::Proxied},
    Desk,
};
use crate::{fleet::Service, sockets::Foreign};

impl Desk {
    /// Its clients keep their slots.
    pub(in super::super) fn sticks(&mut self, proxied: Proxied) {
        self.proxied = Some(proxied);
    }

    /// So the slots of its app stand now.
    pub(in super::super) fn stand(&mut self, services: &[Service]) {
        if let Some(proxied) = &mut self.proxied {
            proxied.stand(services);
        }
    }

    /// This worker lives there.
    pub(in super::super) fn lives(&mut self, id: WorkerId, slot: Slot) {
        self.pool.lives(id, slot.0);
        self.members_changed();
    }

    /// A member has come, stands otherwise, or has gone.
    pub(super) fn members_changed(&mut self) {
        self.changed = true;
        if let Some(proxied) = &mut self.proxied {
            proxied.members_changed();
        }
    }

    /// What is to be done because time has passed or things have changed.
    pub(super) fn review(&mut self, now: Instant) {
        if std::mem::take(&mut self.changed) {
            self.listening.stand(&self.pool.listening().collect(), now);
        }
        for id in self.listening.overdue(now) {
            let (app, name) = (&self.socket.app, &self.socket.name);
            tracing::warn!(
                "{app}: worker {id} is ready and listens on the socket {name:?}, but has asked for no connection in {} s: it gets none; \
                 hint: it should accept as soon as it says that it is ready, and always",
                GRACE.as_secs()
            );
        }
        if let Some(proxied) = &mut self.proxied {
            proxied.expire(&self.socket, now);
            proxied.review(&self.socket, &mut self.pool, now);
        }
    }

    /// More has come of connections.
    pub(in super::super) fn more_has_come(&mut self) {
        if let Some(proxied) = &mut self.proxied {
            for connection in proxied.look(&self.socket) {
                let home = proxied.home(connection.client);
                self.pool.accepted(connection, home);
                // The last member may have gone meanwhile.
                proxied.members_changed();
            }
        }
    }

    /// A connection was accepted. Whose it is may have to be waited for.
    pub(super) fn arrived(&mut self, connection: OwnedFd, now: Instant) {
        match &mut self.proxied {
            None => {
                let connection = Foreign::connection(connection, self.kind);
                self.pool.accepted(connection.into(), None);
            }
            Some(proxied) => {
                if let Some(connection) = proxied.arrive(&self.socket, connection, now) {
                    let home = proxied.home(connection.client);
                    self.pool.accepted(connection, home);
                }
            }
        }
    }

    /// How many connections to accept now.
    pub(super) fn room(&self) -> usize {
        match &self.proxied {
            None => self.pool.room(),
            Some(proxied) => proxied.room(&self.pool),
        }
    }
}
