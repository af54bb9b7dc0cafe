//! Who sent a datagram, as the kernel says: whoever finds the path of a worker's socket may write to it, all workers of
//! the same user among them, and none may speak for another.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};

use crate::sys;

/// Longer chains of parents are not followed.
const MOST_PARENTS: usize = 64;

/// What a sender is to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// One of its processes: of its process group, or started below it.
    Own,
    /// Not to be told: it has ended already, as `systemd-notify` may have, or is of a pid namespace that can't be seen
    /// from here. The socket's own rights have to do.
    Unknown,
    /// Another process.
    Stranger(u32),
}

/// Has the kernel say who sends.
pub(super) fn ask_for_senders(socket: impl AsFd) -> io::Result<()> {
    Ok(setsockopt(&socket, sockopt::PassCred, &true)?)
}

/// The next datagram's length and its sender's process id, without waiting; 0 if that has none here. Descriptors that came
/// with it are closed: there is no room for them.
pub(super) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, u32)> {
    let mut control = nix::cmsg_space!(UnixCredentials);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut slices, Some(&mut control), flags)?;
    let mut pid = 0;
    // Cut off: descriptors, which were not wanted.
    for part in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmCredentials(sender) = part {
            pid = u32::try_from(sender.pid()).unwrap_or(0);
        }
    }
    Ok((message.bytes, pid))
}

impl Sender {
    /// What the process `pid` is to the worker whose process group `leader` leads.
    pub(super) fn of(pid: u32, leader: u32) -> Self {
        if pid == 0 {
            return Self::Unknown;
        }
        match sys::group_of(pid) {
            Ok(group) if group == leader => return Self::Own,
            Ok(_) => {}
            Err(_) => return Self::Unknown,
        }
        let mut ancestor = pid;
        for _ in 0..MOST_PARENTS {
            if ancestor == leader {
                return Self::Own;
            }
            match parent(ancestor) {
                Some(parent) if parent > 1 => ancestor = parent,
                Some(_) => return Self::Stranger(pid),
                None => return Self::Unknown,
            }
        }
        Self::Stranger(pid)
    }
}

/// The parent of a process; `None` if it is gone.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before it may hold anything, parentheses among it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::*;

    #[test]
    fn a_worker_is_its_group_and_all_below_it() {
        let me = std::process::id();
        let mut child = Command::new("sleep")
            .arg("60")
            .process_group(0)
            .spawn()
            .unwrap();
        let pid = child.id();
        assert_eq!(Sender::of(pid, pid), Sender::Own, "the leader");
        assert_eq!(Sender::of(pid, me), Sender::Own, "below, in another group");
        assert_eq!(Sender::of(me, pid), Sender::Stranger(me), "above");
        assert_eq!(Sender::of(0, pid), Sender::Unknown);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Sender::of(pid, me), Sender::Unknown, "gone");
    }
}
