//! Processes by descriptor: a pid can be a stranger's by the time a signal is sent, a pidfd can't.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group,
};

/// How a child ended, as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// This signal ended it, and it left a core dump.
    Dumped(i32),
    /// It is gone, and another process has reaped it.
    Unknown,
}

/// Opens a child's pidfd; close-on-exec, non-blocking.
///
/// # Errors
/// `ESRCH` if the process is gone and reaped.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(
        to_pid(pid)?,
        PidfdFlags::NONBLOCK,
    )?)
}

/// Kills a child of this process by number, which is its own until it has been reaped.
pub(crate) fn kill_child(pid: u32) {
    // ESRCH: somebody has reaped it.
    let _ = to_pid(pid).map(|pid| rustix::process::kill_process(pid, Signal::KILL));
}

/// Sends a signal by number, 1 to 31 or a real-time one. A zombie takes it without effect.
///
/// # Errors
/// `ESRCH` if the process has been reaped, `EPERM`, `EINVAL` for a number that is no signal.
pub fn send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    Ok(rustix::process::pidfd_send_signal(
        pidfd,
        to_signal(signal)?,
    )?)
}

/// Sends a signal to every process of the group led by `leader`. Safe only while the leader has not been reaped:
/// until then the kernel doesn't use its number again.
///
/// # Errors
/// `ESRCH` if there is no such group, `EPERM`, `EINVAL` for a number that is no signal.
pub fn kill_group(leader: u32, signal: i32) -> io::Result<()> {
    Ok(kill_process_group(to_pid(leader)?, to_signal(signal)?)?)
}

/// The process group of a process; 0 if that group is of another pid namespace (a process that entered a container).
///
/// # Errors
/// `ESRCH` if there is no such process.
pub fn group_of(pid: u32) -> io::Result<u32> {
    let pid = to_pid(pid)?;
    // SAFETY: it takes a number and touches no memory. Not rustix's, whose `Pid` has no room for the 0.
    match unsafe { libc::getpgid(pid.as_raw_pid()) } {
        group if group >= 0 => Ok(group.cast_unsigned()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How the child ended, if it has; it stays a zombie, so that its number remains taken.
///
/// # Errors
/// Whatever `waitid` says, `ECHILD` aside, which is [`Ended::Unknown`].
pub fn peek(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, WaitIdOptions::NOWAIT)
}

/// How the child ended, if it has; its zombie is gone afterwards.
///
/// # Errors
/// Whatever `waitid` says, `ECHILD` aside, which is [`Ended::Unknown`].
pub fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Ended>> {
    wait(pidfd, WaitIdOptions::empty())
}

fn wait(pidfd: BorrowedFd<'_>, more: WaitIdOptions) -> io::Result<Option<Ended>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | more;
    loop {
        return match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(status) => Ok(status.as_ref().map(ended)),
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CHILD) => Ok(Some(Ended::Unknown)),
            Err(error) => Err(error.into()),
        };
    }
}

fn ended(status: &WaitIdStatus) -> Ended {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, Some(signal)) if status.dumped() => Ended::Dumped(signal),
        (None, Some(signal)) => Ended::Signal(signal),
        (None, None) => Ended::Unknown,
    }
}

fn to_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn to_signal(number: i32) -> io::Result<Signal> {
    if let Some(signal) = Signal::from_named_raw(number) {
        return Ok(signal);
    }
    if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number) {
        // SAFETY: the number lies in the range that the C library leaves to programs.
        return Ok(unsafe { Signal::from_raw_unchecked(number) });
    }
    Err(io::ErrorKind::InvalidInput.into())
}
