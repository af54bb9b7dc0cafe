//! The kernel's socket diagnosis (netlink): which connections are open at a port, or came to a Unix path, and how many wait
//! at a Unix socket. Needs no rights, and what is not asked for is left out by the kernel.

use std::{
    os::fd::{BorrowedFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, socket_with,
};

/// `SOCK_DIAG_BY_FAMILY`, and `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const DONE: u16 = 3;

/// `NLM_F_REQUEST`, and with `NLM_F_DUMP`: of one socket, or of all that fit.
const ONE: u16 = 1;
const DUMP: u16 = 0x301;

/// States, as bits: `TCP_ESTABLISHED`; and `TCP_CLOSE_WAIT`, where the client has said all and may still be answered.
const ESTABLISHED: u32 = 1 << 1;
const CLOSE_WAIT: u32 = 1 << 8;

/// `INET_DIAG_REQ_BYTECODE`, and its comparisons with the local port: `INET_DIAG_BC_S_GE`, `INET_DIAG_BC_S_LE`.
const BYTECODE: u16 = 1;
const AT_LEAST: u8 = 2;
const AT_MOST: u8 = 3;

/// `UDIAG_SHOW_NAME`, and the attribute that answers it, `UNIX_DIAG_NAME`.
const SHOW_NAME: u32 = 1;
const NAME: u16 = 0;

/// `UDIAG_SHOW_RQLEN`, and the attribute that answers it, `UNIX_DIAG_RQLEN`.
const SHOW_QUEUE: u32 = 0x10;
const QUEUE: u16 = 4;

/// The most parts of an answer that are read: each has some hundred connections.
const MOST: usize = 1024;

/// A netlink message's head; what is told of an IP socket, and of a Unix socket, before its attributes.
const HEAD: usize = 16;
const OF_IP: usize = 72;
const OF_UNIX: usize = 16;

/// The inodes of the connections open at a local port; `None` if the kernel doesn't tell, or there are too many.
pub(super) fn open_at_port(port: u16, v6: bool) -> Option<Vec<u32>> {
    let family = if v6 {
        AddressFamily::INET6
    } else {
        AddressFamily::INET
    };
    let tcp = libc::IPPROTO_TCP as u8;
    let mut question = vec![family.as_raw() as u8, tcp, 0, 0];
    question.extend((ESTABLISHED | CLOSE_WAIT).to_ne_bytes());
    // Of any address.
    question.resize(56, 0);
    // Two comparisons of eight bytes each: the first goes on to the second, the second to the end; else beyond it.
    question.extend(20_u16.to_ne_bytes());
    question.extend(BYTECODE.to_ne_bytes());
    for (compare, beyond) in [(AT_LEAST, 20_u16), (AT_MOST, 12)] {
        question.extend([compare, 8]);
        question.extend(beyond.to_ne_bytes());
        question.extend([0, 0]);
        question.extend(port.to_ne_bytes());
    }
    let mut inodes = Vec::new();
    dump(&question, |told| {
        inodes.extend(number(told, OF_IP - 4).filter(|inode| *inode != 0));
    })?;
    Some(inodes)
}

/// The inodes of the connections that came to a Unix path: they have the name of who listens there. `None` as above.
pub(super) fn open_at_path(path: &Path) -> Option<Vec<u32>> {
    let mut question = vec![AddressFamily::UNIX.as_raw() as u8, 0, 0, 0];
    question.extend(ESTABLISHED.to_ne_bytes());
    question.extend(0_u32.to_ne_bytes());
    question.extend(SHOW_NAME.to_ne_bytes());
    // Any of them.
    question.extend([0xff; 8]);
    let mut inodes = Vec::new();
    dump(&question, |told| {
        let its = told.get(OF_UNIX..).and_then(name);
        let named = its.is_some_and(|name| name == path.as_os_str().as_bytes());
        inodes.extend(number(told, 4).filter(|_| named));
    })?;
    Some(inodes)
}

/// How many wait at a listening Unix socket, and how many may; `None` if the kernel doesn't tell.
pub(super) fn unix_queue(listener: BorrowedFd<'_>) -> Option<(u32, u32)> {
    let inode = u32::try_from(rustix::fs::fstat(listener).ok()?.st_ino).ok()?;
    let mut question = vec![AddressFamily::UNIX.as_raw() as u8, 0, 0, 0];
    let any = u32::MAX;
    for number in [any, inode, SHOW_QUEUE, any, any] {
        question.extend(number.to_ne_bytes());
    }
    let channel = ask(ONE, &question)?;
    let mut answer = [0; 512];
    let (length, _) = rustix::net::recv(&channel, &mut answer[..], RecvFlags::DONTWAIT).ok()?;
    read_queue(answer.get(..length)?)
}

/// The lengths of queue and backlog that an answer tells.
fn read_queue(answer: &[u8]) -> Option<(u32, u32)> {
    if short(answer, 4)? != BY_FAMILY {
        return None;
    }
    let queue = attribute(answer.get(HEAD + OF_UNIX..)?, QUEUE)?;
    Some((number(queue, 0)?, number(queue, 4)?))
}

/// The name among a Unix socket's attributes.
fn name(attributes: &[u8]) -> Option<&[u8]> {
    let name = attribute(attributes, NAME)?;
    // Its end may be there as well.
    Some(name.strip_suffix(b"\0").unwrap_or(name))
}

/// What an attribute says, if there is one of this kind.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (short(attributes, 0), short(attributes, 2)) {
        let length = usize::from(length).max(4);
        if kind == wanted {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// Asks about all that fit, and reads the whole answer, socket by socket. The kernel has each part ready before the call that
/// asks for it returns.
fn dump(question: &[u8], mut each: impl FnMut(&[u8])) -> Option<()> {
    let channel = ask(DUMP, question)?;
    let mut part = vec![0; 32 * 1024];
    for _ in 0..MOST {
        let (length, _) = rustix::net::recv(&channel, &mut part[..], RecvFlags::DONTWAIT).ok()?;
        let mut rest = part.get(..length)?;
        while let (Some(length), Some(kind)) = (number(rest, 0), short(rest, 4)) {
            let length = usize::try_from(length).ok()?;
            match kind {
                BY_FAMILY => each(rest.get(HEAD..length)?),
                DONE => return Some(()),
                // An error: this kernel has no such diagnosis.
                _ => return None,
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    None
}

/// Asks, and gives where the answer is by now.
fn ask(flags: u16, question: &[u8]) -> Option<OwnedFd> {
    let length = u32::try_from(HEAD + question.len()).ok()?;
    let mut message = Vec::new();
    message.extend(length.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(question);
    let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
    let protocol = Some(netlink::SOCK_DIAG);
    let channel = socket_with(family, kind, SocketFlags::CLOEXEC, protocol).ok()?;
    rustix::net::send(&channel, &message, SendFlags::empty()).ok()?;
    Some(channel)
}

/// The kernel's number there.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
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
        let mut answer = vec![0; HEAD + OF_UNIX];
        answer[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        answer.extend(attribute(2, &[9]));
        answer.extend(attribute(QUEUE, &[3, 128]));
        assert_eq!(read_queue(&answer), Some((3, 128)));
        for length in 0..answer.len() {
            assert_eq!(read_queue(&answer[..length]), None, "{length}");
        }
        answer[4] = 2;
        assert_eq!(read_queue(&answer), None, "an error");
    }
}
