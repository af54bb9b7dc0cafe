//! Descriptors at fixed numbers, for a process about to exec.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

/// Moves a descriptor to `lowest` or above, closed on exec, unless it is there already.
///
/// # Errors
/// If the limit on open files is reached.
pub(crate) fn move_to(fd: OwnedFd, lowest: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() >= lowest {
        return Ok(fd);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&fd, lowest)?)
}

/// Duplicates a descriptor to exactly `number`, left open on exec; whatever was there is closed. For a process about
/// to exec, whose other descriptors nobody will use any more.
///
/// # Errors
/// If the limit on open files is reached.
pub(crate) fn place_at(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        return Ok(rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?);
    }
    // SAFETY: plain system call on two numbers; `fd` is open for as long as it is borrowed.
    let result = unsafe { libc::dup2(fd.as_raw_fd(), number) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Closes this number. For a process about to exec, where nobody owns it.
pub(crate) fn close(number: RawFd) {
    // SAFETY: plain system call; the caller promises that nothing owns the number.
    unsafe {
        libc::close(number);
    }
}

/// Closes every descriptor from `first` on but `keep`. For a process about to exec: owners of those numbers must not be
/// used again.
///
/// # Errors
/// If the kernel refuses `close_range`.
pub(crate) fn close_others(first: RawFd, keep: BorrowedFd<'_>) -> io::Result<()> {
    let keep = keep.as_raw_fd();
    if keep > first {
        close_range(first, keep - 1)?;
    }
    close_range(first.max(keep + 1), RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: plain system call; the caller's caller promises that nothing uses the closed numbers.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Puts `/dev/null` in the place of standard input.
///
/// # Errors
/// If `/dev/null` can't be opened.
pub(crate) fn null_stdin() -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    place_at(null.as_fd(), 0)
}
