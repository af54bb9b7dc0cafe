//! What the master tells while it carries out an operation, as lines for people. Pure: events in, lines out.
//!
//! A reload is told by its update's steps, everything else by what happens to workers. Crashes, and where an update stands,
//! are worth keeping on a terminal ([`Line::Milestone`]); the rest replaces one another ([`Line::Step`]).

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Generation, OpId,
    vocab::{
        control::OperationFinished,
        status::StatusReport,
        update::{
            AppFailed, Drainer, UpdateAborted, UpdateFinished, UpdateProgress, UpdateRolledBack,
            UpdateStarted, UpdateStep,
        },
        worker::{
            ExitStatus, Next, WorkerDraining, WorkerExited, WorkerReady, WorkerRef, WorkerSpawned,
        },
    },
};

use super::held;
use crate::{
    config::units::{exact, rough},
    escape,
};

/// How many workers are named that a kill waits for.
const NAMED: usize = 5;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Reload,
    Scale,
    Stop,
    Start,
    Restart,
    Delete,
    Reset,
    Kill,
}

impl Doing {
    /// The verb, as typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Scale => "scale",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Delete => "delete",
            Self::Reset => "reset",
            Self::Kill => "kill",
        }
    }
}

/// An event that tells how an operation goes.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is looked at at a time and none is stored: a box would only add an allocation"
)]
pub(crate) enum News {
    Spawned(WorkerSpawned),
    Ready(WorkerReady),
    Draining(WorkerDraining),
    Exited(WorkerExited),
    Started(UpdateStarted),
    Progress(UpdateProgress),
    Finished(UpdateFinished),
    Aborted(UpdateAborted),
    RolledBack(UpdateRolledBack),
    Failed(AppFailed),
    /// The end of an operation, perhaps of this one.
    Ended(OperationFinished),
}

/// A line for people, escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Where it is now.
    Step(String),
    /// Worth keeping.
    Milestone(String),
}

/// What is known of an operation so far.
#[derive(Debug)]
pub(crate) struct Progress {
    doing: Doing,
    op: OpId,
    /// The app it concerns; `None` is all, or several.
    app: Option<String>,
    /// The updates that carry it out, by app.
    ours: BTreeMap<String, Generation>,
    /// The updates that go before ours, by app, once told.
    before: BTreeMap<String, Generation>,
    /// The last step of ours, while anyone drains because of it.
    last: Option<UpdateProgress>,
}

impl Progress {
    pub(crate) fn new(doing: Doing, op: OpId, app: Option<String>) -> Self {
        Self {
            doing,
            op,
            app,
            ours: BTreeMap::new(),
            before: BTreeMap::new(),
            last: None,
        }
    }

    /// The last step as it reads after so long, if that has changed: there is less time left for those that drain.
    pub(crate) fn again(&self, after: Duration) -> Option<Line> {
        let last = self.last.as_ref()?;
        Some(step(last, after))
    }

    /// Who a kill still waits for, which tells nothing for as long as kill ladders are; any other operation has its steps.
    pub(crate) fn still(&self, report: &StatusReport) -> Option<Line> {
        if self.doing != Doing::Kill {
            return None;
        }
        let mut there = report.workers.iter().filter_map(|worker| {
            let (app, slot, id) = (escape::line(&worker.app), worker.slot, worker.id?);
            worker.pid.map(|_| format!("{app}.{slot}: worker {id}"))
        });
        let named: Vec<String> = there.by_ref().take(NAMED).collect();
        let what = match (named.is_empty(), there.count()) {
            (true, _) => "the master's own end".to_owned(),
            (false, 0) => named.join(", "),
            (false, more) => format!("{} and {more} more", named.join(", ")),
        };
        Some(Line::Milestone(format!("still waits for {what}")))
    }

