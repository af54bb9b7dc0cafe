//! A fake world: processes that are slow, hang, crash, ignore signals and won't start, and a shell that tells of them
//! late, twice, or in an awkward order.

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Generation, WorkerId,
    vocab::{control::MasterKill, update::WorkerRestartNeeded, worker::ExitStatus},
};

use super::script;
use crate::{
    config::app::{AppName, Readiness},
    fleet::{
        Action, Command, Exit, Input, Moment, Notification, RequestToken, Requester, SpawnOrder,
        WorkerNews, rng::Rng,
    },
};

/// The world around a fleet.
pub(super) struct World {
    rng: Dice,
    queue: BTreeMap<(Moment, u64), Event>,
    queued: u64,
    requests: u64,
    processes: BTreeMap<WorkerId, Process>,
    calm: bool,
    /// Whether workers of this history tend to ask for restarts.
    askers: bool,
}

/// Something that will happen.
enum Event {
    /// The fleet is told this, whatever has become of the worker meanwhile.
    Told(Vec<Input>),
    /// A process does something, if it still lives.
    Does(WorkerId, Deed),
    /// A command that needs a request number, when its time has come.
    Commanded(Command),
    /// Somebody kills some process from outside.
    Struck(u64),
}

/// What a process can do.
enum Deed {
    Tells(WorkerNews),
    Leaves { politely: bool },
    AsksForRestart,
    Dies(ExitStatus),
}

