//! All sockets of all apps: the declared ones, bound for the master's life, and those that workers ask for.

mod asked;
mod binding;
mod gone;
mod groups;
mod kept;
mod per_slot;
mod starters;
mod strangers;
#[cfg(test)]
mod tests;
mod tickets;

use std::{collections::BTreeMap, io, os::fd::OwnedFd};

pub use asked::{GivenBack, Got};

use ostler_bus::{Slot, vocab::status::SocketStatus};
use ostler_worker_sdk::tickets::Rotation;

pub use self::{
    binding::Added,
    groups::{Reach, Retired},
    strangers::{Shared, Stranger, strangers},
};
use super::{BindError, BoundSocket, ListenerWatch, Mended, Problem, StarterSockets};
use crate::{
    config::app::{AppName, SocketDeclaration},
    sys::FdTable,
};

/// One socket for as long as it is bound. Never used again: what is late for a socket that was closed finds no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u64);

#[cfg(test)]
impl SocketId {
    /// One that is no socket's, for tests of what only passes them on.
    pub(crate) fn made_up(number: u64) -> Self {
        Self(number)
    }
}

/// How it went to open a socket again.
#[derive(Debug)]
pub struct Again {
    /// Whose it is.
    pub app: AppName,
    /// Its name.
    pub name: String,
    /// Whether it listens.
    pub outcome: Result<Mended, BindError>,
}

/// The sockets of all apps. Those of an app keep their order, which is the order of its workers' descriptors: one that a
/// later definition adds comes last, one that it leaves out stays. What each slot has for itself stands in the place of its
/// declaration, for the slots there are; a worker gets that of its own.
#[derive(Debug, Default)]
pub struct Sockets {
    table: FdTable,
    starter: StarterSockets,
    bound: BTreeMap<AppName, Vec<Declared>>,
    asked: BTreeMap<AppName, Vec<asked::Asked>>,
    last: u64,
}

/// What was declared once, and is bound once, or once for each slot.
#[derive(Debug)]
struct Declared {
    declaration: SocketDeclaration,
    held: Vec<Held>,
    /// Sockets of slots that have gone, for when they come back.
    kept: Vec<Held>,
    /// The secrets for its session tickets, once somebody has asked for them.
    tickets: Option<Rotation>,
}

#[derive(Debug)]
struct Held {
    id: SocketId,
    socket: BoundSocket,
}

impl Declared {
    fn into_all(self) -> impl Iterator<Item = Held> {
        self.held.into_iter().chain(self.kept)
    }

    fn has(&self, slot: Option<Slot>) -> bool {
        self.held.iter().any(|held| held.socket.slot() == slot)
    }

    /// Whether what is bound can be shared as this declaration says.
    fn can_have(&self, declaration: &SocketDeclaration) -> Result<(), BindError> {
        let can = |held: &Held| held.socket.can_be(declaration.options.mode);
        match self.held.iter().all(can) {
            true => Ok(()),
            false => Err(BindError {
                name: declaration.name.clone(),
                address: declaration.address.clone(),
                problem: Problem::NoStreams,
            }),
        }
    }
}

impl Sockets {
    /// None yet, and what the master's own starter has passed on.
    #[must_use]
    pub fn new(starter: StarterSockets) -> Self {
        Self {
            starter,
            ..Self::default()
        }
    }

    fn held(&self, app: &AppName) -> impl Iterator<Item = &Held> {
        let declared = self.bound.get(app).into_iter().flatten();
        declared.flat_map(|declared| &declared.held)
    }

    /// All of an app's sockets, in the order of its workers' descriptors.
    #[must_use]
    pub fn of(&self, app: &AppName) -> Vec<&BoundSocket> {
        self.held(app).map(|held| &held.socket).collect()
    }

    /// The same by their ids, but for those that nobody can shut down.
    #[must_use]
    pub fn listeners(&self, app: &AppName) -> Vec<SocketId> {
        let held = self.held(app).filter(|held| held.socket.listens());
        held.map(|held| held.id).collect()
    }

