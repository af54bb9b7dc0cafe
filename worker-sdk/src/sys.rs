//! The one place with unsafe code: turning numbers from the environment into descriptors, and having them watched.
#![expect(
    unsafe_code,
    reason = "descriptors named by the environment can be taken over in no other way; the runtime wants our word that they stay"
)]

use std::{
    collections::BTreeSet,
    io,
    os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
    sync::{Mutex, PoisonError},
};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use tokio::io::{Interest, unix::AsyncFd};

/// Descriptors already taken over: each can be owned once.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// Takes over an inherited descriptor and marks it close-on-exec, so that helpers this process starts don't get it.
///
/// Only the first call for a number can do so: what goes by that number later is something else. And only if `is_it`
/// finds that it is what the environment says: where it isn't, the number is some other part's of this process, which
/// must not lose it.
pub(crate) fn take_inherited(
    number: RawFd,
    is_it: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::other(format!(
            "descriptor {number} is a standard stream"
        )));
    }
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&number) {
        return Err(io::Error::other(format!(
            "descriptor {number} was taken over before: a process is one worker"
        )));
    }
    // SAFETY: only borrowed to look at it and for two fcntl calls, which fail cleanly if the number isn't open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    is_it(borrowed)?;
    let flags = fcntl_getfd(borrowed)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC)?;
    taken.insert(number);
    // SAFETY: it is open (fcntl just worked), it was handed to this process to own (the environment names it, and it
    // was just found to be that), and `TAKEN` makes sure that it is owned once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has the runtime tell when a socket is ready.
pub(crate) fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is returned, and nothing can close or replace it while it is.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}
