//! The hub's thread: takes commands, keeps time, and begins a new life should the core panic.

use std::{
    cell::{Cell, RefCell},
    io,
    os::unix::net::UnixStream as StdUnixStream,
    panic::AssertUnwindSafe,
    rc::Rc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use tokio::{
    net::{UnixListener, UnixStream},
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use super::{
    acceptor, connection,
    core::Door,
    handle::{Command, HubOptions},
    notice::{HubNotice, NoticeSender},
    principal::{Admission, Principal},
    shell::{Shell, panic_text},
    stream::Stream,
};

/// How long connections may take to read what is queued for them when the hub stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// Between a panic and the next life: a peer that brings the hub down at once again doesn't take the processor with it.
const AFTER_PANIC: Duration = Duration::from_millis(50);

/// Starts the thread.
pub(super) fn start(
    options: HubOptions,
    inbox: mpsc::Receiver<Command>,
    notices: NoticeSender,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("hub".into())
        .spawn(move || Thread::new(options, inbox, notices).run(&runtime))?;
    Ok(())
}

/// What outlives a panic.
struct Thread {
    options: HubOptions,
    inbox: mpsc::Receiver<Command>,
    notices: NoticeSender,
    listeners: Vec<(Rc<UnixListener>, Admission)>,
    /// Connections are numbered across lives.
    last_conn: Rc<Cell<u64>>,
}

/// One life of the hub: from start or panic to stop or panic.
pub(super) struct Life {
    shell: Rc<Shell>,
    tasks: RefCell<JoinSet<()>>,
    pub(super) notices: NoticeSender,
    last_conn: Rc<Cell<u64>>,
}

/// How a life ended.
enum End {
    /// As asked; whoever asked is told.
    Stopped(Option<oneshot::Sender<()>>),
    Panicked(String),
}

impl Thread {
    fn new(options: HubOptions, inbox: mpsc::Receiver<Command>, notices: NoticeSender) -> Self {
        Self {
            options,
            inbox,
            notices,
            listeners: Vec::new(),
            last_conn: Rc::default(),
        }
    }

    fn run(mut self, runtime: &Runtime) {
        loop {
            let tasks = LocalSet::new();
            let end = tasks.block_on(runtime, self.live());
            drop(tasks);
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
        let shell = Shell::new(&self.options, self.notices.clone());
        let life = Rc::new(Life {
            shell: Rc::clone(&shell),
            tasks: RefCell::default(),
            notices: self.notices.clone(),
            last_conn: Rc::clone(&self.last_conn),
        });
        for (listener, admission) in &self.listeners {
            life.listen(Rc::clone(listener), *admission);
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
                command = self.inbox.recv() => match command {
                    Some(Command::Shutdown(asker)) => return End::Stopped(Some(asker)),
                    Some(command) => self.obey(life, command),
                    None => return End::Stopped(None),
                },
                () = life.shell.faulted.notified() => {}
                () = life.shell.earlier.notified() => {}
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

    fn obey(&mut self, life: &Rc<Life>, command: Command) {
        let done = match command {
            Command::Listen(listener, admission) => listener
                .set_nonblocking(true)
                .and_then(|()| UnixListener::from_std(listener))
                .map(|listener| {
                    let listener = Rc::new(listener);
                    self.listeners.push((Rc::clone(&listener), admission));
                    life.listen(listener, admission);
                }),
            Command::Attach(stream, principal) => life.attach(stream, principal),
            Command::AttachMemory(stream, principal) => {
                life.open(stream.into(), Door::Known(principal));
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
    /// A peer by path, whose uid is right.
    pub(super) fn admit(self: &Rc<Self>, stream: UnixStream, admission: Admission) {
        self.open(stream.into(), Door::Path(admission));
    }

    fn attach(self: &Rc<Self>, stream: StdUnixStream, principal: Principal) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let stream = UnixStream::from_std(stream)?;
        self.open(stream.into(), Door::Known(principal));
        Ok(())
    }

    fn listen(self: &Rc<Self>, listener: Rc<UnixListener>, admission: Admission) {
        let task = acceptor::accept(Rc::clone(self), listener, admission);
        self.tasks.borrow_mut().spawn_local(task);
    }

    fn open(self: &Rc<Self>, stream: Stream, door: Door) {
        let id = self.last_conn.get() + 1;
        self.last_conn.set(id);
        let link = self.shell.open(id, stream, door);
        let task = connection::run(Rc::clone(&self.shell), link);
        self.tasks.borrow_mut().spawn_local(task);
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
                self.shell.empty.notified().await;
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
