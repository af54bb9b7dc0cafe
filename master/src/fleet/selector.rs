//! Which apps, slots and workers a command means: one way of saying it for all commands.
//!
//! | word | what it means |
//! |---|---|
//! | `web` | the app of this name |
//! | `web:2` | its slot 2 |
//! | `17` | the slot of the worker with this id (an app named `17` goes before it) |
//! | `shop` | every app of this namespace (an app named `shop` goes before it) |
//! | `shop/web`, `shop/*` | an app within a namespace |
//! | `web-*`, `w?b` | every app whose name matches; with a `/`, whose namespace does too |
//! | `all` | every app |
//!
//! Several words stand side by side, parted by commas or blanks.

use std::collections::{BTreeMap, BTreeSet};

use glob::Pattern;
use ostler_bus::{Slot as SlotNumber, WorkerId};

use super::{Fleet, app::App, commands::Refusal};
use crate::config::{app::AppName, suggest};

/// The longest word, in bytes: a pattern for a namespace and a name of 64 each, and room to spare. What is longer names nobody,
/// and would only be work.
const LONGEST_WORD: usize = 256;

type Apps = BTreeMap<AppName, App>;

/// How much of an app is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All of it.
    Whole,
    /// These slots of its.
    Slots(BTreeSet<SlotNumber>),
}

/// What a command is about, by app.
pub(super) type Chosen = BTreeMap<AppName, Scope>;

/// What one word means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Meant {
    App(AppName),
    Slot(AppName, SlotNumber),
    Worker(AppName, WorkerId),
}

/// The apps and slots that a selector means to command; `None` is every app. What is on its way out is nobody's to command.
pub(super) fn choose(fleet: &Fleet, selector: Option<&str>) -> Result<Chosen, Refusal> {
    let apps = &fleet.apps;
    let places = commanded(apps, selector)?
        .into_iter()
        .map(|meant| match meant {
            Meant::App(name) => Ok((name, None)),
            Meant::Slot(name, slot) if apps.get(&name).is_none_or(|app| slot.0 >= app.size) => {
                Err(no_slot(apps, &name, &slot.to_string()))
            }
            Meant::Slot(name, slot) => Ok((name, Some(slot))),
            Meant::Worker(name, id) => {
                let slot = held_slot(apps, &name, id)?;
                Ok((name, Some(slot)))
            }
        });
    places.collect::<Result<Vec<_>, _>>().map(together)
}

/// The same to look at, what is on its way out too if it is named.
pub(super) fn look(fleet: &Fleet, selector: &str) -> Result<Chosen, Refusal> {
    let apps = &fleet.apps;
    let places = meant(apps, Some(selector))?
        .into_iter()
        .map(|meant| match meant {
            Meant::App(name) => (name, None),
            Meant::Slot(name, slot) => (name, Some(slot)),
            Meant::Worker(name, id) => {
                let slot = slot_of_worker(apps, &name, id);
                (name, Some(slot))
            }
        });
    Ok(together(places.collect()))
}

/// Each app once, with all of it that was said.
fn together(places: Vec<(AppName, Option<SlotNumber>)>) -> Chosen {
    let mut chosen = Chosen::new();
    for (name, slot) in places {
        let scope = chosen
            .entry(name)
            .or_insert_with(|| Scope::Slots(BTreeSet::new()));
        match (slot, &mut *scope) {
            (None, _) => *scope = Scope::Whole,
            (Some(slot), Scope::Slots(slots)) => {
                slots.insert(slot);
            }
            (Some(_), Scope::Whole) => {}
        }
    }
    chosen
}

/// The same for what can only be done to whole apps.
pub(super) fn choose_apps(
    fleet: &Fleet,
    selector: Option<&str>,
    otherwise: &str,
) -> Result<Vec<AppName>, Refusal> {
    let whole = |(name, scope)| match scope {
        Scope::Whole => Ok(name),
        Scope::Slots(_) => Err(Refusal::invalid(otherwise)),
    };
    choose(fleet, selector)?.into_iter().map(whole).collect()
}

