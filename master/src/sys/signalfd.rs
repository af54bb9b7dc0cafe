//! The master's signals: blocked for life and read in order from a descriptor, so that no handler ever runs.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::io;

use nix::sys::{
    signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    signalfd::{SfdFlags, SignalFd},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A signal that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its number.
    pub signal: i32,
    /// Who sent it; 0 is the kernel (Ctrl-C, a child's end).
    pub sender: u32,
}

/// The signals that the master reads. Several of one kind that arrive before the first is read are one.
#[derive(Debug)]
pub struct Signals(AsyncFd<SignalFd>);

impl Signals {
    /// Blocks `numbers` in this thread, and in all that it starts from now on, and opens the descriptor they are read
    /// from. Call it on the main thread before any other is started, inside a runtime. SIGCHLD gets its default
    /// disposition back: a starter that ignores it would have the kernel throw away how workers ended. SIGXFSZ is
    /// ignored: a log at the limit on files' sizes is an error of that log, not the master's end.
    ///
    /// # Errors
    /// If a number is no signal, or no descriptor is left.
    pub fn block(numbers: &[i32]) -> io::Result<Self> {
        let mut mask = SigSet::empty();
        for number in numbers {
            mask.add(Signal::try_from(*number)?);
        }
        mask.thread_block()?;
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: neither disposition runs code of ours.
        unsafe {
            sigaction(Signal::SIGCHLD, &default)?;
            sigaction(Signal::SIGXFSZ, &ignore)?;
        }
        let fd = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // SAFETY: the descriptor is owned by what is returned, and nothing can close or replace it while it is.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
        Ok(Self(fd?))
    }

    /// The next signal. Cancel-safe: one not returned is not lost.
    ///
    /// # Errors
    /// If the runtime is going away.
    pub async fn next(&mut self) -> io::Result<Arrived> {
        loop {
            let mut ready = self.0.readable().await?;
            match self.0.get_ref().read_signal()? {
                Some(info) => {
                    return Ok(Arrived {
                        signal: i32::try_from(info.ssi_signo).unwrap_or_default(),
                        sender: info.ssi_pid,
                    });
                }
                None => ready.clear_ready(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::raise;

    use super::*;

    #[tokio::test]
    async fn blocked_signals_are_read_and_several_of_a_kind_are_one() {
        let mut signals = Signals::block(&[libc::SIGTERM, libc::SIGHUP]).expect("blocked");
        for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGHUP] {
            raise(signal).expect("raised"); // for this thread alone
        }
        for number in [libc::SIGHUP, libc::SIGTERM] {
            let next = tokio::time::timeout(Duration::from_secs(5), signals.next());
            let arrived = next.await.expect("in time").expect("read");
            let sender = std::process::id();
            assert_eq!(
                arrived,
                Arrived {
                    signal: number,
                    sender
                }
            );
        }
        let none = tokio::time::timeout(Duration::from_millis(20), signals.next());
        assert!(none.await.is_err(), "each was told once");
    }

    #[tokio::test]
    async fn what_is_no_signal_is_refused() {
        assert!(Signals::block(&[0]).is_err());
        assert!(Signals::block(&[99]).is_err());
    }
}
