//! How much waits at a socket until a worker takes it: what the kernel tells, asked when somebody looks.
//!
//! | socket | asked |
//! |---|---|
//! | TCP | `TCP_INFO`, where a listener has its accept queue and backlog; `SO_MEMINFO` for what was dropped |
//! | UDP | `SO_MEMINFO`: the memory that datagrams take, and its bound |
//! | Unix | the kernel's socket diagnosis (netlink), by the socket's inode; nothing of datagrams |

use std::os::fd::BorrowedFd;

use ostler_bus::vocab::status::SocketQueue;
use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with},
};

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

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;

/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;

/// `UDIAG_SHOW_RQLEN`, and the attribute that answers it, `UNIX_DIAG_RQLEN`.
const SHOW_QUEUE: u32 = 0x10;
const QUEUE: u16 = 4;

/// Head of a netlink message, and of what is told of a Unix socket before its attributes.
const HEAD: usize = 16;
const TOLD: usize = 16;

fn unix(socket: BorrowedFd<'_>) -> Option<SocketQueue> {
    let listens = rustix::net::sockopt::socket_acceptconn(socket).ok()?;
    if !listens {
        return None;
    }
    let inode = u32::try_from(rustix::fs::fstat(socket).ok()?.st_ino).ok()?;
    let answer = diagnosis(&question(inode))?;
    let (waiting, room) = read_answer(&answer)?;
    Some(SocketQueue {
        waiting,
        room,
        dropped: 0,
    })
}

fn question(inode: u32) -> Vec<u8> {
    const LENGTH: u32 = 40;
    let family = u8::try_from(AddressFamily::UNIX.as_raw()).unwrap_or_default();
    let any = u32::MAX;
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, 0, 0, 0]);
    for number in [any, inode, SHOW_QUEUE, any, any] {
        bytes.extend(number.to_ne_bytes());
    }
    bytes
}

/// The kernel answers before the question's own call returns, so nothing is waited for.
fn diagnosis(question: &[u8]) -> Option<Vec<u8>> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    let protocol = Some(netlink::SOCK_DIAG);
    let channel = socket_with(family, kind, SocketFlags::CLOEXEC, protocol).ok()?;
    rustix::net::send(&channel, question, SendFlags::empty()).ok()?;
    let mut answer = vec![0; 512];
    let (length, _) = rustix::net::recv(&channel, &mut answer[..], RecvFlags::DONTWAIT).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// The lengths of queue and backlog among the answer's attributes.
fn read_answer(answer: &[u8]) -> Option<(u32, u32)> {
    if short(answer, 4)? != BY_FAMILY {
        return None;
    }
    let mut attributes = answer.get(HEAD + TOLD..)?;
    while let (Some(length), Some(kind)) = (short(attributes, 0), short(attributes, 2)) {
        if kind == QUEUE {
            return Some((number(attributes, 4)?, number(attributes, 8)?));
        }
        let length = usize::from(length).max(4).next_multiple_of(4);
        attributes = attributes.get(length..)?;
    }
    None
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_any_length_is_no_danger() {
        let attribute = |kind: u16, words: &[u32]| {
            let length = u16::try_from(4 + 4 * words.len()).expect("short");
            let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
            bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
            bytes
        };
        let mut answer = vec![0; HEAD + TOLD];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer.extend(attribute(2, &[9]));
        answer.extend(attribute(QUEUE, &[3, 128]));
        assert_eq!(read_answer(&answer), Some((3, 128)));
        for length in 0..answer.len() {
            assert_eq!(read_answer(&answer[..length]), None, "{length}");
        }
        answer[4] = 2;
        assert_eq!(read_answer(&answer), None, "an error");
    }
}
