//! Options of sockets that no safe wrapper offers.

#![expect(unsafe_code, reason = "system calls that no safe wrapper offers")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Sets an option (`setsockopt(2)`) to these bytes.
///
/// # Errors
/// The system's.
pub(crate) fn set_option(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are those of one slice, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads an option (`getsockopt(2)`); gives as many of the bytes as there are.
///
/// # Errors
/// The system's.
pub(crate) fn option<'b>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    bytes: &'b mut [u8],
) -> io::Result<&'b [u8]> {
    let mut length = libc::socklen_t::try_from(bytes.len()).map_err(io::Error::other)?;
    // SAFETY: the pointer and the length are those of one slice, of which the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let length = usize::try_from(length).map_err(io::Error::other)?;
    bytes
        .get(..length)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