/// A process.
struct Process {
    app: AppName,
    generation: Generation,
    alive: bool,
    connected: bool,
    /// How long it takes to go when it is told to; `None`: it won't.
    heeds: Option<Duration>,
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
            Action::Signal { id, .. } | Action::Drain { id, .. } => {
                let heeds = self.processes.get(&id).and_then(|process| process.heeds);
                if let Some(delay) = heeds {
                    let code = i32::from(self.rng.one_in(8));
                    self.plan(
                        now + delay,
                        Event::Does(id, Deed::Dies(ExitStatus::Code(code))),
                    );
                }
            }
            Action::Answer { .. }
            | Action::AnswerDisconnect { .. }
            | Action::Publish(_)
            | Action::Done { .. } => {}
        }
    }

    fn plan(&mut self, at: Moment, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    fn command(&mut self, command: Command) -> Input {
        Input::Command {
            request: self.token(),
            command,
        }
    }

    fn token(&mut self) -> RequestToken {
        self.requests += 1;
        RequestToken(self.requests)
    }

    fn spawn(&mut self, now: Moment, order: &SpawnOrder) {
        let id = order.id;
        let latency = if self.rng.chance(10) { 400 } else { 5 };
        let at = now + self.rng.millis(0, latency);
        let good = self.calm;
        if !good && self.rng.chance(4) {
            let news = WorkerNews::SpawnFailed {
                error: "exec: no such file".into(),
            };
            return self.plan(at, Event::Told(vec![Input::Worker { id, news }]));
        }
        let heeds = if self.rng.chance(85) {
            Some(self.rng.millis(0, 1500))
        } else {
            None
        };
        let (app, generation) = (order.app.clone(), order.generation);
        self.processes.insert(
            id,
            Process {
                app,
                generation,
                alive: true,
                connected: false,
                heeds,
            },
        );
        let pid = u32::try_from(id.0).unwrap_or(u32::MAX);
        self.plan(
            at,
            Event::Does(id, Deed::Tells(WorkerNews::Spawned { pid })),
        );
        let version = script::version(&order.definition);
        let spoilt = !good && script::is_spoilt(order.app.as_str(), version);
        self.give_a_life(at, id, &order.definition.ready, good, spoilt);
    }

    /// Draws what a process will do, if it is let.
    fn give_a_life(
        &mut self,
        born: Moment,
        id: WorkerId,
        ready: &Readiness,
        good: bool,
        spoilt: bool,
    ) {
        let tells = |news| Event::Does(id, Deed::Tells(news));
        let slow = if good {
            0
        } else {
            u64::from(self.rng.chance(10)) * 2500
        };
        let up = born + self.rng.millis(1, 300 + slow);
        let says = good && !matches!(ready, Readiness::Delay(_)) || !spoilt && self.rng.chance(90);
        let by_sdk = match ready {
            Readiness::Sdk => true,
            Readiness::Notify => false,
            Readiness::Auto | Readiness::Delay(_) => self.rng.one_in(2),
        };
        let silent = matches!(ready, Readiness::Auto) && !spoilt && self.rng.one_in(3);
        if by_sdk && !silent {
            self.plan(up, tells(WorkerNews::BusConnected));
        }
        if self.rng.one_in(4) && !silent {
            let news = [
                Notification::Status("warming up".into()),
                Notification::ExtendTimeout(Duration::from_secs(2)),
                Notification::MainPid(77),
                Notification::Other,
            ];
            let pick = self.rng.below(news.len() as u64);
            let news = news
                .into_iter()
                .nth(usize::try_from(pick).unwrap_or(0))
                .unwrap_or(Notification::Other);
            self.plan(up, tells(WorkerNews::Notified(news)));
        }
        if says && !silent {
            let news = if by_sdk {
                WorkerNews::SdkReady
            } else {
                WorkerNews::Notified(Notification::Ready)
            };
            let then = up + self.rng.millis(0, 100);
            self.plan(then, tells(news.clone()));
            if self.rng.one_in(10) {
                let again = then + self.rng.millis(0, 900);
                self.plan(again, tells(news));
            }
        }
        self.give_a_fate(up, id, good, spoilt);
    }

    /// Draws how a process ends by itself, if it does, and what it asks for before.
    fn give_a_fate(&mut self, up: Moment, id: WorkerId, good: bool, spoilt: bool) {
        if good {
            return;
        }
        if self.askers && self.rng.one_in(2) {
            let at = up + self.rng.millis(0, 500);
            self.plan(at, Event::Does(id, Deed::AsksForRestart));
        }
        let fate = self.rng.below(100);
        let soon = self.rng.millis(0, 600);
        let late = self.rng.millis(0, 30_000);
        let status = match self.rng.below(4) {
            0 => ExitStatus::Code(0),
            1 => ExitStatus::Signal("SIGSEGV".into()),
            2 => ExitStatus::Unknown,
            _ => ExitStatus::Code(1),
        };
        match fate {
            0..40 if spoilt => self.plan(up, Event::Does(id, Deed::Dies(ExitStatus::Code(1)))),
            40..55 => self.plan(up + soon, Event::Does(id, Deed::Dies(status))),
            55..70 => self.plan(up + late, Event::Does(id, Deed::Dies(status))),
            70..75 => {
                let politely = self.rng.one_in(2);
                self.plan(up + late, Event::Does(id, Deed::Leaves { politely }));
            }
            _ => {}
        }
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
                let by = Requester::Worker {
                    id,
                    app: process.app.clone(),
                    generation: process.generation,
                };
                vec![Input::RestartNeeded {
                    wish: WorkerRestartNeeded::default(),
                    by,
                }]
            }
            Deed::Dies(status) => self.bury(now, id, status),
        }
    }

    /// A process ends; the news of it, and of its connection, comes in either order, and some of it twice.
    fn bury(&mut self, now: Moment, id: WorkerId, status: ExitStatus) -> Vec<Input> {
        let mut news = Vec::new();
        let Some(process) = self.processes.get_mut(&id) else {
            return news;
        };
        process.alive = false;
        let connected = process.connected;
        let exited = Input::Worker {
            id,
            news: WorkerNews::Exited(Exit {
                status,
                stderr_tail: vec!["last words".into()],
                hint: None,
            }),
        };
        let closed = Input::Worker {
            id,
            news: WorkerNews::BusClosed,
        };
        if connected && self.rng.one_in(2) {
            news.push(closed.clone());
        }
        news.push(exited.clone());
        if connected {
            news.push(closed);
        }
        if self.rng.one_in(6) {
            let request = self.token();
            let late = [
                exited,
                Input::Worker {
                    id,
                    news: WorkerNews::SdkReady,
                },
                Input::Worker {
                    id,
                    news: WorkerNews::SdkDisconnect { request },
                },
            ];
            let at = now + self.rng.millis(0, 2000);
            self.plan(at, Event::Told(late.into()));
        }
        news
    }
}

/// Randomness as the world wants it.
pub(super) struct Dice(pub(super) Rng);

impl Dice {
    /// Evenly from 0 up to but not including `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from) + 1))
    }
}
