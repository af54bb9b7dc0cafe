//! The locks, counters and wake-ups that handles, readers and the owning task share, in one place: so that tests can put
//! an explorer's in theirs, which tries every order in which threads may come to them ([`explored`](super::explored)).

#[cfg(not(all(test, feature = "explore")))]
pub(super) use std::sync::{
    Mutex, MutexGuard, OnceLock,
    atomic::{AtomicU64, AtomicUsize},
};

#[cfg(not(all(test, feature = "explore")))]
pub(super) use futures::task::AtomicWaker;

#[cfg(all(test, feature = "explore"))]
pub(super) use super::explored::sync::{
    AtomicU64, AtomicUsize, AtomicWaker, Mutex, MutexGuard, OnceLock,
};
