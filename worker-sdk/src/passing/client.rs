//! The worker's end: asks, hears answers, and takes back what nobody waits for any more.

use std::{
    collections::HashMap,
    io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{oneshot, watch};

use super::{
    channel::{Channel, Packet},
    words::{Listen, MasterWord, WorkerWord},
};
use crate::{DrainSignal, tickets::SecretSet};

/// Speaks with the master about descriptors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Passing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    channel: Channel,
    asked: Mutex<Asked>,
    draining: DrainSignal,
    /// This worker goes of its own accord.
    leaves: AtomicBool,
}

/// What is asked just now. As many at most as the app has futures that wait.
#[derive(Debug, Default)]
struct Asked {
    /// The last number given to a question.
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// The secrets that the master tells, by socket; when it has gone, those that it told last: other workers have them too.
    secrets: HashMap<String, watch::Sender<SecretSet>>,
    /// There will be no more answers.
    lost: bool,
}

/// An answer, and what came with it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) word: MasterWord,
    pub(super) fds: Vec<OwnedFd>,
}

impl Passing {
    /// Over a channel, with a task that hears what comes on it. To be called inside a runtime.
    pub(crate) fn begin(end: OwnedFd, draining: DrainSignal) -> io::Result<Self> {
        let this = Self(Arc::new(Inner {
            channel: Channel::new(end)?,
            asked: Mutex::default(),
            draining,
            leaves: AtomicBool::new(false),
        }));
        tokio::spawn(this.clone().hear());
        Ok(this)
    }

    /// From now on nothing is given back: it stays for a successor.
    pub(crate) fn leave(&self) {
        self.0.leaves.store(true, Ordering::Relaxed);
    }

    /// A number for a question.
    pub(super) fn number(&self) -> u64 {
        let mut asked = self.asked();
        asked.last += 1;
        asked.last
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(
        &self,
        id: u64,
        word: &WorkerWord,
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<Answer> {
        let (sender, answer) = oneshot::channel();
        {
            let mut asked = self.asked();
            if asked.lost {
                return Err(gone());
            }
            asked.waiting.insert(id, sender);
        }
        let _waits = Waits { passing: self, id };
        self.0.channel.say(word, fds).await.map_err(of_channel)?;
        let answer = answer.await.map_err(|_lost| gone())?;
        if let MasterWord::Failed { errno, reason, .. } = answer.word {
            let kind = io::Error::from_raw_os_error(errno).kind();
            return Err(io::Error::new(kind, reason));
        }
        Ok(answer)
    }

    /// Says what is not answered. If there is no room for it just now, it is said as soon as there is.
    pub(super) fn tell(&self, word: WorkerWord) {
        match self.0.channel.try_say(&word, &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let this = self.clone();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        let _gone = this.0.channel.say(&word, &[]).await;
                    });
                }
            }
            // With the master goes all that it held for this worker.
            Ok(()) | Err(_) => {}
        }
    }

    /// Asks for a socket: it, the channel by which its connections may come, and what gives it back when it is dropped.
    pub(super) async fn listen(&self, what: Listen) -> io::Result<(Vec<OwnedFd>, Hold)> {
        let id = self.number();
        let hold = Hold {
            passing: self.clone(),
            id,
        };
        let word = WorkerWord::Listen(Listen { id, ..what });
        let answer = self.ask(id, &word, &[]).await?;
        if answer.fds.is_empty() {
            return Err(no_room());
        }
        Ok((answer.fds, hold))
    }

    /// The secrets for session tickets of a socket, as the master tells them. Asked for once.
    pub(crate) async fn ticket_secrets(
        &self,
        socket: &str,
    ) -> io::Result<watch::Receiver<SecretSet>> {
        let known = || Some(self.asked().secrets.get(socket)?.subscribe());
        if let Some(secrets) = known() {
            return Ok(secrets);
        }
        let id = self.number();
        let socket = socket.to_owned();
        self.ask(id, &WorkerWord::TicketSecrets { id, socket }, &[])
            .await?;
        known().ok_or_else(gone)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self, id: u64) -> Option<oneshot::Sender<Answer>> {
        self.asked().waiting.remove(&id)
    }

    /// Hears answers until there are no more.
    async fn hear(self) {
        while let Ok(Some(packet)) = self.0.channel.receive().await {
            // A word of a later version is for nobody here.
            let Packet {
                word: Some(word),
                fds,
            } = packet
            else {
                continue;
            };
            match word {
                MasterWord::Connection { id } => self.connection(id, fds),
                word => {
                    self.note_secrets(&word);
                    let waiting = self.waiting(word.id());
                    // Whoever asked has gone, and has taken it back.
                    let _gone = waiting.map(|asker| asker.send(Answer { word, fds }));
                }
            }
        }
        let mut asked = self.asked();
        asked.lost = true;
        asked.waiting.clear();
    }

    /// Whoever follows them is told; also if nobody waits for the answer any more.
    fn note_secrets(&self, word: &MasterWord) {
        let MasterWord::TicketSecrets {
            socket, secrets, ..
        } = word
        else {
            return;
        };
        let mut asked = self.asked();
        if let Some(known) = asked.secrets.get(socket) {
            known.send_replace(secrets.clone());
        } else {
            let sender = watch::Sender::new(secrets.clone());
            asked.secrets.insert(socket.clone(), sender);
        }
    }

    /// It is this worker's only once that was said; if nobody waits for it any more, it is others'. It is said beside: were
    /// nothing heard until there is room to say it, and the master waited likewise, both would wait for ever.
    fn connection(&self, id: u64, fds: Vec<OwnedFd>) {
        let asker = self.waiting(id).filter(|asker| !asker.is_closed());
        let Some(asker) = asker.filter(|_| !fds.is_empty()) else {
            drop(fds);
            return self.tell(WorkerWord::Refuse { id });
        };
        let this = self.clone();
        // One at most for each question that is waited for.
        tokio::spawn(async move {
            let said = this.0.channel.say(&WorkerWord::Took { id }, &[]).await;
            if said.is_ok() {
                let word = MasterWord::Connection { id };
                // It has gone just now: the connection goes with it.
                let _gone = asker.send(Answer { word, fds });
            }
        });
    }
}

/// A question that is waited for.
struct Waits<'a> {
    passing: &'a Passing,
    id: u64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.passing.waiting(self.id);
    }
}

/// A socket that the master holds for this worker, as long as this is kept.
#[derive(Debug)]
pub(crate) struct Hold {
    passing: Passing,
    id: u64,
}

impl Drop for Hold {
    /// One that drains, or is about to end, keeps what it holds to its end: its successor shall find it.
    fn drop(&mut self) {
        let passing = &self.passing.0;
        if !passing.draining.has_begun() && !passing.leaves.load(Ordering::Relaxed) {
            self.passing.tell(WorkerWord::Close { id: self.id });
        }
    }
}

/// This process got the word and not the descriptor.
pub(super) fn no_room() -> io::Error {
    let text = "this process has no room for another descriptor: raise its limit on open files";
    io::Error::other(text)
}

fn gone() -> io::Error {
    let text = "the master is gone, or passes no descriptors any more";
    io::Error::new(io::ErrorKind::NotConnected, text)
}

fn of_channel(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => gone(),
        _ => error,
    }
}
