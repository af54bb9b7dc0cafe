//! How much waits at a socket until a worker takes it: what the kernel tells, asked when somebody looks.
//!
//! | socket | asked |
//! |---|---|
//! | TCP | `TCP_INFO`, where a listener has its accept queue and backlog; `SO_MEMINFO` for what was dropped |
//! | UDP | `SO_MEMINFO`: the memory that datagrams take, and its bound |
//! | Unix | the kernel's socket diagnosis (netlink), by the socket's inode; nothing of datagrams |

use std::os::fd::BorrowedFd;

use ostler_bus::vocab::status::SocketQueue;
use rustix::{io::Errno, net::RecvFlags};

use super::diagnosis::{self, number};
use crate::{
    config::app::{SocketAddress, socket::SocketKind},
    sys,
};

/// What waits at a socket; `None` where the kernel doesn't tell.
pub(super) fn queue_of(socket: BorrowedFd<'_>, address: &SocketAddress) -> Option<SocketQueue> {
    match address {
        SocketAddress::Tcp(_) => tcp(socket),
        SocketAddress::Udp(_) => udp(socket),
        SocketAddress::Unix(_) | SocketAddress::Starter(_) => unix(socket),
    }
}

/// What waits at an IP socket, and how much may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Queue {
    /// Connections; of UDP, bytes of memory that datagrams take.
    pub(super) waiting: u32,
    pub(super) room: u32,
}

/// What waits at an IP socket that carries this; nothing if it is to listen and doesn't.
pub(super) fn length(socket: BorrowedFd<'_>, kind: SocketKind) -> Queue {
    let queue = match kind {
        SocketKind::Stream | SocketKind::Seqpacket => {
            tcp_info(socket).map(|(waiting, room)| Queue { waiting, room })
        }
        SocketKind::Datagram => memory(socket).map(|memory| Queue {
            waiting: memory.taken,
            room: memory.bound,
        }),
    };
    queue.unwrap_or_default()
}

/// The most datagrams that are read from a socket to be thrown away: more than its memory has room for, unless that was made
/// very large.
const MOST: u32 = 1 << 16;

/// Throws away all datagrams that wait at a socket; how many there were.
pub(super) fn throw_away(socket: BorrowedFd<'_>) -> u32 {
    let mut gone = 0;
    while gone < MOST {
        match rustix::net::recv(socket, &mut [0; 1][..], RecvFlags::DONTWAIT) {
            Ok(_) => gone += 1,
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    gone
}

fn tcp(socket: BorrowedFd<'_>) -> Option<SocketQueue> {
    let (waiting, room) = tcp_info(socket)?;
    Some(SocketQueue {
        waiting,
        room,
        dropped: memory(socket).map_or(0, |memory| memory.drops),
    })
}

/// A listener's queue and backlog.
fn tcp_info(listener: BorrowedFd<'_>) -> Option<(u32, u32)> {
    // `struct tcp_info`: eight bytes, then numbers; of a listener the fifth and sixth are these.
    let mut info = [0; 32];
    let info = sys::option(listener, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
    Some((number(info, 24)?, number(info, 28)?))
}

fn udp(socket: BorrowedFd<'_>) -> Option<SocketQueue> {
    let memory = memory(socket)?;
    Some(SocketQueue {
        waiting: memory.taken,
        room: memory.bound,
        dropped: memory.drops,
    })
}

struct Memory {
    taken: u32,
    bound: u32,
    drops: u32,
}

fn memory(socket: BorrowedFd<'_>) -> Option<Memory> {
    // `SK_MEMINFO_RMEM_ALLOC`, `SK_MEMINFO_RCVBUF` … `SK_MEMINFO_DROPS`.
    let mut info = [0; 36];
    let info = sys::option(socket, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut info).ok()?;
    Some(Memory {
        taken: number(info, 0)?,
        bound: number(info, 4)?,
        drops: number(info, 32)?,
    })
}

fn unix(socket: BorrowedFd<'_>) -> Option<SocketQueue> {
    let listens = rustix::net::sockopt::socket_acceptconn(socket).ok()?;
    if !listens {
        return None;
    }
    let (waiting, room) = diagnosis::unix_queue(socket)?;
    Some(SocketQueue {
        waiting,
        room,
        dropped: 0,
    })
}
