//! Commands on their way to a thread that waits on descriptors.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::event::{EventfdFlags, eventfd};

/// Commands, and a bell that a thread can wait on. It is for threads that never wait for anything else, and for commands of
/// which there are a handful for each worker in its life: so few are there, and whoever sends one doesn't wait.
#[derive(Debug)]
pub(super) struct Mailbox<C> {
    commands: Mutex<Vec<C>>,
    /// Readable while there are commands.
    pub(super) bell: OwnedFd,
    alive: AtomicBool,
}

impl<C> Mailbox<C> {
    /// An empty one.
    ///
    /// # Errors
    /// If no descriptor is left for the bell.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mutex::default(),
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            alive: AtomicBool::new(true),
        })
    }

    /// Puts a command in.
    pub(super) fn send(&self, command: C) {
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.push(command);
        drop(commands);
        // Only if the count is full it can't be written, and then the bell has rung.
        let _rung = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// What was sent; the bell falls silent.
    pub(super) fn take(&self) -> Vec<C> {
        let _silent = rustix::io::read(&self.bell, &mut [0_u8; 8][..]);
        let mut commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *commands)
    }

    /// Whether the thread still reads.
    pub(super) fn is_read(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }

    /// The thread has ended. What it had not read is dropped: whoever waits for an answer is told by its end.
    pub(super) fn close(&self) {
        self.alive.store(false, Ordering::Release);
        drop(self.take());
    }
}
