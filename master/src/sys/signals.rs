//! Signal names, and the clean slate that a worker starts from.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::io;

/// The name of a signal: "SIGTERM"; real-time ones by number: "SIG34".
#[must_use]
pub fn signal_name(number: i32) -> String {
    nix::sys::signal::Signal::try_from(number).map_or_else(
        |_| format!("SIG{number}"),
        |signal| signal.as_str().to_owned(),
    )
}

/// Every signal back to its default disposition, none blocked. For a process about to exec: ignored signals and the
/// mask would be inherited (Rust ignores SIGPIPE; a master under `nohup` ignores SIGHUP and blocks what it reads).
///
/// # Errors
/// If the mask can't be set.
pub fn reset_signals() -> io::Result<()> {
    for number in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is a valid disposition and no handler of ours is replaced that another thread relies on:
        // the caller is about to exec. SIGKILL, SIGSTOP and the C library's own numbers refuse it, which is fine.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    nix::sys::signal::SigSet::empty()
        .thread_set_mask()
        .map_err(io::Error::from)
}
