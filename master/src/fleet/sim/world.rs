//! A fake world: processes that are slow, hang, crash, ignore signals and won't start, and a shell that tells of them
//! late, twice, or in an awkward order.

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Generation, WorkerId,
    vocab::{control::MasterKill, update::WorkerRestartNeeded, worker::ExitStatus},
};

use super::{dice::Dice, script};
use crate::{
    config::app::{AppName, hooks::HookKind},
    fleet::{
        Action, Command, Input, Moment, Notification, RequestToken, Requester, WorkerNews, rng::Rng,
    },
};

/// The world around a fleet.
pub(super) struct World {
    pub(super) rng: Dice,
    queue: BTreeMap<(Moment, u64), Event>,
    queued: u64,
    requests: u64,
    pub(super) processes: BTreeMap<WorkerId, Process>,
    /// The commands that run beside workers.
    pub(super) hooks: BTreeMap<WorkerId, HookKind>,
    pub(super) calm: bool,
    /// Whether workers of this history tend to ask for restarts.
    pub(super) askers: bool,
}

/// Something that will happen.
pub(super) enum Event {
    /// The fleet is told this, whatever has become of the worker meanwhile.
    Told(Vec<Input>),
    /// A process does something, if it still lives.
    Does(WorkerId, Deed),
    /// A command that needs a request number, when its time has come.
    Commanded(Command),
    /// A command beside a worker ends like this, if it still runs.
    HookEnds(WorkerId, HookKind, Result<(), String>),
    /// A question is answered, by a process or, where none is left, by the kernel.
    Answers(WorkerId, u64),
    /// Somebody kills some process from outside.
    Struck(u64),
}

/// What a process can do.
pub(super) enum Deed {
    Tells(WorkerNews),
    Leaves {
        politely: bool,
    },
    AsksForRestart,
    /// Says that it lives, and will again.
    Beats,
    /// Lives on, but does nothing any more.
    Hangs,
    Dies(ExitStatus),
}