impl Fleet {
    /// The workers that a selector means, those on their way out among them; `None` is every one.
    ///
    /// # Errors
    /// What kind of refusal, and why.
    pub fn workers(
        &self,
        selector: Option<&str>,
    ) -> Result<BTreeSet<WorkerId>, (ostler_bus::vocab::control::RefusalKind, String)> {
        let mut workers = BTreeSet::new();
        for meant in commanded(&self.apps, selector).map_err(Refusal::into_parts)? {
            let (name, slot) = match meant {
                Meant::App(name) => (name, None),
                Meant::Slot(name, slot) => (name, Some(slot)),
                Meant::Worker(_, id) => {
                    workers.insert(id);
                    continue;
                }
            };
            let all = self.apps.get(&name).into_iter();
            let all = all.flat_map(|app| app.workers.values());
            let meant = all.filter(|worker| slot.is_none_or(|slot| worker.slot == slot));
            workers.extend(meant.map(|worker| worker.id));
        }
        Ok(workers)
    }
}

/// What a selector means, unless it is an app on its way out.
fn commanded(apps: &Apps, selector: Option<&str>) -> Result<Vec<Meant>, Refusal> {
    let all = meant(apps, selector)?;
    let going = all.iter().find_map(|meant| match meant {
        Meant::App(name) | Meant::Slot(name, _) => apps.get(name).filter(|app| app.going),
        Meant::Worker(..) => None,
    });
    match going {
        None => Ok(all),
        Some(app) => Err(Refusal::busy(format!(
            "{} is being deleted: {} of its workers still finish what they have",
            app.name,
            app.workers.len()
        ))),
    }
}

fn meant(apps: &Apps, selector: Option<&str>) -> Result<Vec<Meant>, Refusal> {
    let stay = || apps.iter().filter(|(_, app)| !app.going);
    let Some(selector) = selector else {
        let all: Vec<Meant> = stay().map(|(name, _)| Meant::App(name.clone())).collect();
        return match all.is_empty() {
            true => Err(Refusal::unknown(
                "there are no apps: `start FILE` or `start -- COMMAND` adds some, `reload --config` takes up those of the process file",
            )),
            false => Ok(all),
        };
    };
    let words = selector.split([',', ' ']).filter(|word| !word.is_empty());
    let mut all = Vec::new();
    for word in words {
        all.extend(one(apps, word)?);
    }
    match all.is_empty() {
        true => Err(unknown(apps, selector)),
        false => Ok(all),
    }
}

fn one(apps: &Apps, word: &str) -> Result<Vec<Meant>, Refusal> {
    if word == "all" {
        return meant(apps, None);
    }
    if word.len() > LONGEST_WORD {
        return Err(Refusal::unknown(format!(
            "there is no app of a name of {} bytes; write at most {LONGEST_WORD}",
            word.len()
        )));
    }
    if let Some(app) = named(apps, word) {
        return Ok(vec![Meant::App(app)]);
    }
    if let Some((app, slot)) = word.split_once(':') {
        return slot_of(apps, app, slot).map(|slot| vec![slot]);
    }
    if let Ok(id) = word.parse().map(WorkerId) {
        let mut apps_of_it = apps.iter();
        let holder = apps_of_it.find(|(_, app)| app.workers.contains_key(&id));
        let (name, _) = holder.ok_or_else(|| unknown(apps, word))?;
        return Ok(vec![Meant::Worker(name.clone(), id)]);
    }
    let pattern = Pattern::new(word).map_err(|_| unknown(apps, word))?;
    let matches = |(name, app): &(&AppName, &App)| {
        let namespace = app.definition.namespace.as_ref().map(AppName::as_str);
        match (namespace, word.contains('/')) {
            (Some(namespace), true) => pattern.matches(&format!("{namespace}/{name}")),
            (None, true) => false,
            (namespace, false) => namespace == Some(word) || pattern.matches(name.as_str()),
        }
    };
    let stay = apps.iter().filter(|(_, app)| !app.going);
    let found: Vec<Meant> = stay
        .filter(matches)
        .map(|(name, _)| Meant::App(name.clone()))
        .collect();
    match found.is_empty() {
        true => Err(unknown(apps, word)),
        false => Ok(found),
    }
}

