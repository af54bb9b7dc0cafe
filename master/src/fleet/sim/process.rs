//! The processes of the fake world: how they are born, what they do, and what is heard of their end.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::worker::{AppErrors, ExitStatus, Holding},
};

use super::{
    script,
    world::{Deed, Event, Process, World},
};
use crate::{
    config::app::{AppDefinition, Readiness, life::Life},
    fleet::{Exit, Input, Moment, Notification, ProbeOrder, SpawnOrder, WorkerNews},
};

/// As the shell gives a start up that comes to nothing.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);

impl World {
    pub(super) fn spawn(&mut self, now: Moment, order: &SpawnOrder) {
        let id = order.id;
        let latency = if self.rng.chance(10) { 400 } else { 5 };
        let good = self.calm;
        let at = now + self.rng.millis(0, latency);
        if !good && self.rng.chance(4) {
            return self.fails_to_start(at, id, "exec: no such file");
        }
        let hangs = !good && self.rng.chance(3);
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
                begins: (!hangs).then_some(at),
                alive: true,
                connected: false,
                serves: None,
                beats: None,
                heeds,
            },
        );
        if hangs {
            return self.fails_to_start(now + GIVEN_UP_AFTER, id, "it took too long");
        }
        let pid = u32::try_from(id.0).unwrap_or(u32::MAX);
        self.plan(
            at,
            Event::Does(id, Deed::Tells(WorkerNews::Spawned { pid })),
        );
        let version = script::version(&order.definition);
        let spoilt = !good && script::is_spoilt(order.app.as_str(), version);
        self.give_a_life(at, id, &order.definition, good, spoilt);
        self.give_a_pulse(at, id, &order.definition.life, good);
        if order.definition.recycle.counts_requests() && !good {
            self.give_work(at, id);
        }
    }

    /// A start is called off: it fails at once, unless it was about to succeed.
    pub(super) fn call_off(&mut self, now: Moment, id: WorkerId) {
        let luck = self.rng.one_in(2);
        let ends = |begins: Option<Moment>| begins.is_none_or(|at| at > now && luck);
        let process = self.processes.get_mut(&id);
        let Some(process) = process.filter(|process| process.alive && ends(process.begins)) else {
            return;
        };
        process.alive = false;
        let soon = now + self.rng.millis(0, 120);
        self.fails_to_start(soon, id, "it was called off");
    }

    fn fails_to_start(&mut self, at: Moment, id: WorkerId, why: &str) {
        let error = why.to_owned();
        let news = WorkerNews::SpawnFailed { error };
        self.plan(at, Event::Told(vec![Input::Worker { id, news }]));
    }

    /// Draws how a process shows that it lives, and whether it hangs one day.
    fn give_a_pulse(&mut self, born: Moment, id: WorkerId, life: &Life, good: bool) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        if life.health.is_some() && good {
            process.serves.get_or_insert(born);
        }
        if let Some(time) = life.watchdog {
            process.beats = Some(time / 2);
            self.plan(born, Event::Does(id, Deed::Beats));
        }
        if !good && self.rng.one_in(2) {
            let at = born + self.rng.millis(0, 6_000);
            let bytes = 90 + self.rng.below(130);
            self.plan(at, Event::Does(id, Deed::Tells(WorkerNews::Memory(bytes))));
        }
        if !good && self.rng.one_in(3) {
            let at = born + self.rng.millis(0, 6_000);
            let (requests, errors) = (self.rng.below(40), self.rng.below(8));
            let news = WorkerNews::Errors(AppErrors {
                requests,
                errors: errors.min(requests),
            });
            self.plan(at, Event::Does(id, Deed::Tells(news)));
            let held = WorkerNews::Holds(Holding {
                held: self.rng.below(3),
                requests: None,
            });
            let later = at + self.rng.millis(0, 3_000);
            self.plan(later, Event::Does(id, Deed::Tells(held)));
        }
        if !good && self.rng.one_in(4) {
            let at = born + self.rng.millis(0, 10_000);
            self.plan(at, Event::Does(id, Deed::Hangs));
        }
    }

    /// Draws what a process has served, and when it says so.
    fn give_work(&mut self, born: Moment, id: WorkerId) {
        let (mut at, mut requests) = (born, 0);
        for _ in 0..1 + self.rng.below(4) {
            at = at + self.rng.millis(0, 3_000);
            requests += self.rng.below(6);
            let under_way = self.rng.below(3).min(requests) / 2;
            let news = WorkerNews::Served {
                requests,
                under_way,
            };
            self.plan(at, Event::Does(id, Deed::Tells(news)));
        }
    }

    /// The master counts what a process on its way out still holds: now and then, and not always with success. A count may come
    /// when the process has gone.
    pub(super) fn count(&mut self, now: Moment, id: WorkerId) {
        if !self.rng.one_in(4) {
            return;
        }
        for _ in 0..=self.rng.below(3) {
            let at = now + self.rng.millis(0, 2_000);
            let counted = (!self.rng.one_in(4)).then(|| self.rng.below(4));
            let news = WorkerNews::Counted(counted);
            self.plan(at, Event::Told(vec![Input::Worker { id, news }]));
        }
    }

    /// Draws what a process will do, if it is let.
    fn give_a_life(
        &mut self,
        born: Moment,
        id: WorkerId,
        definition: &AppDefinition,
        good: bool,
        spoilt: bool,
    ) {
        let tells = |news| Event::Does(id, Deed::Tells(news));
        let ready = &definition.ready;
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
            Readiness::Auto | Readiness::Delay(_) | Readiness::Probe(_) => self.rng.one_in(2),
        };
        if let Some(process) = self.processes.get_mut(&id).filter(|_| says) {
            process.serves = Some(up);
        }
        let silent = matches!(ready, Readiness::Auto) && !spoilt && self.rng.one_in(3);
        // Whoever says that it lives speaks.
        let silent = silent && !definition.life.oneshot && definition.life.watchdog.is_none();
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
        self.give_a_fate(up, id, definition.life.oneshot, good, spoilt);
    }

    /// Draws how a process ends by itself, if it does, and what it asks for before.
    fn give_a_fate(&mut self, up: Moment, id: WorkerId, oneshot: bool, good: bool, spoilt: bool) {
        if oneshot {
            let at = up + self.rng.millis(0, 800);
            let code = i32::from(!good && self.rng.one_in(5));
            self.plan(at, Event::Does(id, Deed::Dies(ExitStatus::Code(code))));
        }
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

    /// Somebody is asked whether it serves: the answer comes within the probe's time.
    pub(super) fn probe(&mut self, now: Moment, order: &ProbeOrder) {
        let most = u64::try_from(order.timeout.as_millis()).unwrap_or(0);
        let latency = if self.rng.chance(5) {
            order.timeout
        } else {
            self.rng.millis(0, most.min(20))
        };
        self.plan(now + latency, Event::Answers(order.id, order.ask));
    }

    pub(super) fn answer(&mut self, now: Moment, id: WorkerId, ask: u64) -> Input {
        let serves =
            |process: &&Process| process.alive && process.serves.is_some_and(|at| at <= now);
        let answer = match self.processes.get(&id).filter(serves) {
            Some(_) => Ok(()),
            None => Err("connection refused".to_owned()),
        };
        Input::Worker {
            id,
            news: WorkerNews::Probed { ask, answer },
        }
    }

    /// A process ends; the news of it, and of its connection, comes in either order, and some of it twice.
    pub(super) fn bury(&mut self, now: Moment, id: WorkerId, status: ExitStatus) -> Vec<Input> {
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
                core_dumped: false,
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
