//! Many packets by one system call.

#![expect(
    unsafe_code,
    reason = "a system call that no safe wrapper offers without allocating"
)]

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Receives packets of at most `BYTES` bytes that are there already, without waiting; descriptors that come with them are
/// closed. Gives the length of each that came, at most `COUNT`; at the end of the stream there is one of length 0.
///
/// # Errors
/// `WouldBlock` if there is none.
pub(crate) fn receive_packets<const BYTES: usize, const COUNT: usize>(
    socket: BorrowedFd<'_>,
    packets: &mut [[u8; BYTES]; COUNT],
) -> io::Result<impl Iterator<Item = usize> + use<BYTES, COUNT>> {
    let mut parts = packets.each_mut().map(|packet| libc::iovec {
        iov_base: packet.as_mut_ptr().cast(),
        iov_len: BYTES,
    });
    let mut headers = parts.each_mut().map(|part| {
        // SAFETY: all of its fields are numbers and pointers, for which zero is a value.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header
    });
    let count = u32::try_from(COUNT).unwrap_or(u32::MAX);
    // SAFETY: there are `count` headers, each with one part that is `BYTES` bytes of a packet of its own; headers, parts
    // and packets outlive the call.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let lengths = headers.map(|header| header.msg_len as usize);
    Ok(lengths.into_iter().take(received))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};

    use super::*;

    #[test]
    fn what_is_there_comes_at_once_and_the_end_is_a_length_of_zero() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair");
        let mut packets = [[0; 4]; 3];
        let error = receive_packets(ours.as_fd(), &mut packets).err();
        assert_eq!(error.map(|e| e.kind()), Some(io::ErrorKind::WouldBlock));
        for text in ["one", "two", "longer", "last"] {
            send(&theirs, text.as_bytes(), SendFlags::empty()).expect("sent");
        }
        let lengths: Vec<usize> = receive_packets(ours.as_fd(), &mut packets)
            .expect("three")
            .collect();
        assert_eq!(lengths, [3, 3, 4]);
        assert_eq!(&packets, &[*b"one\0", *b"two\0", *b"long"]);
        drop(theirs);
        let lengths: Vec<usize> = receive_packets(ours.as_fd(), &mut packets)
            .expect("the last, and the end")
            .collect();
        assert_eq!(lengths[..2], [4, 0]);
    }
}
