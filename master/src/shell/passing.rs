//! What workers ask on the channels by which descriptors travel: sockets at run time, and connections given to each other.
//!
//! A task for each worker hears its channel and answers, in order. What is decided is decided by the shell: which socket is
//! whose ([`Sockets::ask`](crate::sockets::Sockets::ask)), and whose a connection is ([`Gifts`]).

mod gifts;

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use ostler_bus::{
    Slot, WorkerId,
    vocab::worker::{WorkerListening, WorkerRef},
};
use ostler_worker_sdk::passing::{Channel, Listen, MasterWord, WorkerWord};
use tokio::{sync::oneshot, task::JoinSet};

use self::gifts::Fate;
use super::{
    Shell,
    balance::{Standing, taking},
    handle::{Message, ShellHandle},
};
use crate::{
    config::{
        address::{self, DEFAULT_BACKLOG},
        app::{AppDefinition, AppName, SocketAddress, SocketDeclaration},
    },
    fleet::{Snapshot, SpawnOrder},
    sockets::{
        BindError, SocketId,
        balance::{self, channel_pair},
        may_bind,
    },
};

/// Connections on their way from worker to worker.
pub(super) type Gifts = gifts::Gifts<OwnedFd, oneshot::Sender<Reply>>;

/// Answers that one worker may wait for beside others; one that has more is heard when it waits for fewer.
const LATE: usize = 64;

/// Sockets that one worker has got and takes no connections of, for all the master is told; it is not asked about more.
const UNTAKEN: usize = 512;

/// What a worker has said.
#[derive(Debug)]
pub(super) struct Said {
    word: WorkerWord,
    fds: Vec<OwnedFd>,
    answer: oneshot::Sender<Reply>,
}

/// What it is answered.
#[derive(Debug)]
pub(super) struct Reply {
    word: MasterWord,
    fds: Vec<OwnedFd>,
    /// A socket whose connections it may be handed, and our end of the channel for that.
    handed: Option<(SocketId, balance::Channel)>,
}

impl Reply {
    fn word(word: MasterWord) -> Self {
        Self {
            word,
            fds: Vec::new(),
            handed: None,
        }
    }

    fn failed(id: u64, errno: i32, reason: impl ToString) -> Self {
        let reason = reason.to_string();
        Self::word(MasterWord::Failed { id, errno, reason })
    }
}