fn named(apps: &Apps, name: &str) -> Option<AppName> {
    let name = AppName::new(name).ok()?;
    apps.contains_key(&name).then_some(name)
}

/// A slot that an app has, or that a worker of it still has.
fn slot_of(apps: &Apps, name: &str, slot: &str) -> Result<Meant, Refusal> {
    let name = named(apps, name).ok_or_else(|| unknown(apps, name))?;
    let has = |slot: &SlotNumber| {
        let held = |app: &App| app.workers.values().any(|worker| worker.slot == *slot);
        apps.get(&name)
            .is_some_and(|app| slot.0 < app.size || held(app))
    };
    match slot.parse().ok().map(SlotNumber).filter(has) {
        Some(slot) => Ok(Meant::Slot(name, slot)),
        None => Err(no_slot(apps, &name, slot)),
    }
}

fn no_slot(apps: &Apps, name: &AppName, slot: &str) -> Refusal {
    let known = match apps.get(name).map_or(0, |app| app.size) {
        0 => format!("{name} has no slots: it has 0 instances"),
        1 => format!("{name} has slot 0 alone"),
        size => format!("{name} has slots 0 to {}", size - 1),
    };
    Refusal::unknown(format!("there is no slot {slot:?}: {known}"))
}

/// The slot that this worker holds.
fn held_slot(apps: &Apps, name: &AppName, id: WorkerId) -> Result<SlotNumber, Refusal> {
    let slot = slot_of_worker(apps, name, id);
    let holder = apps.get(name).and_then(|app| app.holder(slot));
    match holder {
        Some(holder) if holder.id == id => Ok(slot),
        Some(_) | None => Err(Refusal::busy(format!(
            "worker {id} does not hold its slot: an update goes on, or it is on its way out; the slot is {name}:{slot}"
        ))),
    }
}

fn slot_of_worker(apps: &Apps, name: &AppName, id: WorkerId) -> SlotNumber {
    let worker = apps.get(name).and_then(|app| app.workers.get(&id));
    worker.map_or(SlotNumber(0), |worker| worker.slot)
}

fn unknown(apps: &Apps, word: &str) -> Refusal {
    let stay = || apps.iter().filter(|(_, app)| !app.going);
    let names = stay().map(|(name, _)| name.as_str());
    let namespaces = stay().filter_map(|(_, app)| app.definition.namespace.as_ref());
    let namespaces: BTreeSet<&str> = namespaces.map(AppName::as_str).collect();
    let known: Vec<&str> = names.chain(namespaces).collect();
    let what = match word.bytes().all(|b| b.is_ascii_digit()) {
        true => "no app and no worker",
        false => "no app",
    };
    let near = suggest::closest(word, known.iter().copied().chain(["all"]))
        .map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
    let known = match known.as_slice() {
        [] => "there are none".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    Refusal::unknown(format!("there is {what} {word:?}{near}; {known}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::fleet::testing::{Stage, definition};

    #[test]
    fn a_word_made_to_be_hard_is_no_work() {
        let stage = Stage::of_all(vec![definition(&"a".repeat(64), 1)]);
        let begun = Instant::now();
        for word in [
            "*a".repeat(127) + "b",
            "*".repeat(255) + "b",
            "a*".repeat(50_000),
            "[a".repeat(50_000),
        ] {
            let (_, why) = choose(&stage.fleet, Some(&word)).unwrap_err().into_parts();
            assert!(why.len() < 1000, "{why}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
