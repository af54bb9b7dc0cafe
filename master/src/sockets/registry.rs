//! All declared sockets of all apps, bound, for the master's life.

use std::{collections::BTreeMap, io, os::fd::OwnedFd};

use ostler_bus::vocab::status::SocketStatus;

use super::{BindError, BoundSocket, ListenerWatch, Mended, Problem, bind_all};
use crate::{
    config::app::{AppDefinition, AppName, SocketMode},
    sys::FdTable,
};

/// The sockets of all apps. Those of an app keep their order, which is the order of its workers' descriptors: one that a
/// later definition adds comes last, one that it leaves out stays.
#[derive(Debug, Default)]
pub struct Sockets {
    table: FdTable,
    bound: BTreeMap<AppName, Vec<BoundSocket>>,
}

impl Sockets {
    /// Binds what an app declares and doesn't have yet: all of it, or nothing.
    ///
    /// # Errors
    /// For the first that can't be bound.
    pub fn bind(&mut self, app: &AppDefinition) -> Result<(), BindError> {
        let there = self.bound.entry(app.name.clone()).or_default();
        let mut new = Vec::new();
        for declaration in &app.listen {
            match there
                .iter()
                .find(|socket| socket.name() == declaration.name)
            {
                Some(socket) if socket.declaration() == declaration => {}
                Some(_) => {
                    return Err(BindError {
                        name: declaration.name.clone(),
                        address: declaration.address.clone(),
                        problem: Problem::Changed,
                    });
                }
                None => new.push(declaration.clone()),
            }
        }
        there.extend(bind_all(&app.name, &new, &mut self.table)?);
        Ok(())
    }

    /// An app's sockets, in the order of its workers' descriptors.
    #[must_use]
    pub fn of(&self, app: &AppName) -> &[BoundSocket] {
        self.bound.get(app).map_or(&[], Vec::as_slice)
    }

    /// Duplicates of an app's listeners, for a worker.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn descriptors(&self, app: &AppName) -> io::Result<Vec<OwnedFd>> {
        self.of(app)
            .iter()
            .map(|socket| socket.duplicate(&self.table))
            .collect()
    }

    /// A duplicate of a listener.
    ///
    /// # Errors
    /// If no descriptor is left, or there is no such socket.
    pub fn listener(&self, app: &AppName, name: &str) -> io::Result<OwnedFd> {
        let socket = self.of(app).iter().find(|socket| socket.name() == name);
        let socket = socket.ok_or(io::ErrorKind::NotFound)?;
        socket.duplicate(&self.table)
    }

    /// Tells when a worker shuts this listener down.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn watch(&self, socket: &BoundSocket) -> io::Result<ListenerWatch> {
        ListenerWatch::new(socket.duplicate(&self.table)?)
    }

    /// Listens again on a socket that a worker has shut down; `None` if there is no such socket.
    ///
    /// # Errors
    /// If somebody else has taken the address meanwhile.
    pub fn listen_again(&mut self, app: &AppName, name: &str) -> Option<Result<Mended, BindError>> {
        let socket = self
            .bound
            .get_mut(app)?
            .iter_mut()
            .find(|socket| socket.name() == name)?;
        Some(socket.listen_again(&mut self.table))
    }

    /// Closes an app's sockets. They are shut down, so that whoever watches them lets go of them, too.
    pub fn forget(&mut self, app: &AppName) {
        for socket in self.bound.remove(app).into_iter().flatten() {
            let shut = socket.duplicate(&self.table).and_then(|listener| {
                rustix::net::shutdown(listener, rustix::net::Shutdown::Both)
                    .map_err(io::Error::from)
            });
            if let Err(error) = shut {
                tracing::debug!(
                    "{app}: the socket {:?} was not shut down: {error}",
                    socket.name()
                );
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
        let status = |socket: &BoundSocket| SocketStatus {
            name: socket.name().into(),
            address: socket.address().to_string(),
            // Until a worker takes connections from the master.
            mode: "shared".into(),
            why: match socket.declaration().mode {
                SocketMode::Shared => None,
                SocketMode::Auto => {
                    Some("auto: no worker takes connections from the master".into())
                }
                SocketMode::Balanced { .. } => {
                    Some("balanced, but no worker takes connections from the master".into())
                }
            },
            balance: None,
        };
        sockets.into_iter().flatten().map(status).collect()
    }
}
