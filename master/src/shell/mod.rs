//! The shell around the fleet core: waits for what happens, lets the core decide, does what it decided.
//!
//! One task owns the fleet. It builds an input from the first thing that happens (a signal, a message, a deadline),
//! steps the core, and performs the actions in order; performing never waits: starting a process is a task of its own
//! ([`worker`]) that reports back by message, and events go into the bus client's queue. Signals and child exits come
//! straight here, so no flood on the bus can delay them.

mod accepted;
mod add;
pub mod alarm;
mod balance;
mod call_off;
mod groups;
mod handle;
mod held;
mod helper;
mod hook;
mod lines;
mod listeners;
mod lookouts;
mod messages;
mod panics;
mod passing;
mod perform;
mod portraits;
mod prepare;
mod probe;
mod reread;
mod rights;
mod send;
mod signal_verb;
mod signals;
mod slots;
mod status;
mod tell;
mod worker;
mod workshop;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use ostler_bus::{
    Slot, WorkerId,
    client::Bus,
    vocab::control::{Answer, RefusalKind},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

pub use self::{
    accepted::Accepts, add::Which, handle::ShellHandle, listeners::Watches, portraits::Drawn,
    reread::ReadFile, reread::Reread, reread::Said, rights::Rights, signals::MasterSignal,
    signals::SAME_WORD, workshop::Workshop,
};
use self::{
    handle::Message, held::Counts, hook::Leash, passing::Gifts, reread::Reading, slots::Leavings,
    worker::Process,
};
use crate::{
    config::{app::AppName, units},
    fleet::{Fleet, Input, Moment, RequestToken},
    sys::{self, Signals},
};

/// A deadline further away than this is looked at again then: a definition may say "after 10,000 years".
const A_DAY: Duration = Duration::from_secs(86_400);

/// Nobody was started for so long: what only starting needs is given back.
const REST: Duration = Duration::from_secs(1);

/// What is due is seen to in far less, unless the master was stopped (SIGSTOP, a paused container) or held up.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// Owns the fleet and everything that its actions need.
#[derive(Debug)]
pub struct Shell {
    fleet: Fleet,
    epoch: Instant,
    messages: mpsc::Receiver<Message>,
    handle: ShellHandle,
    signals: Signals,
    reread: Option<Reread>,
    /// Who waits for the process file to be read; it is being read for the first.
    readings: VecDeque<Reading>,
    /// Only signals that end the master are heeded.
    deaf: bool,
    /// When TERM or INT was first heard.
    asked_to_stop: Option<Instant>,
    /// When it may rest, unless another worker is started before.
    rest: Option<Instant>,
    workshop: Workshop,
    processes: HashMap<WorkerId, Process>,
    /// The commands that run beside workers.
    leashes: HashMap<WorkerId, Leash>,
    /// The draining workers whose connections are counted.
    counts: Counts,
    /// Workers that were sent SIGKILL, until their exit is told.
    killed: HashSet<WorkerId>,
    /// The last signal that a command has sent to a worker, and when.
    signalled: HashMap<WorkerId, (i32, Instant)>,
    /// When a worker of an app last ended.
    ended: HashMap<AppName, Instant>,
    /// Apps that may have fewer slots than before.
    shrunk: HashSet<AppName>,
    /// What slots that go leave behind.
    leavings: Leavings,
    /// Workers that have no process yet: their start is called off when this is dropped.
    starting: HashMap<WorkerId, oneshot::Sender<()>>,
    waiting: HashMap<RequestToken, Waiting>,
    /// Connections on their way from worker to worker.
    gifts: Gifts,
    tokens: u64,
    bus: Bus,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Waiting {
    Command(oneshot::Sender<Answer>),
    Disconnect(oneshot::Sender<()>),
    /// A signal or the shell itself: nobody.
    Nobody,
}

/// What happened first.
enum Happened {
    Signal(i32),
    Message(Message),
    Deadline,
    Rest,
}

impl Shell {
    /// A shell with an empty fleet, of this `kind`. `reread` reads the process file again, if there is one.
    #[must_use]
    pub fn new(
        kind: impl FnOnce(Fleet) -> Fleet,
        workshop: Workshop,
        bus: Bus,
        signals: Signals,
        reread: Option<Reread>,
    ) -> Self {
        let (handle, messages) = ShellHandle::new();
        Self {
            fleet: kind(Fleet::new(seed())),
            epoch: Instant::now(),
            messages,
            handle,
            signals,
            reread,
            readings: VecDeque::new(),
            deaf: false,
            asked_to_stop: None,
            rest: None,
            workshop,
            processes: HashMap::new(),
            leashes: HashMap::new(),
            counts: Counts::default(),
            killed: HashSet::new(),
            signalled: HashMap::new(),
            ended: HashMap::new(),
            shrunk: HashSet::new(),
            leavings: Leavings::default(),
            starting: HashMap::new(),
            waiting: HashMap::new(),
            gifts: Gifts::default(),
            tokens: 0,
            bus,
        }
    }

