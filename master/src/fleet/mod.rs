//! The fleet core: decides, and does nothing.
//!
//! [`Fleet::step`] takes what happened and returns what is to be done; [`Fleet::next_deadline`] says when it wants to
//! be woken. No I/O, no clock, no randomness but a given seed: the shell around it builds inputs, performs actions, and
//! feeds back what became of them. That is why the whole fleet can be run through thousands of lives in virtual time.
//!
//! ```text
//!   input ─► commands, lives: note what is wanted, and what is so
//!                 │
//!                 ▼
//!            settle: what is due ─► what must go ─► updates ─► what is missing ─► what has ended ─► actions
//! ```
//! State charts: `worker` (a worker's life), `slot` (a place among an app's workers), `update` (a rolling update),
//! `drain` (the kill ladder).
//!
//! What is guaranteed, and checked by the simulation in `sim`:
//! * An app never has more than its instances and `max_surge` successors, those on their way out aside.
//! * An update sends no ready worker away before its successor is ready and has proved itself, unless no more than
//!   `max_unavailable` instances are missing then.
//! * What is never to run together never does: workers of a slot (`replace`), or of two generations (`all_at_once`).
//! * A slot has at most one current worker.
//! * After a stop nothing is started until something asks for it.
//! * Every request is answered once, and every accepted operation ends once.
//! * [`Fleet::next_deadline`] lies after the step it follows: the fleet never asks to be woken in vain for ever.

mod action;
mod app;
mod backoff;
mod budget;
mod canary;
mod cause;
mod clearing;
mod commands;
mod consequence;
mod cron;
mod decision;
mod drain;
mod epitaph;
mod exits;
mod goal;
mod guard;
mod hang;
mod hooks;
mod idle;
mod input;
mod ladder;
mod lives;
mod membership;
mod moment;
mod mutation;
mod operations;
mod order;
mod pending;
mod portrait;
mod probing;
mod progress;
mod readiness;
mod recycle;
mod rng;
mod rollback;
mod selector;
mod settle;
mod slot;
mod snapshot;
mod standing;
mod start_stop;
mod take_up;
mod trial;
mod triggers;
mod turn;
mod update;
mod wear;
mod worker;

#[cfg(test)]
mod sim;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use action::{Action, FleetEvent, HookOrder, ProbeOrder, SignalTarget, SpawnOrder};
pub use input::{Command, Exit, Input, Notification, RequestToken, Requester, WorkerNews};
pub use moment::Moment;
pub use portrait::Portrait;
pub use snapshot::Snapshot;
pub use standing::Service;
pub use take_up::Change;

use std::collections::BTreeMap;

use ostler_bus::{OpId, WorkerId, vocab::control::Outcome};

use crate::config::app::{AppDefinition, AppName};
use app::App;
use mutation::Mutation;
use turn::{Supplies, Turn};

/// The most workers an app can have. Slots are kept one by one; a slip of the keyboard must not make billions.
pub const MAX_INSTANCES: u32 = 4096;

/// The exit code of a [managed](Fleet::managed) master after a forced end, which its unit knows.
pub const FORCED_CODE: u8 = 5;

/// All apps and their workers.
#[derive(Debug)]
pub struct Fleet {
    apps: BTreeMap<AppName, App>,
    supplies: Supplies,
    /// Set once the master is to end.
    ending: Option<Ending>,
    /// [`Action::Done`] has been given.
    ended: bool,
    /// An app that can't boot doesn't end the master.
    carries_on: bool,
    /// The master ends when nothing is left to run.
    leaves: bool,
    /// The master's exit code after a forced end.
    forced_code: u8,
}

/// The end of the master, on its way.
#[derive(Debug, Default)]
struct Ending {
    ops: Vec<OpId>,
    forced: bool,
    /// The master's exit code, if it was decided by what became of its apps: that of a worker that can't boot, or whether all
    /// that is done was done well.
    code: Option<u8>,
}

