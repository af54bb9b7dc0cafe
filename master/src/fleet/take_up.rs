//! A process file that says something else than before: what that changes, and doing it.
//!
//! | the file | the fleet |
//! |---|---|
//! | says of an app what it said before | leaves it alone, workers and all |
//! | says another size, and nothing else | resizes it |
//! | says something else | rolls it, by an ordinary update |
//! | has a new app | starts it, in its turn |
//! | has an app no more | stops it, and forgets it once its last worker has gone, unless it came by command |
//!
//! What an app *was* is what its workers are: an update that was given up leaves a difference, and taking the file up again
//! tries again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ostler_bus::{Generation, OpId, Slot as SlotNumber, vocab::control::Outcome};

use super::{
    Action, Fleet, RequestToken,
    app::App,
    commands::{self, Refusal},
    goal::{Errand, Goal, Wait},
    guard::Asker,
    operations::pay,
    pending,
    slot::{Slot, SlotState},
    start_stop,
    turn::Turn,
    update::{self, Update},
};
use crate::config::app::{AppDefinition, AppName, SocketDeclaration, overlay::Inherited};

/// What a file changes about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Same,
    /// It comes, with so many workers.
    Added(u32),
    /// It goes, with so many workers.
    Removed(u32),
    /// Its size alone.
    Resized {
        /// How many workers it should have now.
        from: u32,
        /// How many then.
        to: u32,
    },
    /// What its workers are: these keys differ, in the order of the alphabet.
    Changed(Vec<&'static str>),
}

/// Why the operation was asked for, in words.
const WHY: &str = "the process file was read again";

impl Fleet {
    /// What these definitions, all there are to be, would change; by name.
    #[must_use]
    pub fn plan(&self, apps: &[AppDefinition]) -> Vec<(AppName, Change)> {
        let there = |name: &AppName| self.apps.get(name).filter(|app| !app.going);
        let mut changes: Vec<(AppName, Change)> = apps
            .iter()
            .map(|next| {
                let added = || Change::Added(next.instances);
                let change = there(&next.name).map_or_else(added, |app| change(app, next));
                (next.name.clone(), change)
            })
            .collect();
        let stays = |name: &AppName| apps.iter().any(|next| next.name == *name);
        let gone = self.apps.keys().filter(|name| !stays(name));
        let gone = gone.filter_map(there).filter(|app| !app.added);
        changes.extend(gone.map(|app| (app.name.clone(), Change::Removed(app.size))));
        changes.sort_by(|a, b| a.0.cmp(&b.0));
        changes
    }

    /// What the workers of apps inherit to which a reload has brought something, instead of the master's own environment.
    #[must_use]
    pub fn inherited(&self) -> Inherited {
        let apps = self.apps.iter();
        let inherited = apps.filter_map(|(name, app)| Some((name.clone(), app.inherited.clone()?)));
        inherited.collect()
    }

    /// Whether a worker of this app has this socket, or one that may still be started.
    #[must_use]
    pub fn may_have(&self, app: &AppName, socket: &SocketDeclaration) -> bool {
        let has = |app: &App| {
            let mut all = app.definitions().flat_map(|definition| &definition.listen);
            all.any(|its| its.is_bound_as(socket))
        };
        self.apps.get(app).is_some_and(has)
    }

    /// Forgets the apps that have gone.
    pub(super) fn forget_gone(&mut self, turn: &mut Turn) {
        for (app, _) in self
            .apps
            .extract_if(.., |_, app| app.going && app.is_empty())
        {
            turn.act(Action::Forget { app });
        }
    }
}

fn change(app: &App, next: &AppDefinition) -> Change {
    let differences = |now: &Arc<AppDefinition>| {
        let now = AppDefinition {
            // A size is taken up at once, not with the next generation.
            instances: app.definition.instances,
            ..AppDefinition::clone(now)
        };
        now.differences(next)
    };
    let keys: BTreeSet<_> = current(app).values().flat_map(differences).collect();
    let keys: Vec<_> = keys.into_iter().collect();
    match keys.as_slice() {
        [] => Change::Same,
        ["instances"] => Change::Resized {
            from: app.size,
            to: next.instances,
        },
        _ => Change::Changed(keys),
    }
}