    /// For a master that heeds no signals but those that end it.
    #[must_use]
    pub fn deaf(mut self) -> Self {
        self.deaf = true;
        self
    }

    /// How others speak to it.
    #[must_use]
    pub fn handle(&self) -> ShellHandle {
        self.handle.clone()
    }

    /// Runs until the fleet has nothing left to look after; gives the master's exit code.
    pub async fn run(mut self) -> u8 {
        loop {
            let due = self.fleet.next_deadline();
            let happened = self.next(due).await;
            if let Some(late) = self.lateness(due) {
                tracing::warn!("the master stood still for {}", units::exact(late));
                if let Some(code) = self.step(Input::Paused(late)) {
                    return code;
                }
            }
            let inputs = match happened {
                Happened::Signal(signal) => self.on_signal(signal),
                Happened::Message(message) => self.on_message(message),
                Happened::Deadline => vec![Input::Tick],
                Happened::Rest => {
                    self.rest = None;
                    sys::release_heap();
                    if let Err(error) = sys::release_text() {
                        tracing::debug!("the program's pages stay where they are: {error}");
                    }
                    continue;
                }
            };
            for input in inputs {
                if let Some(code) = self.step(input) {
                    return code;
                }
            }
            self.free_slots();
        }
    }

    /// Gives back the ports of slots that are no more.
    fn free_slots(&mut self) {
        for app in std::mem::take(&mut self.shrunk) {
            let Some(size) = self.fleet.size(&app) else {
                continue;
            };
            let lives = |slot| {
                let mut there = self.processes.values().map(|process| &process.order);
                there.any(|order| order.app == app && order.slot == slot)
            };
            let is_gone = |slot: Slot| slot.0 >= size && !lives(slot);
            for gone in self.workshop.sockets.free(&app, is_gone) {
                self.tell_gone(&app, gone, "closed");
            }
            self.workshop.let_go_of_listeners();
            self.retire_slots(&app, size);
        }
    }

    /// Signals first: a master that drowns in messages can still be stopped.
    async fn next(&mut self, due: Option<Moment>) -> Happened {
        let at =
            |moment: Moment| self.epoch + moment.since_epoch().min(self.epoch.elapsed() + A_DAY);
        let deadline = due.map(at);
        tokio::select! {
            biased;
            signal = self.signals.next() => match signal {
                Ok(arrived) => Happened::Signal(arrived.signal),
                Err(error) => {
                    tracing::error!("signals can't be read: {error}; stopping");
                    Happened::Signal(libc::SIGTERM)
                }
            },
            message = self.messages.recv() => Happened::Message(message.expect("the shell holds a sender itself")),
            () = until(deadline) => Happened::Deadline,
            () = until(self.rest) => Happened::Rest,
        }
    }

    /// For how long something was due, if that is more than any load explains.
    fn lateness(&self, due: Option<Moment>) -> Option<Duration> {
        let late = self.now() - due?;
        (late > STOOD_STILL).then_some(late)
    }

    /// One step of the core and all it decided; the exit code if it is done.
    fn step(&mut self, input: Input) -> Option<u8> {
        let news = matches!(&input, Input::Worker { .. } | Input::Tick);
        let actions = self.fleet.step(self.now(), input);
        if !news {
            self.workshop
                .watch_running(self.fleet.wanted().cloned().collect());
        }
        self.direct_slots();
        self.handle.changed();
        if self.fleet.is_ending() {
            self.handle.ends();
        }
        self.workshop.hub.outdate();
        let mut done = None;
        for action in actions {
            done = self.perform(action).or(done);
        }
        self.count_for_drainers();
        // Not after each message: a word of a worker's that changes nothing in the fleet leaves slots as they are.
        self.settle_asked();
        self.close_left_out();
        done
    }

    fn token(&mut self, waiting: Waiting) -> RequestToken {
        self.tokens += 1;
        let token = RequestToken(self.tokens);
        self.waiting.insert(token, waiting);
        token
    }

    fn now(&self) -> Moment {
        Moment::after_epoch(self.epoch.elapsed())
    }
}

impl Drop for Shell {
    /// Whoever still waits is told that the master goes.
    fn drop(&mut self) {
        for (_, waiting) in self.waiting.drain() {
            if let Waiting::Command(answer) = waiting {
                let _gone = answer.send(Answer::Refused {
                    kind: RefusalKind::Stopping,
                    reason: "the master is stopping".into(),
                });
            }
        }
    }
}

/// Waits for a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Only spreads retries out: the time of day in nanoseconds is random enough.
fn seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::from(now.subsec_nanos()) << 32 | u64::from(std::process::id())
}