    /// What to show for an event; nothing if it concerns others.
    pub(crate) fn see(&mut self, news: &News) -> Option<Line> {
        match self.doing {
            Doing::Reload => self.see_update(news),
            Doing::Scale
            | Doing::Stop
            | Doing::Start
            | Doing::Restart
            | Doing::Delete
            | Doing::Reset
            | Doing::Kill => self.see_workers(news),
        }
    }

    fn concerns(&self, app: &str) -> bool {
        self.app.as_deref().is_none_or(|ours| ours == app)
    }

    fn see_workers(&self, news: &News) -> Option<Line> {
        let worker = |worker: &WorkerRef, what: &str| {
            self.concerns(&worker.app)
                .then(|| Line::Step(format!("{} {what}", name(worker))))
        };
        match news {
            News::Spawned(e) => worker(&e.worker, "started"),
            News::Ready(e) => worker(&e.worker, &readily(e)),
            News::Draining(e) => worker(&e.worker, "finishes what it has"),
            News::Exited(e) if e.voluntary => worker(&e.worker, "has gone"),
            News::Exited(e) => self.crash(e),
            News::Failed(e) => self.gave_up(e),
            News::Aborted(e) => self.concerns(&e.app).then(|| Line::Milestone(aborted(e))),
            News::RolledBack(e) => self
                .concerns(&e.app)
                .then(|| Line::Milestone(rolled_back(e))),
            News::Started(_) | News::Progress(_) | News::Finished(_) | News::Ended(_) => None,
        }
    }

    fn see_update(&mut self, news: &News) -> Option<Line> {
        match news {
            News::Started(e) => self.started(e),
            News::Progress(e) if self.is_ours(&e.app, e.generation) => {
                self.last = (!e.draining.is_empty()).then(|| e.clone());
                Some(step(e, Duration::ZERO))
            }
            News::Progress(e) => self.goes_before(&e.app, e.generation),
            News::Finished(e) => self.is_ours(&e.app, e.generation).then(|| {
                Line::Milestone(format!(
                    "{}: generation {} serves after {}",
                    escape::line(&e.app),
                    e.generation,
                    rough(Duration::from_millis(e.took_ms))
                ))
            }),
            News::Aborted(e) => self
                .is_ours(&e.app, e.generation)
                .then(|| Line::Milestone(aborted(e))),
            News::RolledBack(e) => self
                .is_ours(&e.app, e.generation)
                .then(|| Line::Milestone(rolled_back(e))),
            News::Exited(e) if !e.voluntary => self.crash(e),
            News::Failed(e) => self.gave_up(e),
            News::Spawned(_)
            | News::Ready(_)
            | News::Draining(_)
            | News::Exited(_)
            | News::Ended(_) => None,
        }
    }

    fn is_ours(&self, app: &str, generation: Generation) -> bool {
        self.ours.get(app) == Some(&generation)
    }

    fn started(&mut self, update: &UpdateStarted) -> Option<Line> {
        if !update.ops.contains(&self.op) {
            return self.goes_before(&update.app, update.generation);
        }
        self.ours.insert(update.app.clone(), update.generation);
        Some(Line::Milestone(format!(
            "{}: generation {} replaces {}: {}",
            escape::line(&update.app),
            update.generation,
            workers(update.total),
            escape::line(&update.reason)
        )))
    }

    /// Another update of an app whose turn hasn't come: told once.
    fn goes_before(&mut self, app: &str, generation: Generation) -> Option<Line> {
        let waits = self.concerns(app) && !self.ours.contains_key(app);
        if !waits || self.before.insert(app.to_owned(), generation) == Some(generation) {
            return None;
        }
        Some(Line::Milestone(format!(
            "{}: the update to generation {generation} goes first",
            escape::line(app)
        )))
    }

