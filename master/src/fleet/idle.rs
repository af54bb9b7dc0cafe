//! When nothing is left to run: a master that was told to ends then, as a container should whose work is done.
//!
//! Nothing is left when every app has ended by itself, or waits for one that has failed for good. What somebody has
//! stopped, scaled to nothing or not started yet holds the master, as they may mean to start it again; what was never meant
//! to run by itself (`autostart = false`, `instances = 0`) doesn't.

use std::collections::BTreeMap;

use super::{
    Action, Ending, Fleet,
    app::App,
    order::Rise,
    slot::{Slot, SlotState},
    start_stop,
    turn::Turn,
};
use crate::config::app::AppName;

/// How an app stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It runs, or may run again.
    Runs,
    /// It was never meant to run by itself.
    Rests,
    /// All it had to do is done.
    Well,
    /// It has ended, and not well.
    Badly,
}

/// Ends the master if nothing is left to run.
pub(super) fn end_if_idle(fleet: &mut Fleet, turn: &mut Turn) {
    if !fleet.leaves || fleet.ending.is_some() {
        return;
    }
    let Some(code) = verdict(&fleet.apps) else {
        return;
    };
    let how = match code {
        0 => "all apps have done what they had to do",
        _ => "what is not done can't be: see above",
    };
    turn.act(Action::Say(format!(
        "nothing is left to run, the master ends (--stay keeps it): {how}"
    )));
    fleet.ending = Some(Ending {
        code: Some(code),
        ..Ending::default()
    });
    for app in fleet.apps.values_mut() {
        start_stop::want_nothing(app, "the end of the master", turn);
    }
}

/// The exit code, if nothing is left to run.
fn verdict(apps: &BTreeMap<AppName, App>) -> Option<u8> {
    if apps.values().any(|app| !app.is_empty()) {
        return None;
    }
    let mut standings: BTreeMap<&AppName, Standing> = apps
        .iter()
        .map(|(name, app)| (name, standing(app)))
        .collect();
    // Who waits for one that has ended badly waits for ever; and so does who waits for them.
    while let Some(name) = apps
        .iter()
        .find(|(name, app)| standings[name] == Standing::Runs && in_vain(app, &standings))
        .map(|(name, _)| name)
    {
        standings.insert(name, Standing::Badly);
    }
    let has = |wanted: Standing| standings.values().any(|standing| *standing == wanted);
    match (
        has(Standing::Runs),
        has(Standing::Badly),
        has(Standing::Well),
    ) {
        (true, _, _) | (false, false, false) => None,
        (false, true, _) => Some(1),
        (false, false, true) => Some(0),
    }
}

fn standing(app: &App) -> Standing {
    let never = match app.wanted {
        true => app.size == 0 && app.definition.instances == 0,
        false => !app.definition.start.autostart,
    };
    if never && !app.going {
        return Standing::Rests;
    }
    let busy = !app.is_meant_to_run()
        || !app.parked.is_empty()
        || app.update.is_some()
        || app.pending.is_some()
        || app.slots.len() < app.size as usize;
    if busy {
        return Standing::Runs;
    }
    let mut standing = Standing::Well;
    for slot in app.slots.values() {
        match of_slot(slot) {
            Standing::Runs | Standing::Rests => return Standing::Runs,
            Standing::Badly => standing = Standing::Badly,
            Standing::Well => {}
        }
    }
    standing
}

fn of_slot(slot: &Slot) -> Standing {
    let watched = slot.definition.auto_reload.is_some();
    let definition = &slot.definition;
    // What ends by itself begins again at its hour, however it ended.
    let comes_again = definition.recycle.cron.is_some() && definition.life.oneshot;
    match slot.state {
        SlotState::Ended { .. } | SlotState::Failed { .. } if comes_again => Standing::Runs,
        SlotState::Ended { well: true } => Standing::Well,
        // Whoever mends the program brings it up again.
        SlotState::Ended { well: false } | SlotState::Failed { until: None } if watched => {
            Standing::Runs
        }
        SlotState::Ended { well: false } | SlotState::Failed { until: None } => Standing::Badly,
        SlotState::Vacant
        | SlotState::Held(_)
        | SlotState::Backoff { .. }
        | SlotState::Failed { until: Some(_) }
        | SlotState::Stopped => Standing::Runs,
    }
}

/// Whether it has not begun, and waits for one that will never be ready.
fn in_vain(app: &App, standings: &BTreeMap<&AppName, Standing>) -> bool {
    let held = matches!(app.rise, Rise::Held { .. }) && !app.wants_none();
    let mut needed = app.definition.start.depends_on.iter();
    held && needed.any(|name| standings.get(name) == Some(&Standing::Badly))
}
