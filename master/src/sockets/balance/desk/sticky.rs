//! A socket whose clients may keep their slots: where that makes a difference.

use std::{os::fd::OwnedFd, time::Instant};

use ostler_bus::{Slot, WorkerId};

use super::{super::proxied::Proxied, Desk};
use crate::{fleet::Service, sockets::Foreign};

impl Desk {
    /// Its clients keep their slots.
    pub(in super::super) fn sticks(&mut self, proxied: Proxied) {
        self.proxied = Some(proxied);
    }

    /// So the slots of its app stand now.
    pub(in super::super) fn stand(&mut self, size: u32, services: &[Service]) {
        if let Some(proxied) = &mut self.proxied {
            proxied.stand(size, services);
        }
    }

    /// This worker lives there.
    pub(in super::super) fn lives(&mut self, id: WorkerId, slot: Slot) {
        if let Some(proxied) = &mut self.proxied {
            proxied.join(id, slot);
        }
    }

    /// More has come of connections.
    pub(in super::super) fn more_has_come(&mut self) {
        if let Some(proxied) = &mut self.proxied {
            for connection in proxied.look(&self.socket) {
                self.pool.accepted(connection);
            }
        }
    }

    /// A connection was accepted. Whose it is may have to be waited for.
    pub(super) fn arrived(&mut self, connection: OwnedFd, now: Instant) {
        let connection = match &mut self.proxied {
            None => Some(Foreign::connection(connection, self.kind).into()),
            Some(proxied) => proxied.arrive(&self.socket, connection, now),
        };
        if let Some(connection) = connection {
            self.pool.accepted(connection);
        }
    }

    /// Deals what waits.
    pub(super) fn deal(&mut self) {
        match &self.proxied {
            None => self.pool.deal(),
            Some(proxied) => proxied.deal(&mut self.pool),
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
