//! Apps that come by command, and apps that go.
//!
//! What came by command is not the process file's: reading that again leaves it alone.

use ostler_bus::{
    OpId, WorkerId,
    vocab::{
        commands::{AppAwait, AppDelete, WorkerReleased},
        control::Outcome,
    },
};

use super::{
    Action, Fleet, FleetEvent, RequestToken,
    app::App,
    commands::{Refusal, accept},
    goal::{Errand, Goal, Wait},
    operations::pay,
    selector,
    slot::SlotState,
    start_stop,
    turn::Turn,
    worker::Worker,
};
use crate::config::app::{AppDefinition, AppName};

/// Takes apps out of the fleet, with their workers or without them.
pub(super) fn delete(
    fleet: &mut Fleet,
    request: RequestToken,
    AppDelete { app, keep_running }: &AppDelete,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let whole = "an app is deleted as a whole: stop a single worker with `stop`, or have fewer of them with `scale`";
    let names = selector::choose_apps(fleet, Some(app), whole)?;
    let op = accept(request, names.len(), turn);
    for name in names {
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        app.going = true;
        start_stop::want_nothing(app, "delete", turn);
        if *keep_running {
            release(app, turn);
        }
        app.waits.push(Wait {
            op,
            errand: Errand::Stop,
            goal: Goal::Stopped,
        });
    }
    Ok(())
}

/// Lets go of its workers. Those that were told to go before still do, and those that are no processes yet never will be.
fn release(app: &mut App, turn: &mut Turn) {
    let begun = |w: &&Worker| w.leaving().is_none() && w.pid.is_some();
    let stay = app.workers.values().filter(begun);
    let stay: Vec<WorkerId> = stay.map(|worker| worker.id).collect();
    for id in stay {
        let Some(worker) = app.workers.remove(&id) else {
            continue;
        };
        if let Some(slot) = app.slots.get_mut(&worker.slot)
            && slot.holder() == Some(id)
        {
            slot.state = SlotState::Stopped;
        }
        app.trials.retain(|trial| trial.successor() != Some(id));
        turn.publish(FleetEvent::WorkerReleased(WorkerReleased {
            worker: worker.reference(&app.name),
        }));
        turn.act(Action::Release { id });
    }
}

/// Waits for apps to have started, and changes nothing.
pub(super) fn await_started(
    fleet: &mut Fleet,
    request: RequestToken,
    AppAwait { app }: &AppAwait,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let whole = "what is waited for is a whole app";
    let names = match app.as_deref() {
        // All of none have started.
        None if fleet.apps.values().all(|app| app.going) => Vec::new(),
        selector => selector::choose_apps(fleet, selector, whole)?,
    };
    let op = accept(request, names.len().max(1), turn);
    if names.is_empty() {
        pay(op, Outcome::Done, turn);
    }
    for name in names {
        if let Some(app) = fleet.apps.get_mut(&name) {
            await_app(app, op, 0, turn);
        }
    }
    Ok(())
}

/// `since`: from which step on a failure counts.
fn await_app(app: &mut App, op: OpId, since: u64, turn: &mut Turn) {
    if !app.wanted || app.size == 0 {
        return pay(op, Outcome::Done, turn);
    }
    let slots = 0..app.size;
    app.waits.push(Wait {
        op,
        errand: Errand::Start,
        goal: Goal::Started { slots, since },
    });
}

impl Fleet {
    /// The apps that came by command, and that the process file doesn't have.
    pub fn added(&self) -> impl Iterator<Item = &AppName> {
        let added = self.apps.iter().filter(|(_, app)| app.added && !app.going);
        added.map(|(name, _)| name)
    }

    /// Why these apps can't be added, if they can't: an app of the same name runs that is defined otherwise.
    #[must_use]
    pub fn clash(&self, apps: &[AppDefinition]) -> Option<String> {
        let clash = apps.iter().find_map(|next| {
            let app = self.apps.get(&next.name)?;
            let differ = app.definition.differences(next);
            (!app.wants_none() && !app.going && !differ.is_empty()).then_some((app, differ))
        });
        clash.map(|(app, differ)| {
            format!(
                "{name} runs already, and is defined otherwise ({}): give the new one another name, or take it in place of the old one: `ostler delete {name}` first",
                differ.join(", "),
                name = app.name,
            )
        })
    }
}

/// Adds apps, and starts them. The shell has asked [`Fleet::clash`] before.
pub(super) fn add(
    fleet: &mut Fleet,
    request: RequestToken,
    apps: Vec<AppDefinition>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    if let Some(clash) = fleet.clash(&apps) {
        return Err(Refusal::wrong_state(clash));
    }
    let op = accept(request, apps.len().max(1), turn);
    if apps.is_empty() {
        pay(op, Outcome::Done, turn);
    }
    for definition in apps {
        let (name, autostart) = (definition.name.clone(), definition.start.autostart);
        let known = fleet.apps.get(&name).filter(|app| !app.going);
        let known = known.map(App::wants_none);
        if known != Some(false) {
            fleet.define(definition, turn);
        }
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        match known {
            None => app.added = true,
            Some(true) if autostart && app.size > 0 => {
                start_stop::start(app, op, turn);
                continue;
            }
            Some(_) => {}
        }
        await_app(app, op, turn.number(), turn);
    }
    Ok(())
}
