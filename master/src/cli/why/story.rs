//! The lives of workers, put together from what was written down as it happened.

use std::collections::HashMap;

use ostler_bus::{
    Event as _, WorkerId,
    vocab::{
        commands::WorkerReleased,
        update::{
            AppFailed, AppResized, UpdateAborted, UpdateFinished, UpdateRolledBack, UpdateStarted,
            UpdateSuspended,
        },
        worker::{WorkerDraining, WorkerExited, WorkerHook, WorkerReady, WorkerRef, WorkerSpawned},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    chronicle::{self, Record},
    config::app::hooks::HookKind,
};

/// A part of a story.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(
    clippy::large_enum_variant,
    reason = "most are workers, and there are some thousands at most"
)]
pub(super) enum Part {
    /// The life of a worker.
    Worker(Life),
    /// Something about an app as a whole.
    App(AppNews),
    /// A master's beginning or end.
    Master(MasterNews),
}

/// The life of a worker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Life {
    /// The master's life in which it was.
    pub(super) run: u64,
    #[serde(flatten)]
    pub(super) worker: WorkerRef,
    /// What it was started for.
    pub(super) trigger: Option<String>,
    pub(super) spawned_ms: Option<u64>,
    pub(super) ready: Option<Ready>,
    pub(super) leaving: Option<Leaving>,
    /// The commands beside it that failed, and life went on.
    pub(super) failed_hooks: Vec<FailedHook>,
    pub(super) exited: Option<Exited>,
    /// When it was let go of.
    pub(super) released_ms: Option<u64>,
    pub(super) now: Now,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FailedHook {
    pub(super) time_ms: u64,
    pub(super) hook: String,
    pub(super) error: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Ready {
    pub(super) time_ms: u64,
    pub(super) after_ms: u64,
    pub(super) assumed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Leaving {
    pub(super) time_ms: u64,
    pub(super) reason: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Exited {
    pub(super) time_ms: u64,
    pub(super) event: WorkerExited,
}

/// Where a worker is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Now {
    /// It runs.
    Running,
    /// It has ended.
    Ended,
    /// It was let go of, and nobody looks after it.
    Released,
    /// Its master was gone before it ended, or before that was written down.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct AppNews {
    pub(super) run: u64,
    pub(super) time_ms: u64,
    pub(super) app: String,
    #[serde(flatten)]
    pub(super) what: What,
}

/// What happened to an app as a whole.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "topic", content = "event")]
pub(super) enum What {
    #[serde(rename = "update.started")]
    Started(UpdateStarted),
    #[serde(rename = "update.finished")]
    Finished(UpdateFinished),
    #[serde(rename = "update.aborted")]
    Aborted(UpdateAborted),
    #[serde(rename = "update.rolled_back")]
    RolledBack(UpdateRolledBack),
    #[serde(rename = "update.suspended")]
    Suspended(UpdateSuspended),
    #[serde(rename = "app.resized")]
    Resized(AppResized),
    #[serde(rename = "app.failed")]
    Failed(AppFailed),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct MasterNews {
    pub(super) run: u64,
    pub(super) time_ms: u64,
    pub(super) topic: &'static str,
    pub(super) event: Value,
}

impl Part {
    /// When it last moved.
    pub(super) fn last_ms(&self) -> u64 {
        match self {
            Self::Worker(life) => life.last_ms(),
            Self::App(news) => news.time_ms,
            Self::Master(news) => news.time_ms,
        }
    }

    /// The same with so many of the last lines alone.
    pub(super) fn with_last_lines(&self, most: usize) -> Self {
        let mut part = self.clone();
        if let Self::Worker(Life {
            exited: Some(exited),
            ..
        }) = &mut part
        {
            let tail = &mut exited.event.stderr_tail;
            tail.drain(..tail.len().saturating_sub(most));
        }
        part
    }
}

impl Life {
    /// When it began, as far as is known.
    pub(super) fn first_ms(&self) -> u64 {
        let times = [
            self.spawned_ms,
            self.ready.as_ref().map(|ready| ready.time_ms),
            self.leaving.as_ref().map(|leaving| leaving.time_ms),
            self.exited.as_ref().map(|exited| exited.time_ms),
        ];
        times.into_iter().flatten().min().unwrap_or_default()
    }

    fn last_ms(&self) -> u64 {
        match (&self.exited, self.now) {
            (Some(exited), _) => exited.time_ms,
            (None, Now::Running) => u64::MAX,
            (None, Now::Ended | Now::Released | Now::Unknown) => {
                let leaving = self.leaving.as_ref().map(|leaving| leaving.time_ms);
                let last = self.released_ms.or(leaving);
                last.unwrap_or_else(|| self.first_ms())
            }
        }
    }
}

/// The whole story, in the order in which its parts began. `alive` is the pid of the master, if it runs.
pub(super) fn tell(records: &[Record], alive: Option<u32>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut lives: HashMap<(u64, WorkerId), usize> = HashMap::new();
    for record in records {
        if let Some(step) = Step::of(record) {
            let reference = step.worker();
            let at = *lives.entry((record.run, reference.id)).or_insert_with(|| {
                parts.push(Part::Worker(Life::of(record.run, reference.clone())));
                parts.len() - 1
            });
            if let Part::Worker(life) = &mut parts[at] {
                life.take(record.time_ms, step);
            }
        } else if let Some(what) = What::of(record) {
            parts.push(Part::App(AppNews {
                run: record.run,
                time_ms: record.time_ms,
                app: what.app().to_owned(),
                what,
            }));
        } else if let Some(topic) = master_topic(record) {
            parts.push(Part::Master(MasterNews {
                run: record.run,
                time_ms: record.time_ms,
                topic,
                event: record.event.clone(),
            }));
        }
    }
    let running = running(records, alive);
    for part in &mut parts {
        if let Part::Worker(life) = part {
            life.now = match &life.exited {
                Some(_) => Now::Ended,
                None if life.released_ms.is_some() => Now::Released,
                None if running == Some(life.run) => Now::Running,
                None => Now::Unknown,
            };
        }
    }
    parts
}

/// The life of the master that runs now, if the chronicle is of that.
fn running(records: &[Record], alive: Option<u32>) -> Option<u64> {
    let last = records.last()?;
    let began = |record: &&Record| record.topic == chronicle::STARTED;
    let ended = last.topic == chronicle::ENDED;
    // The beginning of one that has run for long may have been put aside.
    let same = records
        .iter()
        .rfind(began)
        .is_none_or(|record| record.event["pid"].as_u64() == alive.map(u64::from));
    (alive.is_some() && same && !ended).then_some(last.run)
}

fn master_topic(record: &Record) -> Option<&'static str> {
    [chronicle::STARTED, chronicle::ENDED, chronicle::LOST]
        .into_iter()
        .find(|topic| record.topic == *topic)
}

/// A step of a worker's life.
enum Step {
    Spawned(WorkerSpawned),
    Ready(WorkerReady),
    Draining(WorkerDraining),
    Hook(WorkerHook),
    Exited(WorkerExited),
    Released(WorkerReleased),
}

impl Step {
    fn of(record: &Record) -> Option<Self> {
        match record.topic.as_str() {
            WorkerSpawned::TOPIC => read(record).map(Self::Spawned),
            WorkerReady::TOPIC => read(record).map(Self::Ready),
            WorkerDraining::TOPIC => read(record).map(Self::Draining),
            WorkerHook::TOPIC => read(record).map(Self::Hook),
            WorkerExited::TOPIC => read(record).map(Self::Exited),
            WorkerReleased::TOPIC => read(record).map(Self::Released),
            _ => None,
        }
    }

    fn worker(&self) -> &WorkerRef {
        match self {
            Self::Spawned(event) => &event.worker,
            Self::Ready(event) => &event.worker,
            Self::Draining(event) => &event.worker,
            Self::Hook(event) => &event.worker,
            Self::Exited(event) => &event.worker,
            Self::Released(event) => &event.worker,
        }
    }
}

impl Life {
    fn of(run: u64, worker: WorkerRef) -> Self {
        Self {
            run,
            worker,
            trigger: None,
            spawned_ms: None,
            ready: None,
            leaving: None,
            failed_hooks: Vec::new(),
            exited: None,
            released_ms: None,
            now: Now::Unknown,
        }
    }

    fn take(&mut self, time_ms: u64, step: Step) {
        self.worker.pid = step.worker().pid.or(self.worker.pid);
        match step {
            Step::Spawned(event) => {
                self.spawned_ms = Some(time_ms);
                self.trigger = Some(event.trigger);
            }
            Step::Ready(event) => {
                self.ready = Some(Ready {
                    time_ms,
                    after_ms: event.after_ms,
                    assumed: event.assumed,
                });
            }
            Step::Draining(event) => {
                self.leaving = Some(Leaving {
                    time_ms,
                    reason: event.reason,
                });
            }
            // A `before_start` that fails is told as the start that failed.
            Step::Hook(event) if event.hook == HookKind::BeforeStart.name() => {}
            Step::Hook(WorkerHook { hook, error, .. }) => {
                let failed = |error| FailedHook {
                    time_ms,
                    hook,
                    error,
                };
                self.failed_hooks.extend(error.map(failed));
            }
            Step::Released(_) => self.released_ms = Some(time_ms),
            Step::Exited(event) => {
                self.trigger.get_or_insert_with(|| event.trigger.clone());
                self.exited = Some(Exited { time_ms, event });
            }
        }
    }
}

impl What {
    fn of(record: &Record) -> Option<Self> {
        match record.topic.as_str() {
            UpdateStarted::TOPIC => read(record).map(Self::Started),
            UpdateFinished::TOPIC => read(record).map(Self::Finished),
            UpdateAborted::TOPIC => read(record).map(Self::Aborted),
            UpdateRolledBack::TOPIC => read(record).map(Self::RolledBack),
            UpdateSuspended::TOPIC => read(record).map(Self::Suspended),
            AppResized::TOPIC => read(record).map(Self::Resized),
            AppFailed::TOPIC => read(record).map(Self::Failed),
            _ => None,
        }
    }

    fn app(&self) -> &str {
        match self {
            Self::Started(event) => &event.app,
            Self::Finished(event) => &event.app,
            Self::Aborted(event) => &event.app,
            Self::RolledBack(event) => &event.app,
            Self::Suspended(event) => &event.app,
            Self::Resized(event) => &event.app,
            Self::Failed(event) => &event.app,
        }
    }
}

/// An event as this version knows it; what another wrote differently is passed over.
fn read<E: DeserializeOwned>(record: &Record) -> Option<E> {
    serde_json::from_value(record.event.clone()).ok()
}
