//! Who else listens where slots have sockets of their own.
//!
//! Programs of the same user may join such a group at any time (`SO_REUSEPORT`), and then have a place in it. One that comes last
//! gets nothing, as the kernel is told to choose others. But a listener of ours that comes after it is not in the place where it is
//! looked for, and one that goes leaves its place to the last. Nobody tells of such programs, and what the order is can't be asked.
//! So they are looked for when places change.

use std::{collections::BTreeSet, os::fd::AsFd};

use super::{Held, Sockets};
use crate::{
    config::app::{AppName, SocketAddress},
    sockets::{
        Holder,
        holder::{holders_of, others_at},
    },
};

/// An address where slots have sockets of their own: all that it takes to look who else is there, in whatever thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// The name of the sockets.
    pub name: String,
    /// Where.
    pub address: SocketAddress,
    /// The inodes of the master's own.
    pub ours: Vec<u64>,
}

/// A socket of somebody else's among those of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The name of the sockets that it is beside.
    pub beside: String,
    /// Where.
    pub address: SocketAddress,
    /// Its own number, which no other socket has while it is there.
    pub inode: u64,
    /// Whose it is; `None` if that can't be found out.
    pub holder: Option<Holder>,
}

/// Who else is at these addresses. Blocks, for as long as a walk through the descriptors of all processes takes if there is somebody.
#[must_use]
pub fn strangers(at: &[Shared]) -> Vec<Stranger> {
    let there = at.iter().flat_map(|it| {
        let others = others_at(&it.address, &it.ours).into_iter();
        others.map(move |inode| (it, inode))
    });
    let there: Vec<_> = there.collect();
    let inodes: BTreeSet<u64> = there.iter().map(|(_, inode)| *inode).collect();
    let holders = match inodes.is_empty() {
        true => return Vec::new(),
        false => holders_of(&inodes),
    };
    let strangers = there.into_iter().map(|(it, inode)| Stranger {
        beside: it.name.clone(),
        address: it.address.clone(),
        inode,
        holder: holders.get(&inode).cloned(),
    });
    strangers.collect()
}

impl Sockets {
    /// Where an app's slots have sockets of their own.
    #[must_use]
    pub fn shared_addresses(&self, app: &AppName) -> Vec<Shared> {
        let declared = self.bound.get(app).into_iter().flatten();
        let groups = declared.filter(|it| it.declaration.options.mode.is_group());
        let shared = groups.filter_map(|group| {
            let all = || group.held.iter().chain(&group.kept);
            let Held { socket, .. } = all().next()?;
            Some(Shared {
                name: socket.name().to_owned(),
                address: socket.address().clone(),
                ours: all().filter_map(|held| self.inode(held)).collect(),
            })
        });
        shared.collect()
    }

    fn inode(&self, held: &Held) -> Option<u64> {
        let socket = self.table.get(held.socket.fd_name())?;
        Some(rustix::fs::fstat(socket.as_fd()).ok()?.st_ino)
    }
}
