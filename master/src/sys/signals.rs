//! Signal names, and the clean slate that a worker starts from.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::io;

/// The size of the kernel's signal set.
const SET_BYTES: usize = 8;

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
pub(crate) fn reset_signals() -> io::Result<()> {
    // All zeroes on every architecture: SIG_DFL, no flags, an empty mask. By system call, because the C library keeps
    // numbers 32 and 33 to itself, and leaves them ignored in what it spawns.
    let default = [0_u64; 8];
    for number in 1..=libc::SIGRTMAX() {
        let none = std::ptr::null::<u64>();
        // SAFETY: the kernel reads a `sigaction`, at most 32 bytes, from `default` and writes nothing. No handler that
        // anybody relies on is lost: the caller is about to exec. SIGKILL and SIGSTOP refuse, which is fine.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                default.as_ptr(),
                none,
                SET_BYTES,
            )
        };
    }
    nix::sys::signal::SigSet::empty()
        .thread_set_mask()
        .map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named() {
        assert_eq!(signal_name(libc::SIGTERM), "SIGTERM");
        assert_eq!(signal_name(40), "SIG40");
    }
}
