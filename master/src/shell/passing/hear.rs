//! Hearing a worker's channel, and answering on it: a task for each worker, which decides nothing.

use std::{
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use ostler_bus::WorkerId;
use ostler_worker_sdk::passing::{Channel, MasterWord, WorkerWord};
use rustix::net::sockopt;
use tokio::{
    sync::oneshot::{self, error::RecvError},
    task::JoinSet,
};

use super::tickets::{Followed, Follows};
use crate::{
    shell::{
        balance::{Handed, taking},
        handle::{Message, ShellHandle},
    },
    sockets::Foreign,
};

/// Answers that one worker may wait for beside others; one that has more is heard when it waits for fewer.
const LATE: usize = 64;

/// Sockets that one worker has got and takes no connections of, for all the master is told; it is not asked about more.
const UNTAKEN: usize = 512;

/// How long one whose question for a socket failed is not heard: trying costs the master more than asking costs the worker.
const REFUSED: Duration = Duration::from_millis(50);

/// How long a giver waits at most until whoever has its connection says whether it takes it.
const UNDECIDED: Duration = Duration::from_secs(5);

/// What a worker has said.
#[derive(Debug)]
pub(in crate::shell) struct Said {
    pub(super) word: WorkerWord,
    pub(super) fds: Vec<Foreign>,
    pub(super) answer: oneshot::Sender<Reply>,
}

/// What it is answered.
#[derive(Debug)]
pub(in crate::shell) struct Reply {
    pub(super) word: MasterWord,
    pub(super) fds: Vec<Foreign>,
    /// Our end of the channel by which it may be handed connections.
    pub(super) handed: Option<Handed>,
    /// What it is to hear of from now on.
    pub(super) follows: Option<Box<Follows>>,
}

impl Reply {
    pub(super) fn word(word: MasterWord) -> Self {
        Self {
            word,
            fds: Vec::new(),
            handed: None,
            follows: None,
        }
    }

    pub(super) fn failed(id: u64, errno: i32, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::word(MasterWord::Failed { id, errno, reason })
    }
}

/// A worker's channel. In packets that were not read may be any descriptors.
pub(super) struct Line(Option<Channel>);

impl Deref for Line {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        self.0.as_ref().expect("there until it is dropped")
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let channel = self.0.take();
        drop(channel.map(|channel| Foreign::from(channel.into_inner())));
    }
}

/// Hears a worker's channel for as long as it is let run.
pub(in crate::shell) async fn serve(id: WorkerId, end: OwnedFd, shell: ShellHandle) {
    let mut untaken = JoinSet::new();
    match Channel::new(end) {
        Ok(channel) => hear(id, Arc::new(Line(Some(channel))), &shell, &mut untaken).await,
        Err(error) => tracing::warn!("worker {id} can't pass descriptors: {error}"),
    }
    while untaken.join_next().await.is_some() {}
}

/// Until the worker hangs up, or says what is no word. In `untaken` wait sockets whose connections it has not asked for.
async fn hear(id: WorkerId, channel: Arc<Line>, shell: &ShellHandle, untaken: &mut JoinSet<()>) {
    let mut late = JoinSet::new();
    let mut followed = Followed::default();
    loop {
        let packet = match channel.receive().await {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => {
                return tracing::warn!("worker {id} can't be heard about descriptors: {error}");
            }
        };
        let fds: Vec<Foreign> = packet.fds.into_iter().map(Foreign::from).collect();
        let sockets = fds.iter().all(|fd| sockopt::socket_type(fd).is_ok());
        let Some(word) = packet.word.filter(|_| sockets) else {
            return tracing::warn!(
                "worker {id} has said what is no word on its channel for descriptors, or sent what is no socket, and is heard there no more"
            );
        };
        while untaken.try_join_next().is_some() {}
        while late.try_join_next().is_some() {}
        // Whether it was taken may be a moment in coming.
        let later = match word {
            WorkerWord::TakeBack { id: gift } => Some(gift),
            WorkerWord::Listen(_)
            | WorkerWord::Close { .. }
            | WorkerWord::Give { .. }
            | WorkerWord::Take { .. }
            | WorkerWord::Took { .. }
            | WorkerWord::Refuse { .. }
            | WorkerWord::TicketSecrets { .. } => None,
        };
        let listens = matches!(word, WorkerWord::Listen(_));
        let (answer, answered) = oneshot::channel();
        let to = shell.clone();
        let said = Said { word, fds, answer };
        shell.send(Message::Passing { id, said }).await;
        if let Some(gift) = later {
            let channel = Arc::clone(&channel);
            if late.len() >= LATE {
                late.join_next().await;
            }
            late.spawn(async move {
                if let Ok(reply) = decided(answered, (id, gift), &to).await {
                    answer_with(reply, id, &channel, &to).await;
                }
            });
        } else if let Ok(mut reply) = answered.await {
            let handed = reply.handed.take();
            let follows = reply.follows.take();
            let follows = follows.inspect(|follows| followed.leave_off(follows));
            // Without it, the worker accepts for itself.
            if let Some(handed) = handed.filter(|_| untaken.len() < UNTAKEN) {
                let mut taking = taking(id, vec![handed], shell);
                untaken.spawn(async move { while taking.join_next().await.is_some() {} });
            }
            let failed = matches!(reply.word, MasterWord::Failed { .. });
            answer_with(reply, id, &channel, shell).await;
            if let Some(follows) = follows {
                followed.add(*follows, Arc::clone(&channel));
            }
            if listens && failed {
                tokio::time::sleep(REFUSED).await;
            }
        }
    }
}

/// What becomes of a connection that a worker gave.
async fn decided(
    mut answered: oneshot::Receiver<Reply>,
    (giver, gift): (WorkerId, u64),
    shell: &ShellHandle,
) -> Result<Reply, RecvError> {
    if let Ok(reply) = tokio::time::timeout(UNDECIDED, &mut answered).await {
        return reply;
    }
    shell.send(Message::GiftOverdue { giver, gift }).await;
    answered.await
}

/// Answers; if the descriptors can't travel, with that.
async fn answer_with(reply: Reply, id: WorkerId, channel: &Channel, shell: &ShellHandle) {
    let fds: Vec<BorrowedFd<'_>> = reply.fds.iter().map(AsFd::as_fd).collect();
    let Err(error) = channel.say(&reply.word, &fds).await else {
        return;
    };
    tracing::debug!("worker {id} was not passed what it asked for: {error}");
    let question = reply.word.id();
    if let MasterWord::Connection { .. } = reply.word {
        let (answer, _nobody) = oneshot::channel();
        let word = WorkerWord::Refuse { id: question };
        let said = Said {
            word,
            fds: Vec::new(),
            answer,
        };
        shell.send(Message::Passing { id, said }).await;
    }
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let failed = Reply::failed(question, errno, error);
    // It has gone.
    let _gone = channel.say(&failed.word, &[]).await;
}
