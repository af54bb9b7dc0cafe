//! The thread: waits for connections, for what workers say and for commands, and has each socket's desk do its work.
//!
//! Where connections come quickly, one after the other, words are heard together: each half a millisecond ([`Pace`]), or when somebody must make room.
//! To be woken by them, and by a time-out set anew for each sleep, would cost several times what the hand-over does. Otherwise they
//! are heard when they are said. Commands ([`obey`]) are obeyed after all that was said before them.

mod obey;
mod watch;

use std::{collections::BTreeMap, io, sync::Arc, time::Instant};

use rustix::event::{Timespec, epoll};

use self::watch::{BEAT, BELL, Source, Watch};
use super::{channel::Channel, desk::Desk, inbox::Inbox, pace::Pace};

/// Events taken in at once.
const EVENTS: usize = 128;

/// What it needs is small.
const STACK: usize = 256 << 10;

/// Starts the thread. It ends when it is told to, or when what it waits on fails.
pub(super) fn start(inbox: Arc<Inbox>) -> io::Result<()> {
    let thread = Thread::new(inbox)?;
    std::thread::Builder::new()
        .name("balance".into())
        .stack_size(STACK)
        .spawn(move || thread.run())
        .map(drop)
}

/// A desk's number, never used twice.
type DeskNumber = u64;

struct Thread {
    watch: Watch,
    pace: Pace,
    inbox: Arc<Inbox>,
    desks: BTreeMap<DeskNumber, Desk>,
    /// The last number given to a desk.
    last_desk: DeskNumber,
    /// Desks that something has happened to.
    busy: Vec<DeskNumber>,
}

impl Drop for Thread {
    /// Channels break with it, and workers accept for themselves.
    fn drop(&mut self) {
        self.inbox.close();
        if std::thread::panicking() {
            tracing::error!(
                "handing over connections has failed, which is a fault of ostler's: workers accept for themselves"
            );
        }
    }
}

impl Thread {
    fn new(inbox: Arc<Inbox>) -> io::Result<Self> {
        let pace = Pace::new()?;
        Ok(Self {
            watch: Watch::new(&inbox.bell, &pace.timer)?,
            pace,
            inbox,
            desks: BTreeMap::new(),
            last_desk: 0,
            busy: Vec::new(),
        })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!("handing over connections ends: {error}");
                return;
            }
            let (mut rung, mut come, mut beat) = (false, false, false);
            for event in events.drain(..) {
                match event.data.u64() {
                    BELL => rung = true,
                    BEAT => beat = true,
                    token => {
                        come = true;
                        self.happened(token);
                    }
                }
            }
            let now = Instant::now();
            let hears = self.pace.goes_on(now, come, beat);
            // Before what was said by a worker that is told to be gone.
            if (hears || rung || self.is_full())
                && let Err(error) = self.hear(&mut events)
            {
                tracing::error!("handing over connections ends: {error}");
                return;
            }
            if rung && !self.obey() {
                return;
            }
            self.serve(now);
        }
    }

    /// Waits for commands and connections; and for words, unless they are heard together and nobody must make room.
    fn wait(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let timeout = self.timeout(Instant::now());
        if self.pace.together && !self.pace.full {
            self.pace.beats()?;
            self.watch.connections(events, timeout.as_ref())
        } else {
            self.watch.anything(events, timeout.as_ref())
        }
    }

    /// Whether no worker of a socket has room to which something has happened.
    fn is_full(&self) -> bool {
        let mut busy = self.busy.iter();
        busy.any(|number| self.desks.get(number).is_some_and(Desk::is_full))
    }

    /// Hears what workers have said by now.
    fn hear(&mut self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        self.watch.words(events)?;
        for event in events.drain(..) {
            self.happened(event.data.u64());
        }
        Ok(())
    }

    /// How long to wait for something to happen; `None` for as long as it takes.
    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let desks = || self.busy.iter().filter_map(|number| self.desks.get(number));
        if desks().any(Desk::has_more) {
            return Some(Timespec::default());
        }
        let next = desks().filter_map(Desk::due).min()?;
        Timespec::try_from(next.saturating_duration_since(now)).ok()
    }

    fn happened(&mut self, token: u64) {
        match self.watch.source(token) {
            Some(Source::Listener(number)) => {
                if let Some(desk) = self.desks.get_mut(&number) {
                    desk.has_come();
                    self.is_busy(number);
                }
            }
            Some(Source::Headers(number)) => {
                if let Some(desk) = self.desks.get_mut(&number) {
                    desk.more_has_come();
                    self.is_busy(number);
                }
            }
            Some(Source::Channel(number, id)) => {
                let broken = self.desks.get_mut(&number).and_then(|desk| desk.hear(id));
                self.is_busy(number);
                self.let_go(broken);
            }
            None => {}
        }
    }

    fn serve(&mut self, now: Instant) {
        self.pace.full = false;
        let mut busy = std::mem::take(&mut self.busy);
        busy.retain(|number| {
            let Some(desk) = self.desks.get_mut(number) else {
                return false;
            };
            let broken = desk.serve(now);
            // A worker must make room before anything goes on.
            self.pace.full |= desk.is_full();
            let goes_on = desk.has_more() || desk.due().is_some();
            let is_done = desk.is_done();
            self.let_go(broken);
            if is_done {
                self.drop_desk(*number);
            }
            goes_on && !is_done
        });
        self.busy = busy;
    }

    fn is_busy(&mut self, number: DeskNumber) {
        if !self.busy.contains(&number) {
            self.busy.push(number);
        }
    }

    /// Closes channels that no desk has any more.
    fn let_go(&mut self, channels: impl IntoIterator<Item = Channel>) {
        let desks = &self.desks;
        let knows = |number, id| desks.get(&number).is_some_and(|desk| desk.knows(id));
        self.watch.drop_channels(channels, knows);
    }

    fn drop_desk(&mut self, number: DeskNumber) {
        self.desks.remove(&number);
        self.watch.drop_desk(number);
    }
}
