//! The hub's thread: takes commands, keeps time, and begins a new life should the core panic.

use std::{
    cell::{Cell, RefCell},
    io,
    os::unix::net::UnixStream as StdUnixStream,
    panic::AssertUnwindSafe,
    rc::Rc,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use futures::FutureExt;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use super::{
    acceptor, connection,
    core::Door,
    crowd::Crowd,
    handle::{Command, HubOptions},
    notice::{HubNotice, NoticeSender},
    passes::Passes,
    porter::{self, Guests},
    principal::{Admission, Principal},
    random,
    shell::{Shell, panic_text},
    socket::{PathListener, Socket},
    stream::Stream,
    tokens::Tokens,
};
use crate::Limits;

/// How long connections may take to read what is queued for them when the hub stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Between a panic and the next life: a peer that brings the hub down at once again doesn't take the processor with it.
const AFTER_PANIC: Duration = Duration::from_millis(50);

/// Starts the thread.
pub(super) fn start(
    options: HubOptions,
    revision: Arc<AtomicU64>,
    orders: Orders,
    notices: NoticeSender,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("hub".into())
        .spawn(move || Thread::new(options, revision, orders, notices).run(&runtime))?;
    Ok(())
}

/// What the thread is asked to do, in order; and a way to ask itself, which keeps nobody's end of it alive.
pub(super) struct Orders {
    pub(super) inbox: mpsc::Receiver<Command>,
    pub(super) sender: mpsc::WeakSender<Command>,
}

/// What outlives a panic.
struct Thread {
    options: HubOptions,
    /// Grows when answers given before stand no longer.
    revision: Arc<AtomicU64>,
    orders: Orders,
    notices: NoticeSender,
    listeners: Vec<Listener>,
    passes: Rc<Passes>,
    tokens: Tokens,
    wrong_tokens: Rc<Cell<u64>>,
    /// Connections are numbered across lives.
    last_conn: Rc<Cell<u64>>,
}

/// A socket that peers come in by.
#[derive(Clone)]
enum Listener {
    Path(Rc<PathListener>, Admission),
    Tcp(Rc<TcpListener>, TcpDoor),
}

/// How a network peer's bytes travel.
#[derive(Clone, Debug)]
pub(super) enum TcpDoor {
    Plain,
    #[cfg(feature = "tls")]
    Tls(super::tls::TlsServer),
}

/// One life of the hub: from start or panic to stop or panic.
pub(super) struct Life {
    pub(super) shell: Rc<Shell>,
    pub(super) limits: Limits,
    pub(super) passes: Rc<Passes>,
    pub(super) tokens: RefCell<Tokens>,
    /// Tokens that nobody has, shown so far.
    pub(super) wrong_tokens: Rc<Cell<u64>>,
    pub(super) guests: Guests,
    pub(super) crowd: Crowd,
    tasks: RefCell<JoinSet<()>>,
    pub(super) notices: NoticeSender,
    orders: mpsc::WeakSender<Command>,
    last_conn: Rc<Cell<u64>>,
}

/// How a life ended.
enum End {
    /// As asked; whoever asked is told.
    Stopped(Option<oneshot::Sender<()>>),
    Panicked(String),
}

impl Thread {
    fn new(
        options: HubOptions,
        revision: Arc<AtomicU64>,
        orders: Orders,
        notices: NoticeSender,
    ) -> Self {
        Self {
            options,
            revision,
            orders,
            notices,
            listeners: Vec::new(),
            passes: Rc::default(),
            tokens: Tokens::default(),
            wrong_tokens: Rc::default(),
            last_conn: Rc::default(),
        }
    }

    fn run(mut self, runtime: &Runtime) {
        loop {
            let tasks = LocalSet::new();
            // A task like all others: what a thread blocks on is looked at each time anything happens.
            let life = tasks.spawn_local(async move {
                let end = self.live().await;
                (self, end)
            });
            let ended = tasks.block_on(runtime, life);
            drop(tasks);
            let end = match ended {
                Ok((thread, end)) => {
                    self = thread;
                    end
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            match end {
                End::Stopped(asker) => {
                    if let Some(asker) = asker {
                        // Whoever asked may have stopped waiting.
                        let _ = asker.send(());
                    }
                    return;
                }
                End::Panicked(panic) => {
                    tracing::error!(panic, "the hub panicked and begins anew");
                    self.notices.send(HubNotice::Restarted { panic });
                    runtime.block_on(async { sleep(AFTER_PANIC).await });
                }
            }
        }
    }

    async fn live(&mut self) -> End {
        let number = random::bits()
            .unwrap_or_else(|error| panic!("the system has no random numbers: {error}"));
        let shell = Shell::new(&self.options, &self.revision, number, self.notices.clone());
        let life = Rc::new(Life {
            shell: Rc::clone(&shell),
            limits: self.options.limits.clone(),
            passes: Rc::clone(&self.passes),
            tokens: RefCell::new(self.tokens.clone()),
            wrong_tokens: Rc::clone(&self.wrong_tokens),
            guests: Guests::default(),
            crowd: Crowd::default(),
            tasks: RefCell::default(),
            notices: self.notices.clone(),
            orders: self.orders.sender.clone(),
            last_conn: Rc::clone(&self.last_conn),
        });
        life.spawn(porter::vouch(Rc::clone(&life)));
        for listener in &self.listeners {
            life.listen(listener.clone());
        }
        let end = AssertUnwindSafe(self.attend(&life)).catch_unwind().await;
        let end = end.unwrap_or_else(|panic| End::Panicked(panic_text(&*panic)));
        match &end {
            End::Stopped(_) => life.farewell().await,
            End::Panicked(_) => shell.say_fault(),
        }
        // Tasks hold the life, so they must go first.
        life.tasks.take().shutdown().await;
        end
    }

    /// Takes commands and keeps time until the life ends.
    async fn attend(&mut self, life: &Rc<Life>) -> End {
        loop {
            let due = life.shell.ask(|core| core.next_deadline());
            life.shell.timer.set(due);
            tokio::select! {
                command = self.orders.inbox.recv() => match command {
                    Some(Command::Shutdown(asker)) => return End::Stopped(Some(asker)),
                    Some(command) => self.obey(life, command),
                    None => return End::Stopped(None),
                },
                () = life.shell.faulted.rung() => {}
                () = life.shell.earlier.rung() => {}
                () = until(due) => {
                    life.shell.step(|core| core.expire(Instant::now()));
                }
                panic = life.task_panicked() => return End::Panicked(panic),
            }
            if let Some(panic) = life.shell.fault() {
                return End::Panicked(panic);
            }
        }
    }

    fn add(&mut self, life: &Rc<Life>, listener: Listener) {
        self.listeners.push(listener.clone());
        life.listen(listener);
    }

    fn obey(&mut self, life: &Rc<Life>, command: Command) {
        let done = match command {
            Command::Listen(listener, admission) => PathListener::new(listener)
                .map(|listener| self.add(life, Listener::Path(Rc::new(listener), admission))),
            Command::ListenTcp(listener, door) => listener
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(listener))
                .map(|listener| self.add(life, Listener::Tcp(Rc::new(listener), door))),
            Command::SetTokens(tokens) => {
                self.tokens = tokens.clone();
                porter::exchange(life, tokens);
                Ok(())
            }
            Command::Revoke(worker) => {
                self.passes.revoke(worker);
                Ok(())
            }
            Command::Attach(stream, principal) => life.attach(stream, principal),
            Command::AttachMemory(stream, principal) => {
                life.open(stream.into(), Door::Known(principal), ());
                Ok(())
            }
            Command::SetRules(rules) => {
                // The next life begins with them.
                self.options.rules = (*rules).clone();
                let rules = (*rules).clone();
                life.shell
                    .step(|core| core.set_rules(Instant::now(), rules));
                Ok(())
            }
            Command::Stats(page, asker) => {
                if let Some(mut stats) = life.shell.step(|core| core.stats(Instant::now(), page)) {
                    stats.totals.notices_missed = self.notices.missed();
                    // Whoever asked may have stopped waiting.
                    let _ = asker.send(stats);
                }
                Ok(())
            }
            Command::Mark(asker) => {
                // Whoever asked may be gone.
                let _ = asker.send(());
                Ok(())
            }
            // Taken out by whoever receives.
            Command::Shutdown(_) => Ok(()),
            #[cfg(test)]
            Command::Panic => {
                life.shell.step(|_| panic!("asked to"));
                Ok(())
            }
        };
        if let Err(e) = done {
            let reason = format!("a socket could not be taken over: {e}");
            self.notices.send(HubNotice::TurnedAway { reason });
        }
    }
}

impl Life {
    fn attach(self: &Rc<Self>, stream: StdUnixStream, principal: Principal) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let socket = Socket::new(stream)?;
        let door = match self.passes.issue(&principal) {
            Some(token) => Door::Inherited(principal, token),
            None => Door::Known(principal),
        };
        self.open(socket.into(), door, ());
        Ok(())
    }

    fn listen(self: &Rc<Self>, listener: Listener) {
        let life = Rc::clone(self);
        match listener {
            Listener::Path(listener, admission) => {
                self.spawn(acceptor::by_path(life, listener, admission));
            }
            Listener::Tcp(listener, door) => self.spawn(acceptor::by_tcp(life, listener, door)),
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn_local(task);
    }

    /// Begins a connection, and gives its number; `seat` is held until its end.
    pub(super) fn open(
        self: &Rc<Self>,
        stream: Stream,
        door: Door,
        seat: impl Sized + 'static,
    ) -> u64 {
        let id = self.last_conn.get() + 1;
        self.last_conn.set(id);
        let link = self.shell.open(id, stream, door);
        let life = Rc::clone(self);
        self.spawn(async move {
            connection::run(Rc::clone(&life.shell), link).await;
            life.guests.left(id);
            drop(seat);
        });
        id
    }

    /// Waits until all that was ordered before is done.
    pub(super) async fn obeyed(&self) {
        let (done, is_done) = oneshot::channel();
        if let Some(orders) = self.orders.upgrade()
            && orders.send(Command::Mark(done)).await.is_ok()
        {
            // Not answered: the hub stops.
            let _ = is_done.await;
        }
    }

    /// Waits for a task to panic, and says with what; those that end are cleared away.
    async fn task_panicked(&self) -> String {
        loop {
            let ended = std::future::poll_fn(|cx| self.tasks.borrow_mut().poll_join_next(cx));
            match ended.await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    if let Ok(panic) = error.try_into_panic() {
                        return panic_text(&*panic);
                    }
                }
                // None is left; the next comes by a command, and then this is asked again.
                None => std::future::pending().await,
            }
        }
    }

    /// Tells everybody, and waits for them to have read it.
    async fn farewell(&self) {
        self.shell.step(|core| core.stop());
        let gone = async {
            while !self.shell.is_empty() {
                self.shell.empty.rung().await;
            }
        };
        // Whoever doesn't read in time does without.
        let _ = timeout(FAREWELL, gone).await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
