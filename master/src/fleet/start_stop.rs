//! Starting, stopping and restarting: of whole apps, or of single slots.
//!
//! A slot that was stopped by itself is *parked*: its app runs on without it, through updates and changes of size, until it is
//! started again, by itself or with its app.

use ostler_bus::{OpId, Slot as SlotNumber};

use super::{
    Fleet, RequestToken,
    app::App,
    cause::Cause,
    commands::{Refusal, accept},
    drain,
    goal::{Errand, Goal, Wait},
    order::Rise,
    pending,
    selector::{self, Chosen, Scope},
    turn::Turn,
    update::{self, GivenUp},
};
use crate::config::app::overlay::Variables;

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

/// Carries it out for what the selector means.
pub(super) fn obey(
    fleet: &mut Fleet,
    request: RequestToken,
    (verb, selector): (Verb, Option<&str>),
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let mut chosen = selector::choose(fleet, selector)?;
    if verb != Verb::Stop {
        let fits = |app: &App| app.size > 0;
        let why = "has 0 instances; use `scale` to give it some";
        retain(fleet, &mut chosen, selector, fits, why)?;
    }
    let op = accept(request, owed(&chosen), turn);
    for (name, scope) in chosen {
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        match scope {
            Scope::Whole => match verb {
                Verb::Start => start(app, op, turn),
                Verb::Stop => stop(app, op, turn),
                Verb::Restart => restart(app, op, turn),
            },
            Scope::Slots(slots) => {
                for slot in slots {
                    match verb {
                        Verb::Start => start_slot(app, slot, op, turn),
                        Verb::Stop => stop_slot(app, slot, op, turn),
                        Verb::Restart => restart_slot(app, slot, op, turn),
                    }
                }
            }
        }
    }
    Ok(())
}

/// How many outcomes are owed: one for each app that is meant as a whole, and for each slot.
fn owed(chosen: &Chosen) -> usize {
    let of = |scope: &Scope| match scope {
        Scope::Whole => 1,
        Scope::Slots(slots) => slots.len(),
    };
    chosen.values().map(of).sum()
}

/// Keeps those that `fit`; the refusal if there are none.
pub(super) fn retain(
    fleet: &Fleet,
    chosen: &mut Chosen,
    selector: Option<&str>,
    fits: impl Fn(&App) -> bool,
    otherwise: &str,
) -> Result<(), Refusal> {
    chosen.retain(|name, _| fleet.apps.get(name).is_some_and(&fits));
    match chosen.is_empty() {
        false => Ok(()),
        true => Err(Refusal::wrong_state(format!(
            "{} {otherwise}",
            selector.unwrap_or("every app")
        ))),
    }
}

fn await_start(app: &mut App, op: OpId, slots: std::ops::Range<u32>, turn: &Turn) {
    let since = turn.number();
    app.waits.push(Wait {
        op,
        errand: Errand::Start,
        goal: Goal::Started { slots, since },
    });
}

/// Starts an app; waits for it.
pub(super) fn start(app: &mut App, op: OpId, turn: &mut Turn) {
    app.overtake_waits("start", &[Errand::Stop], turn);
    // Where nobody is left, nobody is served by what was there before.
    let deserted = app.workers.is_empty() && app.update.is_none();
    let stood_still = app.wants_none();
    app.parked.clear();
    app.wanted = true;
    if stood_still {
        app.begin_anew("start", turn);
    } else if deserted {
        app.renew(Variables::new());
    }
    app.called_for = "start".into();
    for slot in app.slots.values_mut() {
        slot.try_again();
    }
    await_start(app, op, 0..app.size, turn);
}

fn start_slot(app: &mut App, number: SlotNumber, op: OpId, turn: &mut Turn) {
    let stood_still = app.wants_none();
    if app.wanted {
        overtake_slot_stop(app, number, "start", turn);
    } else {
        app.overtake_waits("start", &[Errand::Stop], turn);
        // The others stay as they are.
        app.parked = (0..app.size).map(SlotNumber).collect();
        app.wanted = true;
    }
    app.parked.remove(&number);
    if stood_still {
        app.begin_anew("start", turn);
    }
    app.called_for = "start".into();
    if let Some(slot) = app.slots.get_mut(&number) {
        slot.try_again();
    }
    await_start(app, op, number.0..number.0 + 1, turn);
}

fn stop(app: &mut App, op: OpId, turn: &mut Turn) {
    want_nothing(app, "stop", turn);
    app.waits.push(Wait {
        op,
        errand: Errand::Stop,
        goal: Goal::Stopped,
    });
}

fn stop_slot(app: &mut App, number: SlotNumber, op: OpId, turn: &mut Turn) {
    if app.wanted {
        app.parked.insert(number);
        let alone = |wait: &Wait| matches!(&wait.goal, Goal::Started { slots, .. } if *slots == (number.0..number.0 + 1));
        app.overtake("stop", alone, turn);
    }
    app.waits.push(Wait {
        op,
        errand: Errand::Stop,
        goal: Goal::Vacated(number),
    });
}

/// Everybody goes; once the last has gone, all are started anew.
fn restart(app: &mut App, op: OpId, turn: &mut Turn) {
    app.overtake_waits("restart", &[Errand::Stop], turn);
    update::give_up(app, GivenUp::Overtaken("restart"), turn);
    app.parked.clear();
    app.wanted = true;
    app.called_for = "restart".into();
    app.renew(Variables::new());
    app.rise = Rise::Emptying {
        since: turn.number(),
    };
    await_start(app, op, 0..app.size, turn);
}

fn restart_slot(app: &mut App, number: SlotNumber, op: OpId, turn: &mut Turn) {
    if app.wants_none() {
        return start_slot(app, number, op, turn);
    }
    overtake_slot_stop(app, number, "restart", turn);
    app.parked.remove(&number);
    app.called_for = "restart".into();
    let holder = app.slots.get(&number).and_then(|slot| slot.holder());
    match holder.and_then(|id| app.workers.get_mut(&id)) {
        Some(worker) => drain::send_away(worker, &app.name, Cause::Restart, turn),
        None => {
            if let Some(slot) = app.slots.get_mut(&number) {
                slot.try_again();
            }
        }
    }
    await_start(app, op, number.0..number.0 + 1, turn);
}

fn overtake_slot_stop(app: &mut App, number: SlotNumber, by: &str, turn: &mut Turn) {
    app.overtake(by, |wait| wait.goal == Goal::Vacated(number), turn);
}

/// From now on the app should not run.
pub(super) fn want_nothing(app: &mut App, by: &str, turn: &mut Turn) {
    app.wanted = false;
    app.overtake_waits(by, &[Errand::Start, Errand::Scale], turn);
    update::give_up(app, GivenUp::Overtaken(by), turn);
    pending::drop_it(app, by, turn);
}
