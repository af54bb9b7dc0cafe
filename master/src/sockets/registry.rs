//! All sockets of all apps: the declared ones, bound for the master's life, and those that workers ask for.

mod asked;
mod binding;
mod gone;
mod groups;
mod kept;
mod left_out;
mod next;
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

use self::asked::any_port;
pub use self::{
    binding::Added,
    groups::{Reach, Retired},
    left_out::LeftOut,
    next::Next,
    strangers::{Shared, Stranger, strangers},
};
use super::{BindError, BoundSocket, ListenerWatch, Mended, Problem, StarterSockets};
use crate::{
    config::app::{AppDefinition, AppName, SocketDeclaration},
    sys::FdTable,
};

/// One socket for as long as it is bound, whoever has it. Never used again: what is late for a socket that was closed finds no
/// other.
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

/// The sockets of all apps. A worker gets those of its own generation's definition, in that order; one that the next definition
/// [leaves out](left_out) stays as long as a worker has it. What each slot has for itself stands in the place of its
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
    /// The app's next generation doesn't have it.
    left_out: bool,
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

    /// Whether this socket of the same name can't be bound while this one is: at its address, or as another group of that name.
    fn is_in_the_way_of(&self, other: &SocketDeclaration) -> bool {
        let is_group = |it: &SocketDeclaration| it.options.mode.is_group();
        let declaration = &self.declaration;
        let same_address = declaration.address == other.address && !any_port(&other.address);
        let groups = is_group(declaration) || is_group(other);
        declaration.name == other.name && (same_address || groups)
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

    fn declared(&self, app: &AppName, declaration: &SocketDeclaration) -> Option<&Declared> {
        let mut there = self.bound.get(app)?.iter();
        there.find(|there| there.declaration.is_bound_as(declaration))
    }

    fn declared_mut(
        &mut self,
        app: &AppName,
        declaration: &SocketDeclaration,
    ) -> Option<&mut Declared> {
        let mut there = self.bound.get_mut(app)?.iter_mut();
        there.find(|there| there.declaration.is_bound_as(declaration))
    }

    /// What a worker in this slot has, if it is made from this definition, in the order of its descriptors.
    fn held_by(&self, app: &AppDefinition, slot: Slot) -> impl Iterator<Item = &Held> {
        let its = app.listen.iter();
        let its = its.filter_map(|declaration| self.declared(&app.name, declaration));
        let held = its.flat_map(|declared| &declared.held);
        held.filter(move |held| held.socket.slot().is_none_or(|own| own == slot))
    }

    /// All of an app's sockets.
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

    /// Those of a worker of this definition in this slot, in the order of its descriptors.
    #[must_use]
    pub fn of_worker(&self, app: &AppDefinition, slot: Slot) -> Vec<&BoundSocket> {
        self.held_by(app, slot).map(|held| &held.socket).collect()
    }

    /// A worker's sockets whose connections it may be handed, in the order of its descriptors.
    #[must_use]
    pub fn handing_over(&self, app: &AppDefinition, slot: Slot) -> Vec<(SocketId, &BoundSocket)> {
        let held = self.held_by(app, slot);
        held.filter(|held| held.socket.hands_over())
            .map(|held| (held.id, &held.socket))
            .collect()
    }

    /// A socket and whose it is, as long as it is bound; of one that was passed on, who has it from now on.
    #[must_use]
    pub fn get(&self, id: SocketId) -> Option<(&AppName, &BoundSocket)> {
        let all = self.bound.iter();
        let all = all.flat_map(|(app, there)| there.iter().map(move |it| (app, it)));
        let its = all.filter_map(|(app, declared)| {
            let held = declared.held.iter().find(|held| held.id == id)?;
            Some((declared.left_out, (app, &held.socket)))
        });
        let its = its.min_by_key(|(left_out, _)| *left_out);
        its.map(|(_, its)| its).or_else(|| self.asked_for(id))
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
    pub fn descriptors(&self, app: &AppDefinition, slot: Slot) -> io::Result<Vec<OwnedFd>> {
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
        let app = self.get(id)?.0.clone();
        // The newest first: it may have been passed on within the app.
        let declared = self.bound.get_mut(&app).into_iter().flatten().rev();
        let declared = declared.flat_map(|declared| &mut declared.held);
        let asked = self.asked.get_mut(&app).into_iter().flatten();
        let asked = asked.map(asked::Asked::held);
        let held = declared.chain(asked).find(|held| held.id == id)?;
        Some(Again {
            app,
            name: held.socket.name().to_owned(),
            outcome: held.socket.listen_again(&mut self.table),
        })
    }

    /// The declared sockets of a worker of this definition in this slot, and their names.
    pub fn names(&self, app: &AppDefinition, slot: Slot) -> impl Iterator<Item = (SocketId, &str)> {
        let its = self.held_by(app, slot);
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
