//! Hearing a worker's channel, and answering on it: a task for each worker, which decides nothing.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use ostler_bus::WorkerId;
use ostler_worker_sdk::passing::{Channel, MasterWord, WorkerWord};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    shell::{
        balance::taking,
        handle::{Message, ShellHandle},
    },
    sockets::{SocketId, balance},
};

/// Answers that one worker may wait for beside others; one that has more is heard when it waits for fewer.
const LATE: usize = 64;

/// Sockets that one worker has got and takes no connections of, for all the master is told; it is not asked about more.
const UNTAKEN: usize = 512;

/// What a worker has said.
#[derive(Debug)]
pub(in crate::shell) struct Said {
    pub(super) word: WorkerWord,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) answer: oneshot::Sender<Reply>,
}

/// What it is answered.
#[derive(Debug)]
pub(in crate::shell) struct Reply {
    pub(super) word: MasterWord,
    pub(super) fds: Vec<OwnedFd>,
    /// A socket whose connections it may be handed, and our end of the channel for that.
    pub(super) handed: Option<(SocketId, balance::Channel)>,
}

impl Reply {
    pub(super) fn word(word: MasterWord) -> Self {
        Self {
            word,
            fds: Vec::new(),
            handed: None,
        }
    }

    pub(super) fn failed(id: u64, errno: i32, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::word(MasterWord::Failed { id, errno, reason })
    }
}

/// Hears a worker's channel for as long as it is let run.
pub(in crate::shell) async fn serve(id: WorkerId, end: OwnedFd, shell: ShellHandle) {
    let mut untaken = JoinSet::new();
    match Channel::new(end) {
        Ok(channel) => hear(id, Arc::new(channel), &shell, &mut untaken).await,
        Err(error) => tracing::warn!("worker {id} can't pass descriptors: {error}"),
    }
    while untaken.join_next().await.is_some() {}
}

/// Until the worker hangs up, or says what is no word. In `untaken` wait sockets whose connections it has not asked for.
async fn hear(id: WorkerId, channel: Arc<Channel>, shell: &ShellHandle, untaken: &mut JoinSet<()>) {
    let mut late = JoinSet::new();
    loop {
        let packet = match channel.receive().await {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => {
                return tracing::warn!("worker {id} can't be heard about descriptors: {error}");
            }
        };
        let Some(word) = packet.word else {
            return tracing::warn!(
                "worker {id} has said what is no word on its channel for descriptors, and is heard there no more"
            );
        };
        while untaken.try_join_next().is_some() {}
        while late.try_join_next().is_some() {}
        // Whether it was taken may be a moment in coming.
        let later = matches!(word, WorkerWord::TakeBack { .. });
        let (answer, answered) = oneshot::channel();
        let (fds, to) = (packet.fds, shell.clone());
        let said = Said { word, fds, answer };
        shell.send(Message::Passing { id, said }).await;
        if later {
            let channel = Arc::clone(&channel);
            if late.len() >= LATE {
                late.join_next().await;
            }
            late.spawn(async move {
                if let Ok(reply) = answered.await {
                    answer_with(reply, id, &channel, &to).await;
                }
            });
        } else if let Ok(mut reply) = answered.await {
            let handed = reply.handed.take();
            // Without it, the worker accepts for itself.
            if let Some(handed) = handed.filter(|_| untaken.len() < UNTAKEN) {
                let mut taking = taking(id, vec![handed], shell);
                untaken.spawn(async move { while taking.join_next().await.is_some() {} });
            }
            answer_with(reply, id, &channel, shell).await;
        }
    }
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
