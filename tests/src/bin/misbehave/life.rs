//! How long a worker lives, and what it is asked by signal.

use std::{
    sync::mpsc::{Receiver, sync_channel},
    time::Duration,
};

use nix::sys::signal::{SigSet, Signal};

/// No worker outlives this, supervised or not.
pub(super) const LONGEST: Duration = Duration::from_secs(600);

/// Does nothing for so long, [`LONGEST`] at most.
pub(super) fn pause(time: Duration) {
    let (_kept, never) = sync_channel::<()>(0);
    // Times out: the other end says nothing and stays.
    never.recv_timeout(time.min(LONGEST)).ok();
}

/// From here on TERM and INT don't end the process but arrive on what is returned. To be called before any thread is
/// started, as threads inherit the mask.
pub(super) fn signals() -> Receiver<Signal> {
    let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    set.thread_block().expect("two real signals");
    // A signal that finds one waiting already is the same request again.
    let (tell, asked) = sync_channel(1);
    std::thread::spawn(move || {
        while let Ok(signal) = set.wait() {
            tell.try_send(signal).ok();
        }
    });
    asked
}

/// Waits until it is asked to go, or has lived long enough.
pub(super) fn until_asked(asked: &Receiver<Signal>) {
    asked.recv_timeout(LONGEST).ok();
}

/// From here on the signals that ask a process to go stay pending for ever.
pub(super) fn ignore_signals() {
    let set = SigSet::from_iter([
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
    ]);
    set.thread_block().expect("real signals");
}
