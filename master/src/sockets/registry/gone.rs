//! Sockets that go: with their app, by themselves, with their slot, or for this process alone.

use super::{Declared, Held, Retired, Sockets, groups::kernel_moves_queue};
use crate::config::app::AppName;

impl Sockets {
    /// Closes an app's sockets; tells of those of slots at which something waited, which is lost.
    pub fn forget(&mut self, app: &AppName) -> Vec<Retired> {
        self.forget_asked(app);
        let gone = self.bound.remove(app).unwrap_or_default().into_iter();
        gone.flat_map(|declared| self.close_declared(app, declared))
            .collect()
    }

    /// Closes what was declared once; tells of those of slots at which something waited.
    pub(super) fn close_declared(&mut self, app: &AppName, declared: Declared) -> Vec<Retired> {
        let mut lost = Vec::new();
        let mut all: Vec<Held> = declared.into_all().collect();
        while let Some(held) = all.pop() {
            // Each just before it is closed: what waits there may move to those of its group that are left.
            let in_group = held.socket.spread().is_some() && !all.is_empty();
            let moves = in_group && kernel_moves_queue(&held.socket);
            if !moves && self.get(held.id).is_none() && held.socket.passed_as().is_none() {
                let waited = held.socket.give_up(&self.table);
                if waited > 0 && held.socket.slot().is_none() {
                    let name = held.socket.name();
                    tracing::warn!(
                        "{app}: {waited} waited at the socket {name:?} when it was closed, and got no answer"
                    );
                }
                lost.extend(Retired::of(&held.socket, waited));
            }
            self.close(app, vec![held]);
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
        for Held { id, socket } in sockets {
            // So that its address is free at once, whoever else still holds it. The starter's own lives on, and what was passed on.
            let is_nobodys = self.get(id).is_none() && socket.passed_as().is_none();
            if socket.listens() && is_nobodys {
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
