//! The part of a story that was asked for.

use std::collections::BTreeSet;

use ostler_bus::WorkerId;

use super::story::{AppNews, Part, What};
use crate::cli::values::Target;

/// Whose story is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Everybody's.
    All,
    /// An app's, or a slot's.
    App { app: String, slot: Option<u32> },
    /// That of a worker in this life of the master.
    Worker { run: u64, id: WorkerId },
}

impl Asked {
    /// What a target means in this story; else why it means nothing. A number is a worker's id, unless an app is called so.
    pub(super) fn of(target: Option<&Target>, story: &[Part]) -> Result<Self, String> {
        let Some(target) = target else {
            return Ok(Self::All);
        };
        let apps: BTreeSet<&str> = story.iter().filter_map(app_of).collect();
        let app = target.app.as_str();
        if apps.contains(app) {
            return Self::of_app(app, target.slot, story);
        }
        if let (Ok(id), None) = (app.parse::<u64>(), target.slot) {
            // Of several lives of masters the last that had such a worker.
            let run = story.iter().rev().find_map(|part| match part {
                Part::Worker(life) if life.worker.id.0 == id => Some(life.run),
                Part::Worker(_) | Part::App(_) | Part::Master(_) => None,
            });
            let id = WorkerId(id);
            return match run {
                Some(run) => Ok(Self::Worker { run, id }),
                None => Err(format!("has told nothing of a worker {id}")),
            };
        }
        let known: Vec<&str> = apps.into_iter().collect();
        Err(match known.as_slice() {
            [] => format!("has told nothing of an app {app:?}, or of any other"),
            known => format!(
                "has told nothing of an app {app:?}, only of {}",
                known.join(", ")
            ),
        })
    }

    fn of_app(app: &str, slot: Option<u32>, story: &[Part]) -> Result<Self, String> {
        let slots: BTreeSet<u32> = story.iter().filter_map(|part| slot_of(part, app)).collect();
        match slot.filter(|slot| !slots.contains(slot)) {
            None => Ok(Self::App {
                app: app.to_owned(),
                slot,
            }),
            Some(slot) => {
                let slots: Vec<String> = slots.iter().map(u32::to_string).collect();
                Err(match slots.as_slice() {
                    [] => format!("has told nothing of a slot of {app:?}"),
                    slots => format!(
                        "has told nothing of a slot {slot} of {app:?}, only of {}",
                        slots.join(", ")
                    ),
                })
            }
        }
    }

    fn wants(&self, part: &Part) -> bool {
        match (self, part) {
            (Self::Worker { run, id }, Part::Worker(life)) => {
                (life.run, life.worker.id) == (*run, *id)
            }
            (Self::App { app, slot }, Part::Worker(life)) => {
                life.worker.app == *app && slot.is_none_or(|slot| life.worker.slot.0 == slot)
            }
            (Self::App { app, slot }, Part::App(news)) => {
                let elsewhere = matches!((&news.what, slot),
                    (What::Failed(failed), Some(slot)) if failed.slot.0 != *slot);
                news.app == *app && !elsewhere
            }
            (Self::Worker { .. }, Part::App(_) | Part::Master(_)) => false,
            (Self::App { .. }, Part::Master(_))
            | (Self::All, Part::Worker(_) | Part::App(_) | Part::Master(_)) => true,
        }
    }
}

fn app_of(part: &Part) -> Option<&str> {
    match part {
        Part::Worker(life) => Some(&life.worker.app),
        Part::App(news) => Some(&news.app),
        Part::Master(_) => None,
    }
}

/// The slot that is spoken of, if it is one of this app.
fn slot_of(part: &Part, app: &str) -> Option<u32> {
    let (of, slot) = match part {
        Part::Worker(life) => (&life.worker.app, life.worker.slot),
        Part::App(AppNews {
            app,
            what: What::Failed(failed),
            ..
        }) => (app, failed.slot),
        Part::App(_) | Part::Master(_) => return None,
    };
    (of == app).then_some(slot.0)
}

/// The wanted parts that have moved since, with so many workers at most: the last ones; and how many there were before.
pub(super) fn pick(
    story: Vec<Part>,
    asked: &Asked,
    since_ms: Option<u64>,
    most: u32,
) -> (Vec<Part>, usize) {
    let recent = |part: &Part| since_ms.is_none_or(|since| part.last_ms() >= since);
    let mut parts: Vec<Part> = story
        .into_iter()
        .filter(|part| asked.wants(part) && recent(part))
        .collect();
    let is_worker = |part: &Part| matches!(part, Part::Worker(_));
    let workers = parts.iter().filter(|part| is_worker(part)).count();
    let earlier = workers.saturating_sub(most as usize);
    let mut before = earlier;
    let first = parts.iter().position(|part| {
        let reached = before == 0;
        before = before.saturating_sub(usize::from(is_worker(part)));
        reached
    });
    if earlier > 0 {
        parts.drain(..first.unwrap_or(parts.len()));
    }
    (parts, earlier)
}
