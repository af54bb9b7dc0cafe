//! Which app begins when: `depends_on` and `priority`.
//!
//! ```text
//!   restarted ─► emptying ─── the last worker has gone, its turn ───────────────────┐
//!   defined, started, or given its first instances ─► held ──its turn──► rising ──started, or failed to──► over
//!                                                      ▲ │
//!                                                      └─┘ a dependency failed: whoever waits is told, and it stays held
//! ```
//! * An app is held until each app that it depends on is ready: all its slots are, or have ended for good. One that is
//!   stopped or has no instances is not waited for: somebody wants it so. Of one that has failed, or waits itself for one that
//!   has, nobody knows when it will be ready, if ever: it is not waited for in silence.
//! * It is held as well while an app of a higher priority rises. Priority is order and no more: one that has failed to
//!   start lets the others pass, and so does one that is itself held by what it depends on.
//! * Of apps that wait for each other in a circle, none holds the others. Files with circles are refused; but a running
//!   app may have an older definition than its neighbours.
//! * Once its turn has come, an app is never held again before it is stopped: what crashes later is its own affair. One whose
//!   slots were all stopped by themselves is as stopped as any.

use std::collections::{BTreeMap, BTreeSet};

use ostler_bus::vocab::control::Outcome;

use super::{
    app::App,
    clearing,
    goal::{Errand, Goal, Wait},
    mutation::Mutation,
    operations::pay,
    pending,
    slot::{Slot, SlotState},
    turn::Turn,
};
use crate::config::app::AppName;

/// How far the start of an app is. The step is the one in which it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rise {
    /// Its turn has not come: nothing is started.
    Held {
        /// Since which step.
        since: u64,
    },
    /// The same, and it begins only when all that were there have gone: it is being restarted.
    Emptying {
        /// Since which step.
        since: u64,
    },
    /// Its first workers start.
    Rising {
        /// Since which step.
        since: u64,
    },
    /// It has started, or failed to.
    Over,
}

impl Rise {
    /// Whether its turn has come.
    pub(super) fn has_begun(self) -> bool {
        match self {
            Self::Held { .. } | Self::Emptying { .. } => false,
            Self::Rising { .. } | Self::Over => true,
        }
    }
}

type Apps = BTreeMap<AppName, App>;

/// Looks whose turn has come; true if anything changed, so that there may be more to do.
pub(super) fn advance(apps: &mut Apps, turn: &mut Turn) -> bool {
    let mut changed = false;
    for app in apps.values_mut() {
        changed |= rest(app);
        changed |= join_start(app, turn);
    }
    let names: Vec<AppName> = apps.keys().cloned().collect();
    for name in names {
        match has_turn(apps, &name, turn) {
            Some(since) => {
                if let Some(app) = apps.get_mut(&name) {
                    begin(app, since);
                    changed = true;
                }
            }
            None => changed |= tell_failed(apps, &name, turn),
        }
    }
    changed
}

fn begin(app: &mut App, since: u64) {
    if let Rise::Emptying { .. } = app.rise {
        for slot in app.slots.values_mut() {
            slot.try_again();
        }
    }
    app.rise = Rise::Rising { since };
}

/// Since when an app was held whose turn has come.
fn has_turn(apps: &Apps, name: &AppName, turn: &Turn) -> Option<u64> {
    let app = apps.get(name)?;
    let since = held(app)?;
    if turn.mutated(Mutation::IgnoreOrder) {
        return Some(since);
    }
    // Nothing could begin yet: whose turn it is is decided when it can.
    let too_early = match app.rise {
        Rise::Emptying { .. } => !app.is_empty() && !turn.mutated(Mutation::RestartAtOnce),
        Rise::Held { .. } | Rise::Rising { .. } | Rise::Over => !could_begin(app, turn),
    };
    let waits = too_early
        || holders(apps, app).next().is_some()
        || apps.values().any(|other| goes_before(apps, other, app));
    (!waits).then_some(since)
}

/// Whether a worker could be started if its turn had come: those on their way out, or what cleans up after them, may be in
/// the way of all.
fn could_begin(app: &App, turn: &Turn) -> bool {
    let mut slots = app.slots.iter();
    slots.any(|(number, slot)| {
        app.wants(*number, turn) && slot.holder().is_none() && clearing::is_free(app, *number)
    })
}

/// Since when an app is held. The turn of one of which nobody wants a worker doesn't come: it would have had it, and begin
/// at once when somebody does.
fn held(app: &App) -> Option<u64> {
    match app.rise {
        Rise::Held { since } | Rise::Emptying { since } if !app.wants_none() => Some(since),
        Rise::Held { .. } | Rise::Emptying { .. } | Rise::Rising { .. } | Rise::Over => None,
    }
}

/// The apps that hold this one: it depends on them, and they are not ready.
fn holders<'a>(apps: &'a Apps, app: &'a App) -> impl Iterator<Item = &'a App> {
    let names = app.definition.start.depends_on.iter();
    names
        .filter_map(|name| apps.get(name))
        .filter(|other| !is_ready(other) && !waits_for(apps, other, &app.name))
}

