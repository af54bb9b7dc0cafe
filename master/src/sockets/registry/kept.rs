//! UDP sockets of slots that have gone, which are kept for when the slots come back.
//!
//! A listener of TCP leaves its group by `shutdown`, whoever else has it. One of UDP leaves when the last descriptor is closed, and
//! that may be another's: a process that a worker has left behind, or a thread of the master's. Until then the kernel would count a
//! place for it that nobody here knows of, and take others' places for each other's. So the master never closes one while its
//! app is there: the kernel is told to choose none that is kept, and there are as many sockets as the app ever had slots.

use ostler_bus::Slot;

use super::{Held, SocketId, Sockets};
use crate::config::app::{AppName, SocketDeclaration};

impl Sockets {
    /// Has a slot take up the socket that was kept for it, if there is one; by a new id, as it is bound no sooner than now.
    pub(super) fn take_up(
        &mut self,
        app: &AppName,
        declaration: &SocketDeclaration,
        slot: Option<Slot>,
    ) -> Option<SocketId> {
        let mut there = self.bound.get_mut(app)?.iter_mut();
        let there = there.find(|there| there.declaration.is_bound_as(declaration))?;
        let is_its = |held: &Held| held.socket.slot() == slot;
        let at = there.kept.iter().position(is_its)?;
        let mut held = there.kept.remove(at);
        held.socket.share(there.declaration.options.mode);
        // What was under way when the kernel was told to leave it out is too late to be answered.
        let late = held.socket.give_up(&self.table);
        if late > 0 {
            let name = held.socket.name();
            tracing::debug!("{app}: {late} old datagrams at the socket {name:?} were thrown away");
        }
        self.last += 1;
        held.id = SocketId(self.last);
        let id = held.id;
        there.held.push(held);
        Some(id)
    }
}
