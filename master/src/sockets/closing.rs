//! Threads that only close, for what may not be closed at once.
//!
//! How long a `close` lasts is for the peers to say, and some say for ever. So a thread that is in one is left to it, and others
//! go on, up to [`THREADS`]. One of them is never in one, but keeps watch: it starts another before it closes anything, and where
//! there may be no more of them, what has waited for [`PATIENCE`] loses its `SO_LINGER` if it is a connection of TCP, and is closed. Anything
//! else has nothing that could be taken from it: it is kept until a thread is free, which is told once. Nothing is ever left open
//! for good, and there are never more than the master may have open.
//!
//! The first thread begins with the master ([`begin`]) and stays. So where the system has no further one to give, there is still who
//! keeps watch, and asks again after a while.

use std::{
    collections::VecDeque,
    io, mem,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt;

/// Threads at most; they do nothing but wait in the kernel.
const THREADS: usize = 8;

/// What waits for longer is closed without its `SO_LINGER`.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that has had nothing to do for so long ends, but for the last.
const IDLE: Duration = Duration::from_secs(10);

/// After how long another thread is asked for where there was none.
const AGAIN: Duration = Duration::from_millis(100);

/// What is to be closed, and the threads that do it.
#[derive(Debug)]
pub(super) struct Closing {
    state: Mutex<State>,
    more: Condvar,
    /// Starts a thread.
    start: fn(&'static Self) -> io::Result<()>,
}

#[derive(Debug)]
struct State {
    /// The oldest first.
    waiting: VecDeque<Waiting>,
    /// What has waited for too long, and can't do without waiting.
    kept: Vec<OwnedFd>,
    threads: usize,
    /// Threads that are in a `close`.
    busy: usize,
    /// There was no thread to be had: until when no other is asked for.
    not_before: Option<Instant>,
    told: bool,
}

#[derive(Debug)]
struct Waiting {
    fd: OwnedFd,
    end: End,
    since: Instant,
}

/// What is done about one that nobody can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It loses its `SO_LINGER`; what was sent goes on its way all the same.
    Relent,
    /// Nothing: it is kept.
    Keep,
}

/// The next thing for a thread to do.
enum Next {
    Close(OwnedFd),
    GiveWay(Waiting),
    /// Another thread is to be started; it counts already.
    Start,
    /// For more to do, or so long.
    Wait(Option<Duration>),
}

/// Those of this process.
static CLOSING: Closing = Closing::new(start_thread);

/// Has a thread there from now on.
///
/// # Errors
/// If the system has none to give.
pub fn begin() -> io::Result<()> {
    CLOSING.begin()
}

fn start_thread(closing: &'static Closing) -> io::Result<()> {
    let thread = thread::Builder::new().name("close".into());
    thread.spawn(|| closing.run()).map(drop)
}

/// Leaves it to a thread that only closes.
pub(super) fn close_elsewhere(fd: OwnedFd, end: End) {
    CLOSING.close(fd, end);
}

impl Closing {
    const fn new(start: fn(&'static Self) -> io::Result<()>) -> Self {
        Self {
            state: Mutex::new(State::new()),
            more: Condvar::new(),
            start,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&'static self) -> io::Result<()> {
        let mut state = self.lock();
        if state.threads == 0 {
            (self.start)(self)?;
            state.threads = 1;
        }
        Ok(())
    }

    fn close(&'static self, fd: OwnedFd, end: End) {
        let since = Instant::now();
        self.lock().waiting.push_back(Waiting { fd, end, since });
        // The master has begun long before.
        if let Err(error) = self.begin() {
            tracing::debug!("no thread to close descriptors: {error}");
        }
        self.more.notify_one();
    }

    /// One thread.
    fn run(&'static self) {
        let mut state = self.lock();
        loop {
            let next = state.next(Instant::now());
            state = match next {
                Next::Wait(None) => {
                    let waited = self.more.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
                Next::Wait(Some(time)) => {
                    let waited = self.more.wait_timeout(state, time);
                    let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && state.has_one_too_many() {
                        state.threads -= 1;
                        return;
                    }
                    state
                }
                next => {
                    drop(state);
                    self.act(next)
                }
            };
        }
    }

    /// Does what may last.
    fn act(&'static self, next: Next) -> MutexGuard<'static, State> {
        match next {
            Next::Close(fd) => {
                drop(fd);
                let mut state = self.lock();
                state.busy -= 1;
                state
            }
            Next::GiveWay(waiting) => {
                if let Some(kept) = waiting.give_way() {
                    let busy = self.lock().keep(kept);
                    busy.into_iter().for_each(tell);
                }
                self.lock()
            }
            Next::Start => {
                let started = (self.start)(self);
                let mut state = self.lock();
                state.not_before = None;
                if started.is_err() {
                    state.threads -= 1;
                    state.not_before = Some(Instant::now() + AGAIN);
                }
                state
            }
            Next::Wait(_) => self.lock(),
        }
    }
}

/// So many are being closed, and others wait.
fn tell(busy: usize) {
    tracing::error!(
        "descriptors that workers or clients have sent stay open: closing them may take for ever, and {busy} others are being closed already; \
         hint: look for connections with a long SO_LINGER that somebody passes on"
    );
}

impl State {
    const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            kept: Vec::new(),
            threads: 0,
            busy: 0,
            not_before: None,
            told: false,
        }
    }

    /// What a thread does that is not in a `close`.
    fn next(&mut self, now: Instant) -> Next {
        if self.waiting.is_empty() && self.kept.is_empty() {
            // The last one wakes nobody, and least of all itself.
            return Next::Wait(self.has_one_too_many().then_some(IDLE));
        }
        if self.has_another() {
            let first = self.waiting.pop_front().map(|first| first.fd);
            if let Some(fd) = first.or_else(|| self.kept.pop()) {
                self.busy += 1;
                return Next::Close(fd);
            }
        }
        let again = self.not_before.unwrap_or(now);
        let again = (self.threads < THREADS).then(|| again.saturating_duration_since(now));
        if again == Some(Duration::ZERO) {
            self.threads += 1;
            return Next::Start;
        }
        let left = |first: &Waiting| (first.since + PATIENCE).saturating_duration_since(now);
        let left = self.waiting.front().map(left);
        if left == Some(Duration::ZERO)
            && let Some(first) = self.waiting.pop_front()
        {
            return Next::GiveWay(first);
        }
        Next::Wait(left.into_iter().chain(again).min())
    }

    /// Whether beside this thread there is another that is in no `close`.
    fn has_another(&self) -> bool {
        self.busy + 1 < self.threads
    }

    /// Whether this thread has nothing to do, and may end.
    fn has_one_too_many(&self) -> bool {
        self.waiting.is_empty() && self.kept.is_empty() && self.has_another()
    }

    /// How many are being closed, when one is kept for the first time.
    fn keep(&mut self, kept: OwnedFd) -> Option<usize> {
        self.kept.push(kept);
        let told = mem::replace(&mut self.told, true);
        (!told).then_some(self.busy)
    }
}

impl Waiting {
    /// Closes it without waiting; given back if that can't be.
    fn give_way(self) -> Option<OwnedFd> {
        let fd = self.fd;
        match self.end {
            End::Relent if sockopt::set_socket_linger(&fd, None).is_ok() => None,
            End::Relent | End::Keep => Some(fd),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