/// A process.
pub(super) struct Process {
    pub(super) app: AppName,
    pub(super) generation: Generation,
    /// When it is there; `None`: its start hangs.
    pub(super) begins: Option<Moment>,
    pub(super) alive: bool,
    pub(super) connected: bool,
    /// From when on it answers when it is asked; `None`: never.
    pub(super) serves: Option<Moment>,
    /// How often it says that it lives; `None`: not any more.
    pub(super) beats: Option<Duration>,
    /// How long it takes to go when it is told to; `None`: it won't.
    pub(super) heeds: Option<Duration>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Dice(Rng::new(seed ^ 0x5eed));
        let askers = rng.one_in(6);
        let mut world = Self {
            queue: BTreeMap::new(),
            queued: 0,
            requests: 0,
            processes: BTreeMap::new(),
            hooks: BTreeMap::new(),
            calm: false,
            askers,
            rng,
        };
        let mut script = script::write(&mut world.rng);
        for (at, inputs) in script.told.drain(..) {
            world.plan(at, Event::Told(inputs));
        }
        for (at, command) in script.commands.drain(..) {
            world.plan(at, Event::Commanded(command));
        }
        for (at, luck) in script.strikes.drain(..) {
            world.plan(at, Event::Struck(luck));
        }
        world
    }

    /// From now on new workers behave.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
    }

    /// When something happens next.
    pub(super) fn next(&self) -> Option<Moment> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What happens now: told one after the other. `None` if it is not time yet.
    pub(super) fn pop(&mut self, now: Moment) -> Option<Vec<Input>> {
        let entry = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        Some(match entry.remove() {
            Event::Told(inputs) => inputs,
            Event::Does(id, deed) => self.done(now, id, deed),
            Event::Commanded(command) => vec![self.command(command)],
            Event::HookEnds(id, hook, outcome) => self.hook_ends(id, hook, outcome),
            Event::Answers(id, ask) => vec![self.answer(now, id, ask)],
            Event::Struck(luck) => {
                let mut alive: Vec<WorkerId> = self
                    .processes
                    .iter()
                    .filter(|(_, p)| p.alive)
                    .map(|(id, _)| *id)
                    .collect();
                if alive.is_empty() {
                    return Some(Vec::new());
                }
                let id = alive.remove(usize::try_from(luck).unwrap_or(0) % alive.len());
                self.done(now, id, Deed::Dies(ExitStatus::Signal("SIGKILL".into())))
            }
        })
    }

    /// The end of the master.
    pub(super) fn kill(&mut self) -> Input {
        let force = self.rng.one_in(3);
        self.command(Command::Kill(MasterKill { force }))
    }

    /// Does what the fleet wants done.
    pub(super) fn perform(&mut self, now: Moment, action: Action) {
        match action {
            Action::Spawn(order) => self.spawn(now, &order),
            Action::Signal { id, signal: 9, .. } => {
                let delay = self.rng.millis(0, 5);
                self.plan(
                    now + delay,
                    Event::Does(id, Deed::Dies(ExitStatus::Signal("SIGKILL".into()))),
                );
            }
            Action::CallOff { id } => self.call_off(now, id),
            Action::Hook(order) => self.hook(now, &order),
            Action::EndHook { id } => self.end_hook(now, id),
            Action::Signal { id, .. }
            | Action::Drain { id, .. }
            | Action::StopMessage { id, .. } => {
                self.count(now, id);
                let heeds = self.processes.get(&id).and_then(|process| process.heeds);
                if let Some(delay) = heeds {
                    let code = i32::from(self.rng.one_in(8));
                    self.plan(
                        now + delay,
                        Event::Does(id, Deed::Dies(ExitStatus::Code(code))),
                    );
                }
            }
            Action::Probe(order) => self.probe(now, &order),
            // Nobody hears it any more, but for what is on its way.
            Action::Release { id } => {
                if let Some(process) = self.processes.get_mut(&id) {
                    process.beats = None;
                }
            }
            Action::Answer { .. }
            | Action::AnswerDisconnect { .. }
            | Action::Forget { .. }
            | Action::Say(_)
            | Action::Publish(_)
            | Action::Warn(_)
            | Action::Done { .. } => {}
        }
    }

    pub(super) fn plan(&mut self, at: Moment, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    fn command(&mut self, command: Command) -> Input {
        Input::Command {
            request: self.token(),
            command,
        }
    }

    pub(super) fn token(&mut self) -> RequestToken {
        self.requests += 1;
        RequestToken(self.requests)
    }

    fn done(&mut self, now: Moment, id: WorkerId, deed: Deed) -> Vec<Input> {
        let Some(process) = self.processes.get_mut(&id).filter(|process| process.alive) else {
            return Vec::new();
        };
        let told = |news| Input::Worker { id, news };
        match deed {
            Deed::Tells(news) => {
                process.connected |= news == WorkerNews::BusConnected;
                vec![told(news)]
            }
            Deed::Leaves { politely } => {
                let heeds = process.heeds;
                if let Some(delay) = heeds {
                    self.plan(
                        now + delay,
                        Event::Does(id, Deed::Dies(ExitStatus::Code(0))),
                    );
                }
                let request = self.token();
                vec![told(if politely {
                    WorkerNews::SdkDisconnect { request }
                } else {
                    WorkerNews::Notified(Notification::Stopping)
                })]
            }
            Deed::AsksForRestart => {
                // By its word, or by shutting a socket down.
                let by = match id.0 % 2 {
                    0 => Requester::Socket("http".into()),
                    _ => Requester::Worker {
                        id,
                        app: process.app.clone(),
                        generation: process.generation,
                    },
                };
                let app = Some(process.app.to_string());
                let wish = WorkerRestartNeeded { app, reason: None };
                vec![Input::RestartNeeded { wish, by }]
            }
            Deed::Beats => {
                let Some(every) = process.beats else {
                    return Vec::new();
                };
                self.plan(now + every, Event::Does(id, Deed::Beats));
                vec![told(WorkerNews::Notified(Notification::Alive))]
            }
            Deed::Hangs => {
                (process.beats, process.serves, process.heeds) = (None, None, None);
                Vec::new()
            }
            Deed::Dies(status) => self.bury(now, id, status),
        }
    }
}
