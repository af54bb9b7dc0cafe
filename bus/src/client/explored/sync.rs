//! What the client shares, as loom has it.

use std::task::Waker;

pub(in crate::client) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

/// A waker that one task leaves and others call.
#[derive(Debug)]
pub(in crate::client) struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(in crate::client) fn new() -> Self {
        Self(Mutex::new(None))
    }

    pub(in crate::client) fn register(&self, waker: &Waker) {
        *self.0.lock().expect("nobody panics") = Some(waker.clone());
    }

    pub(in crate::client) fn wake(&self) {
        let waker = self.0.lock().expect("nobody panics").take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A cell that is set once; each use of it a step.
#[derive(Debug)]
pub(in crate::client) struct OnceLock<T> {
    cell: std::sync::OnceLock<T>,
    step: Mutex<()>,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self {
            cell: std::sync::OnceLock::new(),
            step: Mutex::new(()),
        }
    }
}

impl<T> OnceLock<T> {
    pub(in crate::client) fn set(&self, value: T) -> Result<(), T> {
        let _step = self.step.lock();
        self.cell.set(value)
    }

    pub(in crate::client) fn get(&self) -> Option<&T> {
        let _step = self.step.lock();
        self.cell.get()
    }
}
