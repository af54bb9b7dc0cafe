//! The master's end of the channel to one worker.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use ostler_worker_sdk::handover::{FromWorker, MasterWord, WINDOW, WorkerWord};
use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
        SocketFlags, SocketType, recv, sendmsg, shutdown, socketpair,
    },
};
use tokio::io::Interest;

use crate::{sockets::Foreign, sys};

const CONTROL: usize = rustix::cmsg_space!(ScmRights(WINDOW));

/// Words read at once; as many as come of a whole window, and what closed beside.
const WORDS: usize = 2 * WINDOW;

/// The master's end. In words that were not read may be any descriptors.
#[derive(Debug)]
pub struct Channel(Foreign);

/// A new channel, and the end for its worker.
///
/// # Errors
/// If no descriptor is left.
pub fn channel_pair() -> io::Result<(Channel, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((Channel(ours.into()), theirs))
}

/// What was heard of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// A word.
    Word(WorkerWord),
    /// Something that is no word.
    Nonsense,
    /// It has hung up.
    End,
}

impl Channel {
    /// One of any descriptor.
    #[cfg(test)]
    pub(super) fn made_up(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Waits until the worker says its first word, which remains to be read; `None` if it never will. Nothing but this
    /// is spent on a worker that accepts for itself.
    ///
    /// # Errors
    /// If it can't be watched.
    pub async fn first_word(self) -> io::Result<Option<Self>> {
        // A duplicate: its close is not the last.
        let watched = self.0.as_fd().try_clone_to_owned()?;
        let watched = sys::watch_fd(watched, Interest::READABLE)?;
        loop {
            let mut ready = watched.readable().await?;
            let mut byte = [0];
            let peek = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            match recv(watched.get_ref(), &mut byte, peek) {
                Ok((0, _)) => return Ok(None),
                Ok(_) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) => ready.clear_ready(),
                Err(_) => return Ok(None),
            }
        }
        drop(watched);
        Ok(Some(self))
    }

