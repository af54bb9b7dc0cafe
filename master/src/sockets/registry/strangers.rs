//! Who else listens where slots have sockets of their own.
//!
//! Programs of the same user may join such a group at any time (`SO_REUSEPORT`), and then have a place in it. One that comes last
//! gets nothing, as the kernel is told to choose others. But a listener of ours that comes after it is not in the place where it is
//! looked for, and one that goes leaves its place to the last. Nobody tells of such programs, and what the order is can't be asked.
//! So they are looked for when places change.

use std::os::fd::AsFd;

use super::{Held, Sockets};
use crate::{
    config::app::{AppName, SocketAddress},
    sockets::{
        Holder,
        holder::{holder_of_inode, others_at},
    },
};

/// A socket of somebody else's among those of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The name of the sockets that it is beside.
    pub beside: String,
    /// Where.
    pub address: SocketAddress,
    /// Whose it is; `None` if that can't be found out.
    pub holder: Option<Holder>,
}

impl Sockets {
    /// Who else is at the addresses of an app's slots.
    #[must_use]
    pub fn strangers(&self, app: &AppName) -> Vec<Stranger> {
        let mut strangers = Vec::new();
        let declared = self.bound.get(app).into_iter().flatten();
        for group in declared.filter(|it| it.declaration.options.mode.is_group()) {
            let all = || group.held.iter().chain(&group.kept);
            let Some(Held { socket, .. }) = all().next() else {
                continue;
            };
            let ours: Vec<u64> = all().filter_map(|held| self.inode(held)).collect();
            let others = others_at(socket.address(), &ours).into_iter();
            strangers.extend(others.map(|inode| Stranger {
                beside: socket.name().to_owned(),
                address: socket.address().clone(),
                holder: holder_of_inode(inode),
            }));
        }
        strangers
    }

    fn inode(&self, held: &Held) -> Option<u64> {
        let socket = self.table.get(held.socket.fd_name())?;
        Some(rustix::fs::fstat(socket.as_fd()).ok()?.st_ino)
    }
}