/// Whether there is nothing to wait for any more.
fn is_ready(app: &App) -> bool {
    let serves = |(number, slot): (&_, &Slot)| match slot.state {
        // Somebody wants it so.
        _ if app.parked.contains(number) => true,
        SlotState::Held(_) => app
            .holder(*number)
            .is_some_and(super::worker::Worker::is_ready),
        SlotState::Ended { well } => well,
        SlotState::Vacant
        | SlotState::Backoff { .. }
        | SlotState::Failed { .. }
        | SlotState::Stopped => false,
    };
    let all_there = app.slots.len() >= app.size as usize;
    app.wants_none() || (all_there && app.slots.iter().all(serves))
}

/// Whether `app`, held itself, waits for the one of this name, if not directly.
fn waits_for(apps: &Apps, app: &App, name: &AppName) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![app]);
    while let Some(app) = next.pop() {
        if held(app).is_none() || !seen.insert(&app.name) {
            continue;
        }
        let names = &app.definition.start.depends_on;
        if names.contains(name) {
            return true;
        }
        next.extend(names.iter().filter_map(|name| apps.get(name)));
    }
    false
}

/// Whether `other` must have started before `app` begins.
fn goes_before(apps: &Apps, other: &App, app: &App) -> bool {
    let higher = other.definition.start.priority > app.definition.start.priority;
    let starts = match other.rise {
        Rise::Held { .. } | Rise::Emptying { .. } => {
            held(other).is_some() && holders(apps, other).next().is_none()
        }
        Rise::Rising { .. } => !other.wants_none(),
        Rise::Over => false,
    };
    higher && starts
}

/// What keeps an app from becoming ready.
struct Trouble<'a> {
    /// Who has failed: it, or one that it waits for.
    app: &'a AppName,
    why: String,
}

impl Trouble<'_> {
    fn in_words(&self, waits: &AppName) -> String {
        let Self { app, why } = self;
        format!(
            "{waits} waits for {app}: {why}\nhint: {waits} starts as soon as {app} is ready: see to it (`ostler why {app}`), \
             then `ostler start {app}`"
        )
    }
}

/// What does, if anything has gone wrong since that step, or so badly before that nobody tries again soon.
fn trouble<'a>(apps: &'a Apps, app: &'a App, since: u64) -> Option<Trouble<'a>> {
    if let Some(why) = failed(app, since).or_else(|| at_rest(app)) {
        return Some(Trouble {
            app: &app.name,
            why,
        });
    }
    held(app)?;
    // None of these waits for `app`: there is an end.
    holders(apps, app).find_map(|other| trouble(apps, other, since))
}

/// Why it failed to start since that step, if it did.
fn failed(app: &App, since: u64) -> Option<String> {
    match outcome(app, since)? {
        Outcome::Failed(why) => Some(why),
        Outcome::Done | Outcome::Superseded(_) => None,
    }
}

/// Why a slot of it is failed, if one is.
fn at_rest(app: &App) -> Option<String> {
    let given_up = |slot: &&Slot| matches!(slot.state, SlotState::Failed { .. });
    let slot = app.slots.values().find(given_up)?;
    let why = slot.last_failure.as_ref().map(|(_, why)| why.as_str());
    Some(why.unwrap_or("it has failed").to_owned())
}

fn outcome(app: &App, since: u64) -> Option<Outcome> {
    let slots = 0..app.size;
    app.reached(&Goal::Started { slots, since })
}

/// An app that has started, or failed to, rises no more.
fn rest(app: &mut App) -> bool {
    let Rise::Rising { since } = app.rise else {
        return false;
    };
    let over = app.wants_none() || outcome(app, since).is_some();
    if over {
        app.rise = Rise::Over;
    }
    over
}

/// An update of an app that has not begun is a start with the newest definition.
fn join_start(app: &mut App, turn: &mut Turn) -> bool {
    if app.rise.has_begun() || !app.is_meant_to_run() {
        return false;
    }
    let Some(pending) = pending::take(app) else {
        return false;
    };
    app.renew(pending.extra);
    for op in pending.ops {
        let goal = Goal::Started {
            slots: 0..app.size,
            since: turn.number(),
        };
        let errand = Errand::Start;
        app.waits.push(Wait { op, errand, goal });
    }
    true
}

/// Whoever waits for the start of this app is told that it can't be now, if what it depends on has failed since they asked.
fn tell_failed(apps: &mut Apps, name: &AppName, turn: &mut Turn) -> bool {
    let Some((app, held)) = apps.get(name).and_then(|app| Some((app, held(app)?))) else {
        return false;
    };
    let why = |wait: &Wait| match wait.goal {
        Goal::Started { since, .. } => holders(apps, app)
            .find_map(|other| trouble(apps, other, since.max(held)))
            .map(|trouble| trouble.in_words(name)),
        Goal::Shrunk | Goal::Vacated(_) | Goal::Stopped => None,
    };
    let whys: Vec<Option<String>> = app.waits.iter().map(why).collect();
    let Some(app) = apps.get_mut(name) else {
        return false;
    };
    let mut told = false;
    for (wait, why) in std::mem::take(&mut app.waits).into_iter().zip(whys) {
        match why {
            Some(why) => {
                pay(wait.op, Outcome::Failed(why), turn);
                told = true;
            }
            None => app.waits.push(wait),
        }
    }
    told
}
