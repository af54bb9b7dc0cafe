//! A second process like this one, born to the same parent.

#![expect(unsafe_code, reason = "a system call that no safe wrapper offers")]

use std::io;

/// Which of the two a process is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twin {
    /// The one that there was before.
    Elder,
    /// The new one: a child of the elder's parent, which hears of its end as it would of the elder's.
    Younger,
}

/// Copies this process, memory and descriptors, as `fork` does; but the copy is this process's sibling and not its child.
/// For a process with one thread: of others nothing is copied, and what they have locked stays locked in the copy.
///
/// # Errors
/// `ENOSYS`, `EPERM` or `EINVAL` where this isn't allowed (a filter on system calls, the first process of a namespace);
/// `EAGAIN`, `ENOMEM` where there is no room for another process.
pub(crate) fn twin() -> io::Result<Twin> {
    // The older of the two calls: filters on system calls allow it more often than `clone3`, whose arguments they can't see.
    // The signal at the copy's end is the elder's own with `CLONE_PARENT`; named, it makes this a `fork` to those who look.
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    let same_stack: libc::c_long = 0;
    let (first, second) = match cfg!(target_arch = "s390x") {
        true => (same_stack, flags),
        false => (flags, same_stack),
    };
    // SAFETY: without flags that ask for more, the kernel writes nowhere and ignores the other three arguments. Memory is not
    // shared, and the stack is copied with the rest of it, so both return from here, each to memory of its own.
    let pid = unsafe { libc::syscall(libc::SYS_clone, first, second, 0, 0, 0) };
    match pid {
        0 => Ok(Twin::Younger),
        1.. => Ok(Twin::Elder),
        _ => Err(io::Error::last_os_error()),
    }
}
