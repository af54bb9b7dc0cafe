//! Descriptors that the runtime watches.

#![expect(
    unsafe_code,
    reason = "the runtime wants our word that the descriptor stays"
)]

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Has the runtime watch a descriptor. To be called inside a runtime.
///
/// # Errors
/// If it can't be watched (a file), or the kernel's limit on watches is reached.
pub fn watch_fd(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, and nothing can close or replace it while it is.
    unsafe { AsyncFd::register_with_interest(fd, interest) }.map_err(io::Error::from)
}
