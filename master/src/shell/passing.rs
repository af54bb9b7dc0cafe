//! What workers ask on the channels by which descriptors travel: sockets at run time, connections given to each other, and
//! secrets for session tickets.
//!
//! A task for each worker hears its channel and answers, in order. What is decided is decided by the shell: which socket is
//! whose ([`Sockets::ask`](crate::sockets::Sockets::ask)), and whose a connection is ([`Gifts`]).

mod gifts;
mod hear;
mod sockets;
mod tickets;

use std::os::fd::AsFd;

use ostler_bus::WorkerId;
use ostler_worker_sdk::passing::{MasterWord, WorkerWord};
use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::sync::oneshot;

use self::gifts::Fate;
pub(super) use self::hear::{Reply, Said, serve};
use super::Shell;
use crate::{fleet::SpawnOrder, sockets::Foreign};

/// Connections on their way from worker to worker.
pub(super) type Gifts = gifts::Gifts<Foreign, oneshot::Sender<Reply>>;

impl Shell {
    /// A worker says something about descriptors.
    pub(super) fn passing(&mut self, id: WorkerId, said: Said) {
        let Said {
            word,
            mut fds,
            answer,
        } = said;
        if !self.processes.contains_key(&id) {
            let text = "the master has let go of this worker";
            let reply = word
                .asks()
                .map(|asked| Reply::failed(asked, libc::ESRCH, text));
            // It has gone, or doesn't wait.
            if let Some(reply) = reply {
                let _gone = answer.send(reply);
            }
            return;
        }
        let reply = match word {
            WorkerWord::Listen(what) => self.listen_for(id, &what),
            WorkerWord::Close { id: question } => return self.close_for(id, question),
            WorkerWord::Give { id: gift } => match fds.pop() {
                Some(fd) => self.give(id, gift, fd),
                None => Reply::failed(gift, libc::EMFILE, "the connection did not come with it"),
            },
            WorkerWord::TakeBack { id: gift } => {
                return tell(self.gifts.take_back(id, gift, answer));
            }
            WorkerWord::Take {
                id: question,
                token,
            } => self.take(id, question, &token),
            WorkerWord::TicketSecrets {
                id: question,
                socket,
            } => self.ticket_secrets(id, question, socket),
            WorkerWord::Took { id: question } => return tell(self.gifts.took(id, question)),
            WorkerWord::Refuse { id: question } => return tell(self.gifts.refused(id, question)),
        };
        // It has gone.
        let _gone = answer.send(reply);
    }

    fn give(&mut self, id: WorkerId, gift: u64, fd: Foreign) -> Reply {
        if !is_connection(&fd).unwrap_or_default() {
            let text = "only an open TCP or Unix stream can be given";
            return Reply::failed(gift, libc::EINVAL, text);
        }
        let held = gifts::secret().and_then(|secret| self.gifts.give(id, gift, fd, secret));
        match held {
            Ok(token) => Reply::word(MasterWord::Held { id: gift, token }),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::ENOBUFS);
                Reply::failed(gift, errno, error)
            }
        }
    }

    fn take(&mut self, id: WorkerId, question: u64, token: &str) -> Reply {
        let Some(connection) = self.gifts.take(id, question, token) else {
            let text = "nobody gives a connection by this token, or no longer";
            return Reply::failed(question, libc::ENOENT, text);
        };
        match connection.as_fd().try_clone_to_owned() {
            Ok(fd) => Reply {
                fds: vec![fd.into()],
                ..Reply::word(MasterWord::Connection { id: question })
            },
            Err(error) => {
                tell(self.gifts.refused(id, question));
                Reply::failed(question, libc::EMFILE, error)
            }
        }
    }

    /// Whoever has a connection has not said whether it takes it, and its giver waits for that.
    pub(super) fn gift_overdue(&mut self, giver: WorkerId, gift: u64) {
        tell(self.gifts.overdue(giver, gift));
    }

    /// A worker has ended.
    pub(super) fn passes_nothing_more(&mut self, id: WorkerId, order: &SpawnOrder) {
        let sockets = &mut self.workshop.sockets;
        let closed = sockets.leave_to_slot(&order.app, id, order.slot);
        self.closed(&order.app, &closed);
        tell(self.gifts.gone(id));
    }

    /// A worker was let go of.
    pub(super) fn keeps_its_own(&mut self, id: WorkerId, order: &SpawnOrder) {
        let closed = self.workshop.sockets.leave_with(&order.app, id);
        self.closed(&order.app, &closed);
        tell(self.gifts.gone(id));
    }
}

/// Whether a worker can take it ([`Connection`](ostler_worker_sdk::Connection)).
fn is_connection(fd: &Foreign) -> rustix::io::Result<bool> {
    let families = [
        AddressFamily::INET,
        AddressFamily::INET6,
        AddressFamily::UNIX,
    ];
    Ok(sockopt::socket_type(fd)? == SocketType::STREAM
        && families.contains(&sockopt::socket_domain(fd)?)
        && !sockopt::socket_acceptconn(fd)?)
}

fn tell(fates: impl IntoIterator<Item = (oneshot::Sender<Reply>, u64, Fate)>) {
    for (asker, id, fate) in fates {
        let word = match fate {
            Fate::Back => MasterWord::Back { id },
            Fate::Taken => MasterWord::Taken { id },
        };
        // It has gone.
        let _gone = asker.send(Reply::word(word));
    }
}