    /// Hands connections over: all of them, or none.
    ///
    /// # Errors
    /// Those of `sendmsg`.
    pub(super) fn hand_over(&self, connections: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let count = u16::try_from(connections.len()).map_err(|_| Errno::INVAL)?;
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(connections)) {
            return Err(Errno::INVAL);
        }
        let word = MasterWord::Connections(count).encode();
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        sendmsg(&self.0, &[IoSlice::new(&word)], &mut control, flags).map(drop)
    }

    /// What was said, a few words at most; empty if nothing was.
    pub(super) fn hear(&self) -> impl Iterator<Item = Heard> + use<> {
        let mut packets = [FromWorker::default(); WORDS];
        let mut lengths = sys::receive_packets(self.0.as_fd(), &mut packets);
        if matches!(&lengths, Err(error) if error.kind() == io::ErrorKind::ConnectionReset) {
            // Its end was closed with something unread: told once, and before what it has said.
            lengths = sys::receive_packets(self.0.as_fd(), &mut packets);
        }
        let (lengths, broken) = match lengths {
            Ok((lengths, fds)) => {
                // No word comes with any.
                fds.into_iter().map(Foreign::from).for_each(drop);
                (Some(lengths), false)
            }
            Err(error) => {
                let passes = matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                );
                (None, !passes)
            }
        };
        let words =
            lengths
                .into_iter()
                .flatten()
                .zip(packets)
                .map(|(length, packet)| match length {
                    0 => Heard::End,
                    length => {
                        WorkerWord::decode(&packet[..length]).map_or(Heard::Nonsense, Heard::Word)
                    }
                });
        words.chain(broken.then_some(Heard::End))
    }

    /// Nothing can be said any more, by either side. What was said before can still be heard, to its end.
    pub(super) fn cut(&self) {
        if let Err(error) = shutdown(&self.0, Shutdown::Both) {
            tracing::debug!("a channel was cut already: {error}");
        }
    }

    /// Tells a worker that it gets no more, because it drains: it must not begin to accept for itself.
    pub(super) fn end(&self) {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if let Err(error) = rustix::net::send(&self.0, &MasterWord::End.encode(), flags) {
            tracing::debug!("a worker was not told that it gets no more: {error}");
        }
    }

    /// Tells the same to a worker that was handed nothing, and lets go of it. What it has said is read first: closed over that, the
    /// channel would be reset for the worker, and the word come after it or not at all, as if the master had gone.
    pub fn refuse(self) {
        self.end();
        self.cut();
        while self.hear().any(|heard| heard != Heard::End) {}
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use ostler_worker_sdk::handover::Account;
    use rustix::net::send;

    use super::*;
    use crate::sockets::closing::tests::{lingering, send_with};

    fn taken(count: u32) -> WorkerWord {
        WorkerWord::Account(Account {
            taken: count,
            ..Account::default()
        })
    }

    #[test]
    fn what_was_said_before_a_cut_is_heard_and_nothing_can_be_said_after_it() {
        let (ours, theirs) = channel_pair().expect("a pair");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        ours.hand_over(&[null.as_fd()]).expect("handed over");
        let flags = SendFlags::NOSIGNAL;
        send(&theirs, &taken(1).encode(), flags).expect("said");
        ours.end();
        ours.cut();
        let late = send(&theirs, &taken(2).encode(), flags);
        assert_eq!(late, Err(Errno::PIPE));
        let heard: Vec<Heard> = ours.hear().take(2).collect();
        assert_eq!(heard, [Heard::Word(taken(1)), Heard::End]);
        let mut bytes = [0; 8];
        for (length, kind) in [(8, 1), (8, 2), (0, 2)] {
            let (_, got) = recv(&theirs, &mut bytes, RecvFlags::empty()).expect("received");
            assert_eq!((got, bytes[1]), (length, kind));
        }
    }

    #[test]
    fn what_one_said_that_has_died_with_something_unread_is_heard() {
        let (ours, theirs) = channel_pair().expect("a pair");
        ours.end();
        send(&theirs, &taken(1).encode(), SendFlags::NOSIGNAL).expect("said");
        drop(theirs);
        let heard: Vec<Heard> = ours.hear().take(2).collect();
        assert_eq!(heard, [Heard::Word(taken(1)), Heard::End]);
    }

    #[test]
    fn one_that_is_refused_hears_the_end_and_no_reset() {
        let (ours, theirs) = channel_pair().expect("a pair");
        for _ in 0..=WORDS {
            send(&theirs, &taken(1).encode(), SendFlags::NOSIGNAL).expect("said");
        }
        ours.refuse();
        let mut bytes = [0; 8];
        for (length, kind) in [(8, 2), (0, 2)] {
            let (_, got) = recv(&theirs, &mut bytes, RecvFlags::empty()).expect("received");
            assert_eq!((got, bytes[1]), (length, kind));
        }
    }

    #[test]
    fn nobody_waits_for_descriptors_that_come_with_words() {
        let (ours, theirs) = channel_pair().expect("a pair");
        for _ in 0..2 {
            let (full, _other) = lingering();
            let word = taken(1).encode();
            send_with(&theirs, &word, full.as_fd(), SendFlags::empty());
            drop(full);
            let begun = Instant::now();
            assert_eq!(ours.hear().next(), Some(Heard::Word(taken(1))));
            assert!(begun.elapsed() < Duration::from_secs(1));
        }
        let (full, _other) = lingering();
        send_with(&theirs, b"x", full.as_fd(), SendFlags::empty());
        drop(full);
        let begun = Instant::now();
        drop(ours);
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn nonsense_is_told_from_silence_and_from_the_end() {
        let (ours, theirs) = channel_pair().expect("a pair");
        assert_eq!(ours.hear().count(), 0);
        send(&theirs, b"hello", SendFlags::empty()).expect("sent");
        assert_eq!(ours.hear().collect::<Vec<_>>(), [Heard::Nonsense]);
        drop(theirs);
        assert_eq!(ours.hear().next(), Some(Heard::End));
    }

    #[tokio::test]
    async fn the_first_word_is_waited_for_and_left_to_be_read() {
        let (ours, theirs) = channel_pair().expect("a pair");
        send(&theirs, &taken(1).encode(), SendFlags::empty()).expect("said");
        let ours = ours.first_word().await.expect("watched").expect("a word");
        assert_eq!(ours.hear().next(), Some(Heard::Word(taken(1))));
        let (ours, theirs) = channel_pair().expect("a pair");
        drop(theirs);
        assert!(ours.first_word().await.expect("watched").is_none());
    }
}