/// Hears a worker's channel for as long as it is let run.
pub(super) async fn serve(id: WorkerId, end: OwnedFd, shell: ShellHandle) {
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
            let _gone = reply.map(|reply| answer.send(reply));
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
            WorkerWord::Took { id: question } => return tell(self.gifts.took(id, question)),
            WorkerWord::Refuse { id: question } => return tell(self.gifts.refused(id, question)),
        };
        // It has gone.
        let _gone = answer.send(reply);
    }

    fn give(&mut self, id: WorkerId, gift: u64, fd: OwnedFd) -> Reply {
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
        match connection.try_clone() {
            Ok(fd) => Reply {
                fds: vec![fd],
                ..Reply::word(MasterWord::Connection { id: question })
            },
            Err(error) => {
                tell(self.gifts.refused(id, question));
                Reply::failed(question, libc::EMFILE, error)
            }
        }
    }

    fn listen_for(&mut self, id: WorkerId, what: &Listen) -> Reply {
        let Some(process) = self.processes.get(&id) else {
            return Reply::failed(what.id, libc::ESRCH, "the worker is going");
        };
        let (order, pid) = (Arc::clone(&process.order), process.pid());
        let wanted = match declaration(what, &order.definition) {
            Ok(wanted) => wanted,
            Err((errno, reason)) => return Reply::failed(what.id, errno, reason),
        };
        let got = match self.workshop.sockets.ask(&order.app, (id, what.id), wanted) {
            Ok(got) => got,
            Err(error) => return refused(what.id, &error),
        };
        self.shows_otherwise();
        if got.is_new {
            self.workshop.watch_new(got.id, &self.handle);
        }
        match self.pass(got.id, what.id) {
            Ok((reply, address)) => {
                if got.is_new {
                    tracing::info!(
                        "{}.{}: listening on {address}, asked for by worker {id}",
                        order.app,
                        order.slot
                    );
                }
                self.tell_listening(&order, pid, &address);
                reply
            }
            Err(error) => {
                self.close_for(id, what.id);
                Reply::failed(what.id, libc::EMFILE, error)
            }
        }
    }

    /// A socket for a worker, and where it is.
    fn pass(&self, socket: SocketId, question: u64) -> std::io::Result<(Reply, SocketAddress)> {
        let sockets = &self.workshop.sockets;
        let gone = || std::io::Error::other("the socket has gone");
        let (_, bound) = sockets.get(socket).ok_or_else(gone)?;
        let mut fds = vec![sockets.duplicate(socket).ok_or_else(gone)??];
        let mut handed = None;
        if bound.hands_over() {
            let (ours, theirs) = channel_pair()?;
            fds.push(theirs);
            handed = Some((socket, ours));
        }
        let address = bound.address().clone();
        let word = MasterWord::Listening {
            id: question,
            address: address.to_string(),
        };
        Ok((Reply { word, fds, handed }, address))
    }

    fn tell_listening(&self, order: &SpawnOrder, pid: u32, address: &SocketAddress) {
        let (family, port) = match address {
            SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) if ip.is_ipv4() => {
                ("IPv4", Some(ip.port()))
            }
            SocketAddress::Tcp(ip) | SocketAddress::Udp(ip) => ("IPv6", Some(ip.port())),
            SocketAddress::Unix(_) | SocketAddress::Starter(_) => ("Unix", None),
        };
        let event = WorkerListening {
            worker: WorkerRef {
                app: order.app.to_string(),
                slot: order.slot,
                id: order.id,
                generation: order.generation,
                pid: Some(pid),
            },
            address: address.to_string(),
            family: family.into(),
            port,
        };
        if let Err(error) = self.bus.try_emit(&event) {
            tracing::debug!("worker.listening was not published: {error}");
        }
    }

    fn close_for(&mut self, id: WorkerId, question: u64) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        // On its way out it keeps what it has: its successor shall find it.
        if process.standing == Standing::Leaving {
            return;
        }
        let app = process.order.app.clone();
        let closed = self.workshop.sockets.give_back(&app, id, question);
        self.shows_otherwise();
        self.closed(&app, &closed);
    }

    /// What the status said of sockets is no longer so.
    fn shows_otherwise(&self) {
        self.handle.changed();
        self.workshop.hub.outdate();
    }

    fn closed(&mut self, app: &AppName, sockets: &[SocketId]) {
        for socket in sockets {
            self.workshop.balancer.close(*socket);
            tracing::info!("{app}: a socket that was asked for is closed: nobody has it any more");
        }
        if !sockets.is_empty() {
            self.workshop.let_go_of_listeners();
        }
    }

    /// A worker has ended.
    pub(super) fn passes_nothing_more(&mut self, id: WorkerId, order: &SpawnOrder) {
        self.workshop
            .sockets
            .leave_to_slot(&order.app, id, order.slot);
        tell(self.gifts.gone(id));
    }

    /// A worker was let go of.
    pub(super) fn keeps_its_own(&mut self, id: WorkerId, order: &SpawnOrder) {
        let closed = self.workshop.sockets.leave_with(&order.app, id);
        self.closed(&order.app, &closed);
        tell(self.gifts.gone(id));
    }

    /// Closes what slots were left where nobody is awaited any more.
    pub(super) fn settle_asked(&mut self) {
        if !self.workshop.sockets.is_left_to_slots() {
            return;
        }
        let snapshot = self.fleet.snapshot(self.now());
        let awaits = |app: &AppName, slot| awaits(&snapshot, app, slot);
        let closed = self.workshop.sockets.settle(awaits);
        if !closed.is_empty() {
            self.shows_otherwise();
        }
        for (app, socket) in closed {
            self.closed(&app, &[socket]);
        }
    }
}

/// Whether another worker is to come in a slot, or is not ready yet.
fn awaits(snapshot: &Snapshot, app: &AppName, slot: Slot) -> bool {
    let mut there = snapshot.workers.iter();
    there.any(|worker| {
        let comes = match worker.id {
            Some(_) => worker.starting,
            None => matches!(worker.state.as_str(), "starting" | "backoff" | "failed"),
        };
        worker.app == app.as_str() && worker.slot == slot && comes
    })
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

/// What a worker wants, if it may; else why not.
fn declaration(what: &Listen, app: &AppDefinition) -> Result<SocketDeclaration, (i32, String)> {
    let invalid = |reason: String| Err((libc::EINVAL, reason));
    let address = match address::address(&what.address, Path::new("/")) {
        Ok(SocketAddress::Starter(_)) => {
            return invalid("a socket of the master's starter is declared, not asked for".into());
        }
        Ok(address) => address,
        Err(wrong) => return invalid(wrong.to_string()),
    };
    let user = app.process.user.as_ref().map(|user| user.uid);
    if let Err(problem) = may_bind(user, &address) {
        let error = BindError {
            name: address.to_string(),
            address,
            problem,
        };
        return Err((
            error.problem.errno(),
            format!("{error}, as the worker's user is not the master's"),
        ));
    }
    let mut wanted = address::declaration(String::new(), address);
    wanted.backlog = what.backlog.unwrap_or(DEFAULT_BACKLOG);
    wanted.options.v6_only = what.v6_only;
    wanted.options.file.permissions = what.permissions.map(|mode| mode & 0o777);
    Ok(wanted)
}

fn refused(question: u64, error: &BindError) -> Reply {
    tracing::debug!("a worker can't listen: {error}");
    let text = match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    Reply::failed(question, error.problem.errno(), text)
}