    /// Those of a worker in this slot, in the order of its descriptors.
    #[must_use]
    pub fn of_worker(&self, app: &AppName, slot: Slot) -> Vec<&BoundSocket> {
        let sockets = self.of(app).into_iter();
        let its = |socket: &&BoundSocket| socket.slot().is_none_or(|own| own == slot);
        sockets.filter(its).collect()
    }

    /// A worker's sockets whose connections it may be handed, in the order of its descriptors.
    #[must_use]
    pub fn handing_over(&self, app: &AppName, slot: Slot) -> Vec<(SocketId, &BoundSocket)> {
        let its = |held: &&Held| held.socket.slot().is_none_or(|own| own == slot);
        let held = self.held(app).filter(its);
        held.filter(|held| held.socket.hands_over())
            .map(|held| (held.id, &held.socket))
            .collect()
    }

    /// A socket and whose it is, as long as it is bound.
    #[must_use]
    pub fn get(&self, id: SocketId) -> Option<(&AppName, &BoundSocket)> {
        let declared = self.bound.iter().find_map(|(app, declared)| {
            let mut held = declared.iter().flat_map(|declared| &declared.held);
            Some((app, &held.find(|held| held.id == id)?.socket))
        });
        declared.or_else(|| self.asked_for(id))
    }

    /// A duplicate of a socket; `None` if it is bound no more.
    #[must_use]
    pub fn duplicate(&self, id: SocketId) -> Option<io::Result<OwnedFd>> {
        let (_, socket) = self.get(id)?;
        Some(socket.duplicate(&self.table))
    }

    /// Duplicates of a worker's sockets.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn descriptors(&self, app: &AppName, slot: Slot) -> io::Result<Vec<OwnedFd>> {
        let sockets = self.of_worker(app, slot).into_iter();
        sockets
            .map(|socket| socket.duplicate(&self.table))
            .collect()
    }

    /// Tells when a worker shuts this listener down; `None` if there is no such socket any more.
    pub fn watch(&self, id: SocketId) -> Option<io::Result<ListenerWatch>> {
        let listener = self.duplicate(id)?;
        Some(listener.and_then(ListenerWatch::new))
    }

    /// Listens again on a socket that a worker has shut down; `None` if there is no such socket any more.
    pub fn listen_again(&mut self, id: SocketId) -> Option<Again> {
        let declared = self.bound.iter_mut().map(|(app, there)| {
            let held = there.iter_mut().flat_map(|there| &mut there.held);
            (app, held.collect::<Vec<_>>())
        });
        let asked = self.asked.iter_mut();
        let asked = asked.map(|(app, there)| (app, there.iter_mut().map(|it| it.held()).collect()));
        let (app, held) = declared.chain(asked).find_map(|(app, held)| {
            let mut held = held.into_iter();
            Some((app, held.find(|held| held.id == id)?))
        })?;
        Some(Again {
            app: app.clone(),
            name: held.socket.name().to_owned(),
            outcome: held.socket.listen_again(&mut self.table),
        })
    }

    /// The declared sockets of a worker in this slot, and their names.
    pub fn names(&self, app: &AppName, slot: Slot) -> impl Iterator<Item = (SocketId, &str)> {
        let its = self.held(app).filter(move |held| {
            let own = held.socket.slot();
            own.is_none_or(|own| own == slot)
        });
        its.map(|held| (held.id, held.socket.name()))
    }

    /// An app's sockets as status shows them.
    #[must_use]
    pub fn status(&self, app: &str) -> Vec<(SocketId, SocketStatus)> {
        let mut apps = self.bound.iter();
        let found = apps.find(|(name, _)| name.as_str() == app);
        let declared = found.into_iter().flat_map(|(_, declared)| declared);
        let held = declared.flat_map(|declared| &declared.held);
        held.map(|held| (held.id, held.socket.status(&self.table)))
            .chain(self.status_of_asked(app))
            .collect()
    }
}
