//! What a process's scheduling is, and that of its input and output.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::io;

use rustix::process::Pid;

/// `struct sched_attr` as far as it says what was set: its size and policy, flags, niceness and priority, in that order. What
/// follows may be the kernel's own choice.
pub(crate) type Scheduling = [u64; 3];

/// The size of the first `struct sched_attr`: the kernel takes no less.
const WORDS: usize = 6;

/// The `IOPRIO_WHO_PROCESS` of `linux/ioprio.h`.
const ONE_PROCESS: libc::c_int = 1;

/// The scheduling policy of a process, with what belongs to it.
///
/// # Errors
/// If there is no such process, or the kernel refuses to tell.
pub(crate) fn scheduling(pid: Pid) -> io::Result<Scheduling> {
    let mut attributes = [0_u64; WORDS];
    // SAFETY: the kernel writes no more bytes than it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_getattr,
            pid.as_raw_nonzero().get(),
            attributes.as_mut_ptr(),
            size_of_val(&attributes),
            0,
        )
    };
    let [first, second, third, ..] = attributes;
    match result {
        0.. => Ok([first, second, third]),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The class and level of a process's input and output, as one number.
///
/// # Errors
/// As for [`scheduling`].
pub(crate) fn io_priority(pid: Pid) -> io::Result<libc::c_long> {
    // SAFETY: plain system call on two numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_ioprio_get,
            ONE_PROCESS,
            pid.as_raw_nonzero().get(),
        )
    };
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}
