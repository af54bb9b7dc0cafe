//! Sockets of which each slot has its own at one address: they come with a slot; when it goes, its socket is closed once nothing
//! waits there, or [kept](super::kept).

use std::{collections::BTreeSet, io};

use ostler_bus::Slot;

use super::{Held, SocketId, Sockets};
use crate::{
    config::app::{AppName, SocketAddress, SocketDeclaration, socket::SocketKind},
    sockets::{
        BoundSocket, listener_is_dead,
        slots::{InGroup, Spread},
    },
};

/// Whether the kernel moves what waits at a listener that is closed to others of its group: it does with connections where the
/// machine's owner wants it.
pub(super) fn kernel_moves_queue(socket: &BoundSocket) -> bool {
    match socket.kind() {
        SocketKind::Stream => {
            let setting = std::fs::read("/proc/sys/net/ipv4/tcp_migrate_req");
            setting.is_ok_and(|is| is.starts_with(b"1"))
        }
        SocketKind::Datagram | SocketKind::Seqpacket => false,
    }
}

/// A socket that is out of use, as its slot has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// Its name.
    pub name: String,
    /// The slot.
    pub slot: Slot,
    /// What it carried.
    pub kind: SocketKind,
    /// So many connections waited there, and were reset; or datagrams, and were thrown away.
    pub lost: u32,
    /// It was not closed, but is kept for when the slot comes back.
    pub kept: bool,
}

impl Retired {
    /// A slot's own socket that is about to be closed, with what is lost by that; `None` if it is no slot's.
    pub(super) fn of(socket: &BoundSocket, lost: u32) -> Option<Self> {
        Some(Self {
            name: socket.name().to_owned(),
            slot: socket.slot()?,
            kind: socket.kind(),
            lost,
            kept: false,
        })
    }
}

impl Sockets {
    /// Where other slots have this socket already, if it is each slot's own at one address.
    pub(super) fn beside(
        &self,
        app: &AppName,
        declaration: &SocketDeclaration,
    ) -> Option<SocketAddress> {
        if !declaration.options.mode.is_group() {
            return None;
        }
        let there = self.declared(app, declaration)?;
        let mut all = there.held.iter().chain(&there.kept);
        Some(all.next()?.socket.address().clone())
    }

    fn in_groups(&self, app: &AppName) -> impl Iterator<Item = (&Held, Slot, Spread)> {
        self.held(app)
            .filter_map(|held| Some((held, held.socket.slot()?, held.socket.spread()?)))
    }

    /// All of an app's listeners that belong to groups.
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn groups(&self, app: &AppName) -> io::Result<Vec<InGroup>> {
        self.in_groups(app)
            .map(|(held, slot, spread)| {
                Ok(InGroup {
                    id: held.id,
                    app: app.clone(),
                    name: held.socket.name().to_owned(),
                    slot,
                    kind: held.socket.kind(),
                    spread,
                    listener: held.socket.duplicate(&self.table)?,
                })
            })
            .collect()
    }

    /// Which listeners of the group that this one belongs to are shut down; none if it is in no group.
    #[must_use]
    pub fn shut_in_group(&self, id: SocketId) -> Vec<SocketId> {
        let Some((app, socket)) = self.get(id) else {
            return Vec::new();
        };
        let is_dead = |held: &Held| {
            let fd = self.table.get(held.socket.fd_name());
            held.socket.listens() && fd.is_some_and(listener_is_dead)
        };
        let its = self.in_groups(app).map(|(held, ..)| held);
        let its = its.filter(|held| held.socket.name() == socket.name() && is_dead(held));
        its.map(|held| held.id).collect()
    }

    /// Whether a slot has such sockets, and whether clients of other machines may be on their way to them.
    #[must_use]
    pub fn has_groups(&self, app: &AppName, slot: Slot) -> Option<Reach> {
        let its = self.in_groups(app).filter(|(_, own, _)| *own == slot);
        let reach = its.map(|(held, ..)| match held.socket.address() {
            SocketAddress::Tcp(address) if address.ip().is_loopback() => Reach::ThisMachine,
            // A datagram is no slot's before it is there.
            SocketAddress::Udp(_) => Reach::ThisMachine,
            SocketAddress::Tcp(_) | SocketAddress::Unix(_) | SocketAddress::Starter(_) => {
                Reach::Anywhere
            }
        });
        reach.max()
    }

    /// The sockets of slots for which `is_gone`, the highest first, that are to be retired: nothing waits there, or `anyway`. And
    /// which slots have others left, for what waits.
    #[must_use]
    pub fn retiring(
        &self,
        app: &AppName,
        is_gone: impl Fn(Slot) -> bool,
        anyway: impl Fn(Slot) -> bool,
    ) -> (Vec<SocketId>, BTreeSet<Slot>) {
        let gone = self.in_groups(app).filter(|(_, slot, _)| is_gone(*slot));
        let is_dry = |held: &Held| held.socket.waiting(&self.table) == 0;
        let closes =
            |held: &Held, slot| anyway(slot) || is_dry(held) || kernel_moves_queue(&held.socket);
        let mut gone: Vec<(Slot, SocketId, bool)> = gone
            .map(|(held, slot, _)| (slot, held.id, closes(held, slot)))
            .collect();
        gone.sort_unstable_by(|a, b| b.cmp(a));
        let left = gone.iter().filter(|(.., closes)| !closes);
        let left = left.map(|(slot, ..)| *slot).collect();
        let closing = gone.into_iter().filter(|(.., closes)| *closes);
        (closing.map(|(_, id, _)| id).collect(), left)
    }

    /// Closes one of them, or keeps it where it can only be left out; `None` if there is no such socket any more. If nobody
    /// can have the kernel leave it out, it is closed in any case.
    pub fn retire(&mut self, id: SocketId, can_be_left_out: bool) -> Option<Retired> {
        let app = self.get(id)?.0.clone();
        let all = self.bound.get_mut(&app)?;
        let (declared, at) = all.iter_mut().find_map(|declared| {
            let at = declared.held.iter().position(|held| held.id == id)?;
            Some((declared, at))
        })?;
        let held = declared.held.remove(at);
        let kept = can_be_left_out && !held.socket.listens();
        let lost = match kernel_moves_queue(&held.socket) {
            true => 0,
            false => held.socket.give_up(&self.table),
        };
        let retired = Retired {
            kept,
            ..Retired::of(&held.socket, lost)?
        };
        match kept {
            true => declared.kept.push(held),
            false => self.close(&app, vec![held]),
        }
        Some(retired)
    }
}

/// From where clients may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// From this machine alone: whoever connects is there at once.
    ThisMachine,
    /// From anywhere: a connection may take a while until it is there.
    Anywhere,
}
