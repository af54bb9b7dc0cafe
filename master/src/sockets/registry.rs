//! All declared sockets of all apps, bound, for the master's life.

use std::{collections::BTreeMap, io, os::fd::OwnedFd};

use ostler_bus::vocab::status::SocketStatus;

use super::{BindError, BoundSocket, ListenerWatch, Mended, Problem, bind, trial};
use crate::{
    config::app::{AppDefinition, AppName, SocketDeclaration},
    sys::FdTable,
};

/// One socket for as long as it is bound. Never used again: what is late for a socket that was closed finds no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u64);

/// The sockets that a definition has added.
#[derive(Debug)]
#[must_use = "they stay bound unless they are taken back"]
pub struct Added {
    app: AppName,
    ids: Vec<SocketId>,
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
/// later definition adds comes last, one that it leaves out stays.
#[derive(Debug, Default)]
pub struct Sockets {
    table: FdTable,
    bound: BTreeMap<AppName, Vec<Held>>,
    last: u64,
}

#[derive(Debug)]
struct Held {
    id: SocketId,
    socket: BoundSocket,
}

impl Sockets {
    /// What would keep an app's sockets from being bound, each by itself; nothing is bound.
    #[must_use]
    pub fn check(&self, app: &AppDefinition) -> Vec<BindError> {
        let declarations = app.listen.iter();
        let errors =
            declarations.map(|declaration| match self.missing(&app.name, declaration)? {
                true => trial(declaration),
                false => Ok(()),
            });
        errors.filter_map(Result::err).collect()
    }

    /// Binds what an app declares and doesn't have yet: all of it, or nothing.
    ///
    /// # Errors
    /// For the first that can't be bound.
    pub fn bind(&mut self, app: &AppDefinition) -> Result<Added, BindError> {
        let mut added = Added {
            app: app.name.clone(),
            ids: Vec::new(),
        };
        for declaration in &app.listen {
            match self.bind_missing(&app.name, declaration) {
                Ok(new) => added.ids.extend(new),
                Err(error) => {
                    self.take_back(added);
                    return Err(error);
                }
            }
        }
        Ok(added)
    }

    fn bind_missing(
        &mut self,
        app: &AppName,
        declaration: &SocketDeclaration,
    ) -> Result<Option<SocketId>, BindError> {
        if !self.missing(app, declaration)? {
            return Ok(None);
        }
        let socket = bind(app, declaration, &mut self.table)?;
        self.last += 1;
        let id = SocketId(self.last);
        let there = self.bound.entry(app.clone()).or_default();
        there.push(Held { id, socket });
        Ok(Some(id))
    }

    /// Whether an app doesn't have this socket yet.
    fn missing(&self, app: &AppName, declaration: &SocketDeclaration) -> Result<bool, BindError> {
        let mut there = self.of(app).into_iter();
        match there.find(|socket| socket.name() == declaration.name) {
            None => Ok(true),
            Some(socket) if socket.declaration() == declaration => Ok(false),
            Some(_) => Err(BindError {
                name: declaration.name.clone(),
                address: declaration.address.clone(),
                problem: Problem::Changed,
            }),
        }
    }

    /// Closes what a definition has added, which is not taken up after all.
    pub fn take_back(&mut self, added: Added) {
        let there = self.bound.remove(&added.app).unwrap_or_default();
        let (gone, kept): (Vec<Held>, Vec<Held>) = there
            .into_iter()
            .partition(|held| added.ids.contains(&held.id));
        self.close(&added.app, gone);
        if !kept.is_empty() {
            self.bound.insert(added.app, kept);
        }
    }

    /// An app's sockets, in the order of its workers' descriptors.
    #[must_use]
    pub fn of(&self, app: &AppName) -> Vec<&BoundSocket> {
        let held = self.bound.get(app).into_iter().flatten();
        held.map(|held| &held.socket).collect()
    }

    /// The same by their ids.
    #[must_use]
    pub fn ids(&self, app: &AppName) -> Vec<SocketId> {
        let held = self.bound.get(app).into_iter().flatten();
        held.map(|held| held.id).collect()
    }

    /// Whether a socket is still bound.
    #[must_use]
    pub fn has(&self, id: SocketId) -> bool {
        self.bound.values().flatten().any(|held| held.id == id)
    }

    /// Duplicates of an app's listeners, for a worker.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn descriptors(&self, app: &AppName) -> io::Result<Vec<OwnedFd>> {
        let sockets = self.of(app).into_iter();
        sockets
            .map(|socket| socket.duplicate(&self.table))
            .collect()
    }

    /// Tells when a worker shuts this listener down; `None` if there is no such socket any more.
    pub fn watch(&self, id: SocketId) -> Option<io::Result<ListenerWatch>> {
        let held = self.bound.values().flatten().find(|held| held.id == id)?;
        Some(
            held.socket
                .duplicate(&self.table)
                .and_then(ListenerWatch::new),
        )
    }

    /// Listens again on a socket that a worker has shut down; `None` if there is no such socket any more.
    pub fn listen_again(&mut self, id: SocketId) -> Option<Again> {
        let (app, held) = self.bound.iter_mut().find_map(|(app, sockets)| {
            let held = sockets.iter_mut().find(|held| held.id == id)?;
            Some((app, held))
        })?;
        Some(Again {
            app: app.clone(),
            name: held.socket.name().to_owned(),
            outcome: held.socket.listen_again(&mut self.table),
        })
    }

    /// Closes an app's sockets.
    pub fn forget(&mut self, app: &AppName) {
        let gone = self.bound.remove(app).unwrap_or_default();
        self.close(app, gone);
    }

    /// They are shut down, so that their addresses are free at once, whoever else still holds them.
    fn close(&mut self, app: &AppName, sockets: Vec<Held>) {
        for Held { socket, .. } in sockets {
            let shut = socket.duplicate(&self.table).and_then(|listener| {
                rustix::net::shutdown(listener, rustix::net::Shutdown::Both)
                    .map_err(io::Error::from)
            });
            if let Err(error) = shut {
                let name = socket.name();
                tracing::debug!("{app}: the socket {name:?} was not shut down: {error}");
            }
            socket.close(&mut self.table);
        }
    }

    /// An app's sockets as status shows them.
    #[must_use]
    pub fn status(&self, app: &str) -> Vec<SocketStatus> {
        let sockets = self
            .bound
            .iter()
            .find(|(name, _)| name.as_str() == app)
            .map(|(_, sockets)| sockets);
        let status = |held: &Held| SocketStatus {
            name: held.socket.name().into(),
            address: held.socket.address().to_string(),
            mode: "shared".into(),
        };
        sockets.into_iter().flatten().map(status).collect()
    }
}

#[cfg(test)]
mod tests;