    fn crash(&self, exit: &WorkerExited) -> Option<Line> {
        let how = match &exit.status {
            ExitStatus::Code(code) => format!("exited with code {code}"),
            ExitStatus::Signal(signal) => format!("was ended by {signal}"),
            ExitStatus::Unknown => "is gone, how is not known".to_owned(),
            ExitStatus::NotStarted(error) => format!("could not be started: {error}"),
        };
        let when = match exit.was_ready || exit.next == (Next::Ended { well: true }) {
            true => "",
            false => ", before it was ready",
        };
        self.concerns(&exit.worker.app).then(|| {
            Line::Milestone(format!(
                "{} {} after {}{when}",
                name(&exit.worker),
                escape::line(&how),
                rough(Duration::from_millis(exit.uptime_ms))
            ))
        })
    }

    fn gave_up(&self, failed: &AppFailed) -> Option<Line> {
        self.concerns(&failed.app).then(|| {
            Line::Milestone(format!(
                "{}.{} {}",
                escape::line(&failed.app),
                failed.slot,
                escape::line(&failed.reason)
            ))
        })
    }
}

/// "web.0: worker 5".
fn name(worker: &WorkerRef) -> String {
    format!(
        "{}.{}: worker {}",
        escape::line(&worker.app),
        worker.slot,
        worker.id
    )
}

fn workers(count: u32) -> String {
    match count {
        1 => "1 worker".to_owned(),
        count => format!("{count} workers"),
    }
}

fn readily(ready: &WorkerReady) -> String {
    let after = rough(Duration::from_millis(ready.after_ms));
    match ready.assumed {
        true => format!("lives, and is taken to be ready after {after}"),
        false => format!("is ready after {after}"),
    }
}

/// A step, so long after it was told.
fn step(progress: &UpdateProgress, after: Duration) -> Line {
    let what = match progress.step {
        UpdateStep::Stopping => "goes first",
        UpdateStep::Draining => "finishes what it has",
        UpdateStep::Starting => "starts",
        UpdateStep::Watching => "is ready, and watched for a while",
        UpdateStep::Replaced => "has taken over",
        UpdateStep::Drained => "has gone",
    };
    let done = match progress.rollback {
        true => "rolled back",
        false => "replaced",
    };
    let drainers = progress.draining.iter().map(|one| drainer(one, after));
    let drainers: String = drainers.map(|text| format!("; {text}")).collect();
    Line::Step(format!(
        "{}.{}: worker {} {what} ({} of {} {done}){drainers}",
        escape::line(&progress.app),
        progress.slot,
        progress.worker,
        progress.done,
        progress.total
    ))
}

/// "worker 3 drains, 2 connections, 1 request held, 28s left".
fn drainer(drainer: &Drainer, after: Duration) -> String {
    let mut text = format!("worker {} drains", drainer.worker);
    if let Some(held) = drainer.held {
        let held = held::held(held, drainer.held_requests);
        text.push_str(&format!(", {held} held"));
    }
    if let Some(left) = drainer.left_ms {
        let left = Duration::from_millis(left).saturating_sub(after);
        text.push_str(&format!(
            ", {} left",
            exact(Duration::from_secs(left.as_secs()))
        ));
    }
    text
}

fn aborted(update: &UpdateAborted) -> String {
    let then = match update.rolling_back {
        0 => String::new(),
        slots => format!(", {} going back", workers(slots)),
    };
    format!(
        "{}: the update to generation {} was given up; {} replaced{then}",
        escape::line(&update.app),
        update.generation,
        workers(update.replaced)
    )
}

fn rolled_back(update: &UpdateRolledBack) -> String {
    let (app, slots) = (escape::line(&update.app), workers(update.slots));
    let after = rough(Duration::from_millis(update.took_ms));
    match &update.failed {
        None => format!(
            "{app}: {slots} back from generation {} after {after}",
            update.generation
        ),
        Some(why) => format!(
            "{app}: the rollback from generation {} failed, {slots} back: {}",
            update.generation,
            escape::line(why)
        ),
    }
}

#[cfg(test)]
mod tests;
