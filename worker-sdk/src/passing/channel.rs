//! One end of a channel by which words and descriptors travel together.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{Interest, unix::AsyncFd};
use zeroize::{Zeroize, Zeroizing};

use super::words::{LONGEST, MOST};
use crate::sys;

/// What nearly every packet has room in: one that has is written where nothing of it stays behind.
const USUAL: usize = 1 << 10;

const CONTROL: usize = rustix::cmsg_space!(ScmRights(MOST));

/// One end. Each packet is a word and the descriptors that belong to it.
#[derive(Debug)]
pub struct Channel(AsyncFd<OwnedFd>);

/// A packet as it came.
#[derive(Debug)]
pub struct Packet<W> {
    /// The word; `None` for what is none.
    pub word: Option<W>,
    /// What came with it. All close on exec; fewer than there should be where this process had no room for more.
    pub fds: Vec<OwnedFd>,
}

/// The two ends of a new channel; both close on exec.
///
/// # Errors
/// If no descriptor is left.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

impl Channel {
    /// Takes over an end. To be called inside a runtime.
    ///
    /// # Errors
    /// If it can't be watched.
    pub fn new(end: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&end, true)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        sys::watch(end, both).map(Self)
    }

    /// The end itself: whoever closes it closes the descriptors in packets that nobody has read, too.
    #[must_use]
    pub fn into_inner(self) -> OwnedFd {
        self.0.into_inner()
    }

    /// Says a word, once there is room for it. Nothing was said if this is dropped before it is done.
    ///
    /// # Errors
    /// If the other end is gone, or too many descriptors are on their way somewhere.
    pub async fn say(&self, word: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let no_room = |said: &io::Result<()>| {
            let error = said.as_ref().err();
            error.is_some_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        let mut said = self.try_say(word, fds);
        while no_room(&said) {
            let mut ready = self.0.writable().await?;
            said = self.try_say(word, fds);
            if no_room(&said) {
                ready.clear_ready();
            }
        }
        said
    }

    /// Says a word, if there is room for it.
    ///
    /// # Errors
    /// `WouldBlock` if there is none; else as [`Channel::say`].
    pub fn try_say(&self, word: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        // It may have secrets in it.
        let mut text = Zeroizing::new(Vec::with_capacity(USUAL));
        serde_json::to_writer(&mut *text, word)?;
        if text.len() > LONGEST {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut space = [MaybeUninit::uninit(); CONTROL];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            let socket = self.0.get_ref();
            match sendmsg(socket, &[IoSlice::new(&text)], &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next packet; `None` at the end. May be dropped while it waits.
    ///
    /// # Errors
    /// If the channel can't be read.
    pub async fn receive<W: DeserializeOwned>(&self) -> io::Result<Option<Packet<W>>> {
        loop {
            let mut ready = self.0.readable().await?;
            // Not before: most channels are quiet for ever.
            let mut text = vec![0; LONGEST];
            let mut space = [MaybeUninit::uninit(); CONTROL];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let mut into = [IoSliceMut::new(&mut text)];
            let length = match recvmsg(self.0.get_ref(), &mut into, &mut control, flags) {
                Ok(received) if received.bytes == 0 => return Ok(None),
                Ok(received) => received.bytes,
                Err(Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    continue;
                }
                // It ended without hearing all: said once, and before what it had to say itself.
                Err(Errno::INTR | Errno::CONNRESET) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut fds = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    fds.extend(rights);
                }
            }
            let word = serde_json::from_slice(&text[..length]).ok();
            text[..length].zeroize();
            return Ok(Some(Packet { word, fds }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::{super::words::WorkerWord, *};

    #[tokio::test]
    async fn words_come_whole_in_order_and_with_what_belongs_to_them() {
        let (ours, theirs) = pair().unwrap();
        let (ours, theirs) = (Channel::new(ours).unwrap(), Channel::new(theirs).unwrap());
        let null = std::fs::File::open("/dev/null").unwrap();
        for id in 0..3 {
            let fds = vec![null.as_fd(); usize::try_from(id).unwrap()];
            theirs.say(&WorkerWord::Give { id }, &fds).await.unwrap();
        }
        for id in 0..3_u8 {
            let packet = ours.receive::<WorkerWord>().await.unwrap().unwrap();
            assert_eq!(packet.word, Some(WorkerWord::Give { id: id.into() }));
            assert_eq!(packet.fds.len(), usize::from(id));
        }
        theirs.say(&"nonsense", &[]).await.unwrap();
        let packet = ours.receive::<WorkerWord>().await.unwrap().unwrap();
        assert_eq!(packet.word, None);
        drop(theirs);
        assert!(ours.receive::<WorkerWord>().await.unwrap().is_none());
        let late = ours.say(&WorkerWord::Took { id: 1 }, &[]).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn what_finds_no_room_waits_and_nothing_of_it_was_said() {
        let (ours, theirs) = pair().unwrap();
        let (ours, theirs) = (Channel::new(ours).unwrap(), Channel::new(theirs).unwrap());
        let long = "x".repeat(LONGEST - 2);
        let mut said = 0;
        while ours.try_say(&long, &[]).is_ok() {
            said += 1;
        }
        assert!(ours.try_say(&"y".repeat(LONGEST), &[]).is_err(), "too long");
        let waits = ours.say(&"last", &[]);
        let reads = async {
            for _ in 0..said {
                let packet = theirs.receive::<String>().await.unwrap().unwrap();
                assert_eq!(packet.word.as_deref(), Some(long.as_str()));
            }
            theirs.receive::<String>().await.unwrap().unwrap().word
        };
        let (waited, read) = tokio::join!(waits, reads);
        waited.unwrap();
        assert_eq!(read.as_deref(), Some("last"));
    }
}
