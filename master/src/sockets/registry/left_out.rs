//! Sockets that an app's next definition leaves out: its new workers don't get them, and they are closed when nobody has them
//! any more.

use super::{Declared, SocketId, Sockets};
use crate::{
    config::app::{AppName, SocketDeclaration},
    sockets::Retired,
};

/// A socket that nobody has any more.
#[derive(Debug)]
pub struct LeftOut {
    /// Whose it was.
    pub app: AppName,
    /// What was declared.
    pub declaration: SocketDeclaration,
    /// Itself, or that of each slot.
    pub ids: Vec<SocketId>,
}

impl Sockets {
    /// An app goes: it has none of its sockets from now on.
    pub fn leave_out_all(&mut self, app: &AppName) {
        for declared in self.bound.get_mut(app).into_iter().flatten() {
            declared.left_out = true;
        }
    }

    /// What was left out, and no worker has, or could be started with.
    #[must_use]
    pub fn left_out(&self, has: impl Fn(&AppName, &SocketDeclaration) -> bool) -> Vec<LeftOut> {
        let all = self.all_declared().filter(|(_, it)| it.left_out);
        let nobodys = all.filter(|(app, it)| !has(app, &it.declaration));
        let nobodys = nobodys.map(|(app, declared)| LeftOut {
            app: app.clone(),
            declaration: declared.declaration.clone(),
            ids: declared.held.iter().map(|held| held.id).collect(),
        });
        nobodys.collect()
    }

    /// Closes it; tells of slots' own sockets at which something waited, which is lost.
    pub fn close_left_out(&mut self, it: &LeftOut) -> Vec<Retired> {
        let declared = self.take_out(it);
        declared.map_or_else(Vec::new, |declared| self.close_declared(&it.app, declared))
    }

    /// The same for this process alone.
    pub fn leave_left_out(&mut self, it: &LeftOut) {
        for held in self.take_out(it).into_iter().flat_map(Declared::into_all) {
            held.socket.leave(&mut self.table);
        }
    }

    fn take_out(&mut self, it: &LeftOut) -> Option<Declared> {
        let there = self.bound.get_mut(&it.app)?;
        let its = |declared: &Declared| declared.declaration == it.declaration;
        Some(there.remove(there.iter().position(its)?))
    }
}
