//! Descriptors over a Unix socket. A batch rides on one byte of its own, or on the first of a message, so that a plain `read` of
//! what goes before it can't swallow it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// How many descriptors the kernel takes in one message (`SCM_MAX_FD`).
pub const FDS_PER_MESSAGE: usize = 253;

const CONTROL: usize = rustix::cmsg_space!(ScmRights(FDS_PER_MESSAGE));

/// Sends up to [`FDS_PER_MESSAGE`] descriptors on one byte. They are in flight afterwards: the caller may close its own.
///
/// # Errors
/// `InvalidInput` for too many; `WouldBlock` on a non-blocking socket whose buffer is full (nothing was sent then).
pub fn send_fds(socket: BorrowedFd<'_>, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with_fds(socket, &[0], fds).map(drop)
}

/// Sends bytes, and descriptors that travel with the first of them. Returns how many bytes: at least one, and fewer than all if
/// a stream's buffer is full.
///
/// # Errors
/// As for [`send_fds`].
pub(crate) fn send_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > FDS_PER_MESSAGE || !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(sendmsg(
        socket,
        &[IoSlice::new(bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?)
}

/// Receives one batch sent by [`send_fds`]; all are close-on-exec.
///
/// # Errors
/// `UnexpectedEof` if the peer is gone, `InvalidData` if descriptors were cut off (the limit on open files).
pub fn receive_fds(socket: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    receive_with_fds(socket, &mut [0]).map(|(_length, fds)| fds)
}

/// Receives bytes, as many as there are, and the descriptors that came with them; all are close-on-exec.
///
/// # Errors
/// As for [`receive_fds`].
pub(crate) fn receive_with_fds(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    match receive_what_fits(socket, bytes)? {
        (length, fds, false) => Ok((length, fds)),
        (_, _, true) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "descriptors were cut off: the limit on open files is too low",
        )),
    }
}

/// The same for somebody who can use the bytes alone: true if descriptors were cut off.
///
/// # Errors
/// `UnexpectedEof` if the peer is gone.
pub(crate) fn receive_what_fits(
    socket: BorrowedFd<'_>,
    bytes: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>, bool)> {
    let mut space = [MaybeUninit::uninit(); CONTROL];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(
        socket.as_fd(),
        &mut [IoSliceMut::new(bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    match received.bytes {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => Ok((length, fds, received.flags.contains(ReturnFlags::CTRUNC))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_full_batch_arrives_in_order_and_closed_on_exec() {
        let (ours, theirs) = UnixStream::pair().expect("a socketpair");
        let file = std::fs::File::open("/dev/null").expect("/dev/null");
        let many = vec![file.as_fd(); FDS_PER_MESSAGE];
        send_fds(ours.as_fd(), &many).expect("sent");
        let got = receive_fds(theirs.as_fd()).expect("received");
        assert_eq!(got.len(), FDS_PER_MESSAGE);
        let flags = rustix::io::fcntl_getfd(&got[0]).expect("flags");
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn one_too_many_is_refused_and_sends_nothing() {
        let (ours, theirs) = UnixStream::pair().expect("a socketpair");
        let file = std::fs::File::open("/dev/null").expect("/dev/null");
        let many = vec![file.as_fd(); FDS_PER_MESSAGE + 1];
        let error = send_fds(ours.as_fd(), &many).expect_err("too many");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(ours);
        let end = receive_fds(theirs.as_fd()).expect_err("nothing was sent");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
