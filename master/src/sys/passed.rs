//! Descriptors that this process was started with, beside the first three.

#![expect(unsafe_code, reason = "only their numbers are known")]

use std::{
    io,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::{
    fs::FileType,
    io::{Errno, FdFlags},
};

/// Takes a socket that this process was started with into its possession, closed on exec from now on. Call it before
/// anything else is opened, and once for a number.
///
/// # Errors
/// If nothing is open there, or no socket: that is left as it is.
pub(crate) fn take_passed_socket(number: RawFd) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: it may be closed, then both calls fail; it is not used after them.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let is_socket = rustix::fs::fstat(fd)
        .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)?;
    if !is_socket {
        return Err(Errno::NOTSOCK.into());
    }
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and the caller promises that nothing here owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
