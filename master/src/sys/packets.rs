//! Many packets by one system call.

#![expect(
    unsafe_code,
    reason = "a system call that no safe wrapper offers without allocating"
)]

use std::{
    io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// Descriptors that come with one packet at most: as many as the kernel lets through.
const DESCRIPTORS: usize = 253;

/// Room for them: a header of two words, and two of them in each word.
type Control = [MaybeUninit<u64>; 2 + DESCRIPTORS.div_ceil(2)];

/// Receives packets of at most `BYTES` bytes that are there already, without waiting. Gives the length of each that came, at most
/// `COUNT`, and the descriptors that came with them, close-on-exec; at the end of the stream there is one of length 0. Whoever gets
/// them decides where to close them; only what the limit on open files leaves no room for is closed here.
///
/// # Errors
/// `WouldBlock` if there is none.
pub(crate) fn receive_packets<const BYTES: usize, const COUNT: usize>(
    socket: BorrowedFd<'_>,
    packets: &mut [[u8; BYTES]; COUNT],
) -> io::Result<(
    impl Iterator<Item = usize> + use<BYTES, COUNT>,
    Vec<OwnedFd>,
)> {
    let mut parts = packets.each_mut().map(|packet| libc::iovec {
        iov_base: packet.as_mut_ptr().cast(),
        iov_len: BYTES,
    });
    let mut controls: [Control; COUNT] = [const { [MaybeUninit::uninit(); _] }; COUNT];
    let mut controls_left = controls.iter_mut();
    let mut headers = parts.each_mut().map(|part| {
        // SAFETY: all of its fields are numbers and pointers, for which zero is a value.
        let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        if let Some(control) = controls_left.next() {
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
        }
        header
    });
    let count = u32::try_from(COUNT).unwrap_or(u32::MAX);
    // SAFETY: there are `count` headers, each with one part that is `BYTES` bytes of a packet of its own, and with a control
    // buffer of its own; all of them outlive the call.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let mut fds = Vec::new();
    for header in &headers[..received.min(COUNT)] {
        // SAFETY: the kernel has filled this header, and its control buffer is still there.
        unsafe { take_descriptors(&header.msg_hdr, &mut fds) };
    }
    let lengths = headers.map(|header| header.msg_len as usize);
    Ok((lengths.into_iter().take(received), fds))
}

/// Takes the descriptors that came with a packet.
///
/// # Safety
/// The kernel has filled the header by receiving, and nobody has taken them yet.
unsafe fn take_descriptors(header: &libc::msghdr, fds: &mut Vec<OwnedFd>) {
    // SAFETY: the header says how much of its control buffer was filled.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: what is not null is a whole message within what was filled.
        let (head, data) = unsafe { (message.read(), libc::CMSG_DATA(message)) };
        if (head.cmsg_level, head.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let before = data as usize - message as usize;
            let length: usize = head.cmsg_len as _;
            let count = (length - before) / size_of::<RawFd>();
            fds.extend((0..count).map(|at| {
                // SAFETY: the message has as many, and each was opened for us by the kernel.
                unsafe { OwnedFd::from_raw_fd(data.cast::<RawFd>().add(at).read_unaligned()) }
            }));
        }
        // SAFETY: as above.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::{
        io::{FdFlags, fcntl_getfd},
        net::{
            AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
            SocketType, send, sendmsg, socketpair,
        },
    };

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
        let (lengths, fds) = receive_packets(ours.as_fd(), &mut packets).expect("three");
        let lengths: Vec<usize> = lengths.collect();
        assert!(fds.is_empty());
        assert_eq!(lengths, [3, 3, 4]);
        assert_eq!(&packets, &[*b"one\0", *b"two\0", *b"long"]);
        drop(theirs);
        let received = receive_packets(ours.as_fd(), &mut packets);
        let (lengths, _) = received.expect("the last, and the end");
        let lengths: Vec<usize> = lengths.collect();
        assert_eq!(lengths[..2], [4, 0]);
    }

    #[test]
    fn descriptors_come_with_their_packets() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .expect("a pair");
        let (reads, writes) = io::pipe().expect("a pipe");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        for count in [1, 0, DESCRIPTORS, 2] {
            let mut control = SendAncillaryBuffer::new(&mut space);
            let many = vec![writes.as_fd(); count];
            assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
            let part = [io::IoSlice::new(b"word")];
            sendmsg(&theirs, &part, &mut control, SendFlags::empty()).expect("sent");
        }
        drop(writes);
        let mut packets = [[0; 4]; 8];
        let (lengths, fds) = receive_packets(ours.as_fd(), &mut packets).expect("four");
        assert_eq!(lengths.collect::<Vec<_>>(), [4; 4]);
        assert_eq!(fds.len(), 1 + DESCRIPTORS + 2);
        for fd in &fds {
            assert!(fcntl_getfd(fd).expect("open").contains(FdFlags::CLOEXEC));
        }
        // Those were all.
        drop(fds);
        assert_eq!(io::read_to_string(reads).expect("its end"), "");
    }
}
