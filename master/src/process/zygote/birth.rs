//! The first word on a channel: who is at its other end, or why nobody is. Five bytes, which come at once or not at all.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use crate::sys;

const BORN: u8 = 1;
const UNLIKE: u8 = 2;
const REFUSED: u8 = 3;

const WORD_BYTES: usize = 5;

/// What is said.
#[derive(Debug)]
pub(super) enum Word {
    /// A copy, which waits for its order.
    Born {
        /// Its process id.
        pid: u32,
        /// Its own pidfd: nobody else can be meant by it. `None` if it came to somebody who may have no more open.
        pidfd: Option<OwnedFd>,
    },
    /// A copy, which ends: the zygote is not like the master any more.
    Unlike,
    /// The zygote: it can't be copied.
    Refused(io::Error),
}

impl Word {
    /// This process's own.
    pub(super) fn own() -> io::Result<Self> {
        let pid = std::process::id();
        let pidfd = Some(sys::pidfd_open(pid)?);
        Ok(Self::Born { pid, pidfd })
    }

    /// Says it. On a socket on which nothing has been said before, there is room for it.
    pub(super) fn send(&self, channel: BorrowedFd<'_>) -> io::Result<()> {
        let (tag, number, fd) = match self {
            Self::Born { pid, pidfd } => (BORN, *pid, pidfd.as_ref().map(AsFd::as_fd)),
            Self::Unlike => (UNLIKE, 0, None),
            Self::Refused(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                (REFUSED, errno.cast_unsigned(), None)
            }
        };
        let [a, b, c, d] = number.to_le_bytes();
        sys::send_with_fds(channel, &[tag, a, b, c, d], fd.as_slice()).map(drop)
    }
}

/// Hears it.
pub(super) fn receive(channel: BorrowedFd<'_>) -> io::Result<Word> {
    let mut bytes = [0; WORD_BYTES];
    let (length, fds, _cut_off) = sys::receive_what_fits(channel, &mut bytes)?;
    let [tag, number @ ..] = bytes;
    let number = u32::from_le_bytes(number);
    match (tag, fds.into_iter().next()) {
        _ if length < WORD_BYTES => Err(io::ErrorKind::InvalidData.into()),
        (BORN, pidfd) => Ok(Word::Born { pid: number, pidfd }),
        (UNLIKE, None) => Ok(Word::Unlike),
        (REFUSED, None) => {
            let error = io::Error::from_raw_os_error(number.cast_signed());
            Ok(Word::Refused(error))
        }
        (_, _) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn said(word: &Word) -> Word {
        let (ours, theirs) = UnixStream::pair().expect("a socketpair");
        word.send(theirs.as_fd()).expect("sent");
        // What is said next is no part of it.
        rustix::net::send(&theirs, b"more", rustix::net::SendFlags::NOSIGNAL).expect("sent");
        receive(ours.as_fd()).expect("received")
    }

    #[test]
    fn a_word_arrives_as_it_was_said() {
        let own = Word::own().expect("a living process");
        let Word::Born {
            pid,
            pidfd: Some(pidfd),
        } = said(&own)
        else {
            panic!("another word than {own:?}");
        };
        assert_eq!(pid, std::process::id());
        sys::send_signal(pidfd.as_fd(), libc::SIGCONT).expect("it is ourselves");
        assert!(matches!(said(&Word::Unlike), Word::Unlike));
        let refused = Word::Refused(io::Error::from_raw_os_error(libc::ENOSYS));
        let Word::Refused(error) = said(&refused) else {
            panic!("another word than {refused:?}");
        };
        assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
    }

    #[test]
    fn what_is_no_word_is_not_believed() {
        let (ours, theirs) = UnixStream::pair().expect("a socketpair");
        for nonsense in [[0, 1, 0, 0, 0], [9, 0, 0, 0, 0]] {
            sys::send_with_fds(theirs.as_fd(), &nonsense, &[]).expect("sent");
            let error = receive(ours.as_fd()).expect_err("nonsense");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
        drop(theirs);
        let error = receive(ours.as_fd()).expect_err("nobody is there");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
