//! Telling the kernel which listener of a group (`SO_REUSEPORT`) gets which connection, by a program of the classic packet
//! filter: no rights are needed for that.

#![expect(unsafe_code, reason = "an option whose value has a pointer in it")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// One instruction of a packet filter (`struct sock_filter`, see the kernel's `Documentation/networking/filter.rst`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    /// What it does.
    pub(crate) code: u16,
    /// So many instructions are passed over if a comparison holds.
    pub(crate) if_true: u8,
    /// And so many if it doesn't.
    pub(crate) if_false: u8,
    /// The operand.
    pub(crate) operand: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());

/// Has the group of this listener chosen from by this program, from now on. What it returns is a listener's position in the
/// group; beyond the last the kernel chooses by itself.
///
/// # Errors
/// If the program is no program (it has more than 4,096 instructions, say), or the listener is in no group.
pub(crate) fn choose_by(listener: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(io::Error::other)?,
        filter: program.as_ptr().cast_mut().cast(),
    };
    let length = libc::socklen_t::try_from(size_of_val(&filter)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads one `sock_fprog` and as many instructions as it says, which are laid out as it has them; it
    // keeps a copy and writes nothing.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            length,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