impl Fleet {
    /// An empty fleet. The seed only decides by how much retries are spread out.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            apps: BTreeMap::new(),
            supplies: Supplies::new(seed),
            ending: None,
            ended: false,
            carries_on: false,
            leaves: false,
            forced_code: 1,
        }
    }

    /// For a master in the background: an app that can't boot (`fatal_exit_codes`) fails, and the master goes on.
    #[must_use]
    pub fn carrying_on(mut self) -> Self {
        self.carries_on = true;
        self
    }

    /// For a master that looks after these apps alone: once nothing is left to run, it ends.
    #[must_use]
    pub fn leaving_when_done(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// For a master whose starter starts again what has failed: a forced end was asked for, and is told apart
    /// ([`FORCED_CODE`]).
    #[must_use]
    pub fn managed(mut self) -> Self {
        self.forced_code = FORCED_CODE;
        self
    }

    /// Takes in what happened and decides what is to be done, in this order. `now` never goes back.
    pub fn step(&mut self, now: Moment, input: Input) -> Vec<Action> {
        let mut turn = Turn::begin(now, std::mem::take(&mut self.supplies));
        self.take_in(input, &mut turn);
        commands::end_if_fatal(self, &mut turn);
        self.settle(&mut turn);
        // Whoever's turn has come by that has something to do as well.
        while order::advance(&mut self.apps, &mut turn) {
            self.settle(&mut turn);
        }
        self.forget_gone(&mut turn);
        idle::end_if_idle(self, &mut turn);
        self.end_if_empty(&mut turn);
        let (supplies, actions) = turn.end();
        self.supplies = supplies;
        actions
    }

    /// When to call [`step`](Self::step) with a [`Tick`](Input::Tick) if nothing happens before. Can lie absurdly far
    /// away, where a definition says so.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        self.apps.values().filter_map(settle::deadline).min()
    }

    /// The state of all apps and workers, for status.
    #[must_use]
    pub fn snapshot(&self, now: Moment) -> Snapshot {
        Snapshot::take(self.apps.values(), now)
    }

    /// The apps that are to run.
    pub fn wanted(&self) -> impl Iterator<Item = &AppName> {
        let wanted = self.apps.iter().filter(|(_, app)| app.wanted);
        wanted.map(|(name, _)| name)
    }

    fn settle(&mut self, turn: &mut Turn) {
        for app in self.apps.values_mut() {
            settle::settle(app, turn);
        }
    }

    fn take_in(&mut self, input: Input, turn: &mut Turn) {
        match input {
            Input::Define(definition) => self.define(definition, turn),
            Input::DefineAll(definitions) => {
                for definition in definitions {
                    let name = definition.name.clone();
                    self.define(definition, turn);
                    // It is the file's from here on, however it came.
                    if let Some(app) = self.apps.get_mut(&name) {
                        app.added = false;
                    }
                }
            }
            Input::Worker { id, news } => self.hear(id, news, turn),
            Input::Command { request, command } => commands::obey(self, request, command, turn),
            Input::RestartNeeded { wish, by } => triggers::restart_needed(self, wish, &by, turn),
            Input::CronDue(app) => {
                if let Some(app) = self.apps.get_mut(&app) {
                    cron::due(app, turn);
                }
            }
            Input::Awaited { app, slot } => {
                if let Some(app) = self.apps.get_mut(&app) {
                    exits::awaited(app, slot, turn);
                }
            }
            Input::Paused(_) if turn.mutated(Mutation::OverlookPause) => {}
            Input::Paused(_) => {
                for app in self.apps.values_mut() {
                    for worker in app.workers.values_mut() {
                        hang::pause(worker, turn.now);
                    }
                }
            }
            Input::Tick => {}
        }
    }

    /// How many workers an app should have.
    #[must_use]
    pub fn size(&self, app: &AppName) -> Option<u32> {
        self.apps.get(app).map(|app| app.size)
    }

    fn define(&mut self, definition: AppDefinition, turn: &mut Turn) {
        if self.ending.is_some() {
            return;
        }
        match self.apps.get_mut(&definition.name) {
            Some(app) if app.going => app.revive(definition, turn),
            Some(app) => app.redefine(definition, turn),
            None => {
                self.apps
                    .insert(definition.name.clone(), App::new(definition, turn));
            }
        }
    }

    fn hear(&mut self, id: WorkerId, news: WorkerNews, turn: &mut Turn) {
        if let Some(app) = self
            .apps
            .values_mut()
            .find(|app| app.workers.contains_key(&id) || app.remains.contains_key(&id))
        {
            lives::hear(app, id, news, turn);
        } else if let WorkerNews::SdkDisconnect { request } = news {
            // It is gone already; whoever asked is answered all the same.
            turn.act(Action::AnswerDisconnect { id, request });
        }
    }

    /// The master may end when it was told to and no worker is left.
    fn end_if_empty(&mut self, turn: &mut Turn) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if self.ended || !self.apps.values().all(App::is_empty) {
            return;
        }
        self.ended = true;
        for op in ending.ops.drain(..) {
            operations::pay(op, Outcome::Done, turn);
        }
        let code = match ending.forced {
            true => self.forced_code,
            false => 0,
        };
        turn.act(Action::Done {
            code: ending.code.unwrap_or(code),
        });
    }
}
