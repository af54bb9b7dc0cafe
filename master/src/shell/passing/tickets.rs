//! Secrets for session tickets: told to the workers of the app whose socket it is, each on its own channel, and to nobody else.

use std::{collections::HashMap, sync::Arc};

use ostler_bus::WorkerId;
use ostler_worker_sdk::{passing::MasterWord, tickets::SecretSet};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use super::hear::{Line, Reply};
use crate::shell::Shell;

/// The secrets of a socket, for a worker that has been told them and is to hear of their rotations.
#[derive(Debug)]
pub(super) struct Follows {
    id: u64,
    socket: String,
    secrets: watch::Receiver<SecretSet>,
}

impl Follows {
    fn word(&mut self) -> MasterWord {
        MasterWord::TicketSecrets {
            id: self.id,
            socket: self.socket.clone(),
            secrets: self.secrets.borrow_and_update().clone(),
        }
    }

    /// Tells each rotation, for as long as there is the socket. A worker that doesn't read misses all but the last.
    async fn tell(mut self, channel: Arc<Line>) {
        while self.secrets.changed().await.is_ok() {
            let word = self.word();
            if channel.say(&word, &[]).await.is_err() {
                return;
            }
        }
    }
}

/// What one worker hears of: each of its app's sockets once at most.
#[derive(Debug, Default)]
pub(super) struct Followed {
    tasks: JoinSet<()>,
    by_socket: HashMap<String, AbortHandle>,
}

impl Followed {
    /// Tells no more of a socket: it was asked for again, and what is older than that answer must not come after it.
    pub(super) fn leave_off(&mut self, follows: &Follows) {
        if let Some(task) = self.by_socket.remove(&follows.socket) {
            task.abort();
        }
    }

    /// Tells the rotations on this channel until this is dropped.
    pub(super) fn add(&mut self, follows: Follows, channel: Arc<Line>) {
        while self.tasks.try_join_next().is_some() {}
        let socket = follows.socket.clone();
        let task = self.tasks.spawn(follows.tell(channel));
        self.by_socket.insert(socket, task);
    }
}

impl Shell {
    pub(super) fn ticket_secrets(&mut self, id: WorkerId, question: u64, socket: String) -> Reply {
        let Some(process) = self.processes.get(&id) else {
            return Reply::failed(question, libc::ESRCH, "the worker is going");
        };
        let app = &process.order.definition;
        match self.workshop.sockets.ticket_secrets(app, &socket) {
            Some(Ok(secrets)) => {
                let mut follows = Follows {
                    id: question,
                    socket,
                    secrets,
                };
                let reply = Reply::word(follows.word());
                Reply {
                    follows: Some(Box::new(follows)),
                    ..reply
                }
            }
            Some(Err(error)) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                Reply::failed(question, errno, error)
            }
            None => Reply::failed(question, libc::ENOENT, "the app declares no such socket"),
        }
    }
}