/// What its workers are, or are becoming; of one that has none, what they would be. An update that was given up half done
/// leaves more than one.
fn current(app: &App) -> BTreeMap<Generation, Arc<AppDefinition>> {
    if app.wants_none() {
        return BTreeMap::from([(app.newest, Arc::clone(&app.definition))]);
    }
    let next = app.update.as_ref().and_then(Update::brings);
    let next = next.unwrap_or_else(|| app.serving.clone());
    let wanted = app.slots.range(..SlotNumber(app.size));
    let stays = |(number, slot): &(&SlotNumber, &Slot)| match slot.state {
        SlotState::Held(_) | SlotState::Backoff { .. } | SlotState::Failed { .. } => {
            !app.parked.contains(number)
        }
        // Whoever comes next is none of what was there.
        SlotState::Vacant | SlotState::Ended { .. } | SlotState::Stopped => false,
    };
    let slots = wanted.filter(stays);
    let slots = slots.map(|(number, slot)| update::made(app, *number, slot));
    slots.chain([next]).collect()
}

/// Its lines have moved, and say what they said.
fn move_places(app: &mut App) {
    let places = &app.definition.places;
    let current = match &mut app.update {
        Some(update) if !update.goes_back() => &mut update.definition,
        Some(_) | None => &mut app.serving.1,
    };
    Arc::make_mut(current).places = places.clone();
}

/// Takes these definitions up: they are all there are to be.
pub(super) fn take_up(
    fleet: &mut Fleet,
    request: RequestToken,
    apps: Vec<AppDefinition>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let changes = fleet.plan(&apps);
    let owed = changes.iter().filter(|(_, change)| *change != Change::Same);
    let owed = owed.count();
    let op = commands::accept(request, owed.max(1), turn);
    if owed == 0 {
        pay(op, Outcome::Done, turn);
    }
    let mut next: BTreeMap<AppName, AppDefinition> = apps
        .into_iter()
        .map(|app| (app.name.clone(), app))
        .collect();
    for (name, change) in changes {
        let definition = next.remove(&name);
        let named = definition.is_some();
        if let Some(definition) = definition {
            fleet.define(definition, turn);
        }
        if let Some(app) = fleet.apps.get_mut(&name) {
            app.added = app.added && !named;
            carry_out(app, &change, op, turn);
        }
    }
    Ok(())
}

fn carry_out(app: &mut App, change: &Change, op: OpId, turn: &mut Turn) {
    let runs = app.wanted && app.size > 0;
    let wait = |errand, goal| Wait { op, errand, goal };
    let started = |slots| Goal::Started {
        slots,
        since: turn.number(),
    };
    match change {
        Change::Same | Change::Resized { .. } => move_places(app),
        Change::Removed(_) | Change::Added(_) | Change::Changed(_) => {}
    }
    match change {
        Change::Same => {}
        Change::Removed(_) => {
            app.going = true;
            start_stop::want_nothing(app, "reload --config", turn);
            app.waits.push(wait(Errand::Stop, Goal::Stopped));
        }
        Change::Added(_) if runs => {
            let goal = started(0..app.size);
            app.waits.push(wait(Errand::Start, goal));
        }
        Change::Resized { from, .. } if runs && app.size > *from => {
            let goal = started(*from..app.size);
            app.waits.push(wait(Errand::Scale, goal));
        }
        Change::Resized { from, .. } if app.wanted && app.size < *from => {
            app.waits.push(wait(Errand::Scale, Goal::Shrunk));
        }
        // One that is at work ends with what it began with; its next start is by the new definition.
        Change::Changed(_) if runs && !app.definition.life.oneshot => {
            pending::ask(app, Some(op), WHY, Asker::Outside, turn);
        }
        Change::Added(_) | Change::Resized { .. } | Change::Changed(_) => {
            pay(op, Outcome::Done, turn);
        }
    }
}
