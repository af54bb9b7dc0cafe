//! Sockets that go: with their app, with their slot, or for this process alone.

use super::{Declared, Held, Retired, Sockets, groups::kernel_moves_queue};
use crate::config::app::AppName;

impl Sockets {
    /// Closes an app's sockets; tells of those of slots at which something waited, which is lost.
    pub fn forget(&mut self, app: &AppName) -> Vec<Retired> {
        self.forget_asked(app);
        let mut lost = Vec::new();
        for declared in self.bound.remove(app).unwrap_or_default() {
            let mut all: Vec<Held> = declared.into_all().collect();
            while let Some(held) = all.pop() {
                // Each just before it is closed: what waits there may move to those of its group that are left.
                let in_group = held.socket.spread().is_some() && !all.is_empty();
                let moves = in_group && kernel_moves_queue(&held.socket);
                if !moves && held.socket.slot().is_some() {
                    let waited = held.socket.give_up(&self.table);
                    lost.extend(Retired::of(&held.socket, waited));
                }
                self.close(app, vec![held]);
            }
        }
        lost.retain(|retired| retired.lost > 0);
        lost
    }

    /// Closes an app's sockets for this process alone: workers that were let go of keep them.
    pub fn leave(&mut self, app: &AppName) {
        self.leave_asked(app);
        let gone = self.bound.remove(app).unwrap_or_default().into_iter();
        for Held { socket, .. } in gone.flat_map(Declared::into_all) {
            socket.leave(&mut self.table);
        }
    }

    pub(super) fn close(&mut self, app: &AppName, sockets: Vec<Held>) {
        for Held { socket, .. } in sockets {
            // So that its address is free at once, whoever else still holds it. The starter's own lives on.
            if socket.listens() && socket.passed_as().is_none() {
                let shut = socket.duplicate(&self.table).and_then(|listener| {
                    let both = rustix::net::Shutdown::Both;
                    Ok(rustix::net::shutdown(listener, both)?)
                });
                if let Err(error) = shut {
                    let name = socket.name();
                    tracing::debug!("{app}: the socket {name:?} was not shut down: {error}");
                }
            }
            socket.close(&mut self.table);
        }
    }
}
