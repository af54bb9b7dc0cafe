//! What apps are to be next, where that is known: a socket that one of them doesn't have any more then is passed on to whoever
//! declares its address, by whatever name. It is the very same socket, so nobody who connects meanwhile is refused; for as long
//! as workers of both have it, either may accept.

use std::slice;

use ostler_bus::Slot;

use super::{Declared, Held, SocketId, Sockets, asked::any_port};
use crate::{
    config::app::{AppDefinition, AppName, SocketAddress, SocketDeclaration},
    sockets::{BindError, Problem, bind::free_name},
};

/// What apps are to be next.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// These are defined so.
    pub apps: &'a [AppDefinition],
    /// These go.
    pub gone: &'a [AppName],
}

impl<'a> Next<'a> {
    /// Nothing is known of the others.
    #[must_use]
    pub fn alone(app: &'a AppDefinition) -> Self {
        Self::all(slice::from_ref(app))
    }

    /// These are defined so, and none goes.
    #[must_use]
    pub fn all(apps: &'a [AppDefinition]) -> Self {
        Self { apps, gone: &[] }
    }

    /// Whether the app doesn't have this any more.
    pub(super) fn leaves_out(&self, app: &AppName, declared: &Declared) -> bool {
        let has = |next: &AppDefinition| {
            let mut all = next.listen.iter();
            all.any(|its| declared.declaration.is_bound_as(its))
        };
        match self.apps.iter().find(|next| next.name == *app) {
            Some(next) => !has(next),
            None => declared.left_out || self.gone.contains(app),
        }
    }

    /// Who declares the address of this.
    fn taker(&self, declared: &Declared) -> Option<(&'a AppName, &'a SocketDeclaration)> {
        let declarations = self.apps.iter().flat_map(|app| {
            let its = app.listen.iter();
            its.map(move |declaration| (&app.name, declaration))
        });
        let mut declarations = declarations;
        declarations.find(|(_, declaration)| declared.can_be_passed_on_as(declaration))
    }
}

impl Declared {
    /// Slots' sockets at one address are chosen from by their name: they are nobody else's.
    fn can_be_passed_on_as(&self, declaration: &SocketDeclaration) -> bool {
        let whole = !declaration.options.mode.is_group() && !any_port(&declaration.address);
        whole && self.declaration.is_bound_like(declaration) && self.can_have(declaration).is_ok()
    }
}

impl Sockets {
    pub(super) fn all_declared(&self) -> impl Iterator<Item = (&AppName, &Declared)> {
        let all = self.bound.iter();
        all.flat_map(|(app, there)| there.iter().map(move |declared| (app, declared)))
    }

    /// The socket that is to be passed on as this one, if there is one.
    pub(super) fn giver(
        &self,
        declaration: &SocketDeclaration,
        slot: Option<Slot>,
        next: Next<'_>,
    ) -> Option<&Held> {
        let givers = self.all_declared().filter(|(app, declared)| {
            next.leaves_out(app, declared) && declared.can_be_passed_on_as(declaration)
        });
        let mut held = givers.flat_map(|(_, declared)| &declared.held);
        held.find(|held| held.socket.slot() == slot)
    }

    /// Passes it on.
    pub(super) fn pass_on(
        &mut self,
        app: &AppName,
        declaration: &SocketDeclaration,
        slot: Option<Slot>,
        next: Next<'_>,
    ) -> Result<Option<SocketId>, BindError> {
        let fd_name = free_name(app, declaration, slot, &self.table);
        let Some(Held { id, socket }) = self.giver(declaration, slot, next) else {
            return Ok(None);
        };
        let (id, fd) = (*id, socket.duplicate(&self.table));
        let fd = fd.map_err(|error| BindError {
            name: declaration.name.clone(),
            address: declaration.address.clone(),
            problem: Problem::Other(error),
        })?;
        let socket = socket.also_as(declaration.clone(), fd_name.clone());
        self.table.replace(&fd_name, fd);
        if let Some(declared) = self.declared_mut(app, declaration) {
            declared.held.push(Held { id, socket });
        }
        Ok(Some(id))
    }

    /// Who would leave out an address that this app declares and doesn't have yet: nobody would have it without this app.
    #[must_use]
    pub fn givers(&self, app: &AppDefinition, next: Next<'_>) -> Vec<(AppName, SocketAddress)> {
        let wanted = app.listen.iter();
        let wanted = wanted.filter(|its| self.declared(&app.name, its).is_none());
        let wanted: Vec<&SocketAddress> = wanted.map(|its| &its.address).collect();
        let givers = self.all_declared().filter(|(giver, declared)| {
            **giver != app.name && !declared.left_out && next.leaves_out(giver, declared)
        });
        let given = givers.filter_map(|(giver, declared)| {
            let mut held = declared.held.iter().map(|held| held.socket.address());
            let given = held.find(|held| wanted.iter().any(|wanted| clash(held, wanted)))?;
            Some((giver.clone(), given.clone()))
        });
        given.collect()
    }

    /// What becomes of sockets that apps don't have any more, in words, by the app that this is to be told of.
    #[must_use]
    pub fn changes(&self, next: Next<'_>) -> Vec<(AppName, String)> {
        let left_out = self.all_declared().filter(|it| next.leaves_out(it.0, it.1));
        let told = left_out.filter_map(|(app, declared)| {
            let name = &declared.declaration.name;
            let address = declared.held.first()?.socket.address();
            match next.taker(declared) {
                // It has it already.
                Some((other, new)) if self.declared(other, new).is_some() => None,
                Some((other, new)) if other == app => {
                    let new = &new.name;
                    Some((
                        app.clone(),
                        format!("{address} is {new:?} instead of {name:?}"),
                    ))
                }
                Some((other, _)) => {
                    Some((other.clone(), format!("takes {address} over from {app}")))
                }
                None if declared.left_out || next.gone.contains(app) => None,
                None => Some((app.clone(), format!("closes {address} ({name:?})"))),
            }
        });
        told.collect()
    }

    /// Says of an address that is in use whose socket has it, if that is one of these.
    pub(super) fn by_whom(&self, error: BindError) -> BindError {
        let BindError {
            name,
            address,
            problem,
        } = error;
        let own = std::process::id();
        let ours = match &problem {
            Problem::InUse(Some(holder)) if holder.pid == own => self.who_is_at(&address),
            _ => None,
        };
        let problem = ours.map_or(problem, |(app, name)| {
            Problem::Ours(app.clone(), name.into())
        });
        BindError {
            name,
            address,
            problem,
        }
    }

    fn who_is_at(&self, address: &SocketAddress) -> Option<(&AppName, &str)> {
        let held = self.all_declared();
        let held = held.flat_map(|(app, declared)| declared.held.iter().map(move |it| (app, it)));
        let mut held = held.map(|(app, held)| (app, &held.socket));
        let its = held.find(|(_, socket)| clash(socket.address(), address))?;
        Some((its.0, its.1.name()))
    }
}

/// Whether only one socket can be at both.
fn clash(one: &SocketAddress, other: &SocketAddress) -> bool {
    match (one, other) {
        (SocketAddress::Tcp(one), SocketAddress::Tcp(other))
        | (SocketAddress::Udp(one), SocketAddress::Udp(other)) => {
            let either_is_every = one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() == other.port() && (one.ip() == other.ip() || either_is_every)
        }
        (one, other) => one == other,
    }
}
