//! What operators ask for: each request is answered at once, exactly once, and what was accepted ends exactly once.
//!
//! A stop overtakes whatever else is going on with an app, and ending the master overtakes everything. A start overtakes
//! a stop that hasn't ended, a change of size the one before. Updates wait for each other.

use std::sync::Arc;

use ostler_bus::{
    OpId, Slot as SlotNumber,
    vocab::{
        commands::AppRestart,
        control::{
            Answer, AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill, Outcome,
            RefusalKind, ScaleTo,
        },
    },
};

use super::{
    Action, Command, Ending, Fleet, MAX_INSTANCES, RequestToken,
    app::{App, Fatal},
    drain,
    goal::{Errand, Goal, Wait},
    guard::Asker,
    hooks, membership,
    mutation::Mutation,
    operations::pay,
    pending,
    selector::{self, Scope},
    start_stop::{self, Verb},
    take_up,
    turn::Turn,
    update::{self, GivenUp},
};
use crate::config::app::{AppName, overlay::Variables};

/// Why a command is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: RefusalKind,
    reason: String,
}

impl Refusal {
    fn new(kind: RefusalKind, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { kind, reason }
    }

    pub(super) fn invalid(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Invalid, reason)
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::UnknownName, reason)
    }

    pub(super) fn busy(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::Busy, reason)
    }

    pub(super) fn wrong_state(reason: impl Into<String>) -> Self {
        Self::new(RefusalKind::WrongState, reason)
    }

    pub(super) fn into_parts(self) -> (RefusalKind, String) {
        (self.kind, self.reason)
    }
}

/// Carries out a command, or refuses it.
pub(super) fn obey(fleet: &mut Fleet, request: RequestToken, command: Command, turn: &mut Turn) {
    let ending = fleet.ending.is_some();
    let result = match command {
        Command::Kill(MasterKill { force }) => kill(fleet, request, force, turn),
        _ if ending => Err(ending_refuses(fleet)),
        Command::Start(AppStart { app }) => {
            start_stop::obey(fleet, request, (Verb::Start, app.as_deref()), turn)
        }
        Command::Stop(AppStop { app }) => {
            start_stop::obey(fleet, request, (Verb::Stop, app.as_deref()), turn)
        }
        Command::Restart(AppRestart { app }) => {
            start_stop::obey(fleet, request, (Verb::Restart, app.as_deref()), turn)
        }
        Command::Delete(delete) => membership::delete(fleet, request, &delete, turn),
        Command::Add(apps) => membership::add(fleet, request, apps, turn),
        Command::Await(wanted) => membership::await_started(fleet, request, &wanted, turn),
        Command::Reload(reload) => self::reload(fleet, request, reload, turn),
        Command::Reset(AppReset { app }) => reset(fleet, request, app.as_deref(), turn),
        Command::Scale(scale) => self::scale(fleet, request, &scale, turn),
        Command::TakeUp(apps) => take_up::take_up(fleet, request, apps, turn),
    };
    if let Err(Refusal { kind, reason }) = result {
        turn.act(Action::Answer {
            request,
            answer: Answer::Refused { kind, reason },
        });
    }
}

fn ending_refuses(fleet: &Fleet) -> Refusal {
    let left = fleet.apps.values().map(|app| app.workers.len()).sum();
    let who = match left {
        0 => "all workers have gone".to_owned(),
        1 => "1 worker still finishes what it has".to_owned(),
        left => format!("{left} workers still finish what they have"),
    };
    Refusal::new(
        RefusalKind::Stopping,
        format!("the master is stopping: {who}"),
    )
}

/// Accepts a request that so many apps owe an outcome to.
pub(super) fn accept(request: RequestToken, owed: usize, turn: &mut Turn) -> OpId {
    let op = turn.operations().begin(owed);
    turn.act(Action::Answer {
        request,
        answer: Answer::Accepted { op },
    });
    op
}

/// A worker has found that its app can't boot: a master in the foreground ends as that worker did.
pub(super) fn end_if_fatal(fleet: &mut Fleet, turn: &mut Turn) {
    let fatal = fleet.apps.values_mut().find_map(|app| app.fatal.take());
    let Some(Fatal { code, epitaph }) = fatal.filter(|_| !fleet.carries_on) else {
        return;
    };
    if fleet.ending.is_some() {
        return;
    }
    fleet.ending = Some(Ending {
        code: u8::try_from(code).ok(),
        ..Ending::default()
    });
    for app in fleet.apps.values_mut() {
        start_stop::want_nothing(app, &format!("the end of the master: {epitaph}"), turn);
    }
}

/// Forgets what was counted.
fn reset(
    fleet: &mut Fleet,
    request: RequestToken,
    app: Option<&str>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let chosen = selector::choose(fleet, app)?;
    let op = accept(request, 1, turn);
    for (name, scope) in chosen {
        let slots = fleet.apps.get_mut(&name).into_iter();
        let slots = slots.flat_map(|app| app.slots.iter_mut());
        let meant = |number: &SlotNumber| match &scope {
            Scope::Whole => true,
            Scope::Slots(slots) => slots.contains(number),
        };
        let slots = slots.filter(|(number, _)| meant(number));
        slots.for_each(|(_, slot)| slot.reset());
    }
    pay(op, Outcome::Done, turn);
    Ok(())
}

/// Why none of these apps can be reloaded, and what can be done with them.
fn nothing_to_reload(fleet: &Fleet, names: &[AppName]) -> String {
    let [only] = names else {
        let names: Vec<&str> = names.iter().map(AppName::as_str).collect();
        return format!(
            "none of {} runs, or they end by themselves (oneshot); use `start`",
            names.join(", ")
        );
    };
    let why = match fleet.apps.get(only) {
        Some(app) if app.definition.life.oneshot => {
            "ends by itself (oneshot); use `start` to run it again"
        }
        Some(app) if app.has_ended() => "has ended; use `start` to run it again",
        Some(app) if app.size == 0 => "has 0 instances; use `scale` to give it some",
        Some(_) | None => "is stopped; use `start`",
    };
    format!("{only} {why}")
}

fn reload(
    fleet: &mut Fleet,
    request: RequestToken,
    reload: AppReload,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let running = |app: &App| !app.wants_none() && !app.definition.life.oneshot && !app.has_ended();
    let whole =
        "workers are replaced with all of their app: `restart` stops and starts a single one";
    let selector = reload.app.as_deref();
    let chosen = selector::choose_apps(fleet, selector, whole)?;
    let (names, others): (Vec<AppName>, Vec<AppName>) = chosen
        .into_iter()
        .partition(|name| fleet.apps.get(name).is_some_and(running));
    if names.is_empty() {
        return Err(Refusal::wrong_state(nothing_to_reload(fleet, &others)));
    }
    for variables in [&reload.env, &reload.inherit].into_iter().flatten() {
        check(variables)?;
    }
    let extra = reload.env.unwrap_or_default();
    let inherit = reload.inherit.map(Arc::new);
    let reason = reload.reason.as_deref().unwrap_or("reload");
    let joins = names
        .iter()
        .any(|name| fleet.apps.get(name).is_some_and(|app| app.update.is_some()));
    let op = if joins && turn.mutated(Mutation::ForgetReply) {
        turn.operations().begin(names.len())
    } else {
        accept(request, names.len(), turn)
    };
    for name in names {
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        if reload.now {
            update::give_up(app, GivenUp::Overtaken("reload --now"), turn);
        }
        if let Some(inherit) = &inherit {
            app.inherited = Some(Arc::clone(inherit));
        }
        pending::ask(app, Some(op), reason, Asker::Outside, turn);
        pending::give(app, &extra);
    }
    Ok(())
}

/// What can't be in an environment is refused before anything is done.
fn check(variables: &Variables) -> Result<(), Refusal> {
    for (name, value) in variables {
        if name.is_empty() || name.contains(['=', '\0']) {
            let reason = format!("{name:?} is no name of a variable: it is empty, or has = or NUL");
            return Err(Refusal::invalid(reason));
        }
        if value.contains('\0') {
            let reason = format!("the value of {name} has a NUL byte");
            return Err(Refusal::invalid(reason));
        }
    }
    Ok(())
}

fn scale(
    fleet: &mut Fleet,
    request: RequestToken,
    scale: &AppScale,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let whole = "an app is scaled as a whole: a single worker is stopped and started with `stop` and `start`";
    let names = selector::choose_apps(fleet, Some(&scale.app), whole)?;
    let size = |from: u32| match scale.to {
        ScaleTo::Exactly(to) => to,
        ScaleTo::More(more) => from.saturating_add(more),
        ScaleTo::Fewer(fewer) => from.saturating_sub(fewer),
    };
    let sizes = names.iter().filter_map(|name| fleet.apps.get(name));
    let most = sizes.map(|app| size(app.size)).max().unwrap_or(0);
    if most > MAX_INSTANCES {
        return Err(Refusal::invalid(format!(
            "{most} instances are too many; the most is {MAX_INSTANCES}"
        )));
    }
    let op = accept(request, names.len(), turn);
    for name in names {
        if let Some(app) = fleet.apps.get_mut(&name) {
            resize(app, size(app.size), op, turn);
        }
    }
    Ok(())
}

fn resize(app: &mut App, to: u32, op: OpId, turn: &mut Turn) {
    let from = app.size;
    // A script that says how many it wants is right to say it twice.
    app.resize(to, turn);
    if to == from || !app.wanted {
        return pay(op, Outcome::Done, turn);
    }
    let goal = if to > from {
        Goal::Started {
            slots: from..to,
            since: turn.number(),
        }
    } else {
        Goal::Shrunk
    };
    app.waits.push(Wait {
        op,
        errand: Errand::Scale,
        goal,
    });
}

fn kill(
    fleet: &mut Fleet,
    request: RequestToken,
    force: bool,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    if fleet.ended {
        return Err(Refusal {
            kind: RefusalKind::Stopping,
            reason: "the master has stopped".into(),
        });
    }
    let op = accept(request, 1, turn);
    let ending = fleet.ending.get_or_insert_with(Ending::default);
    ending.ops.push(op);
    ending.forced |= force;
    for app in fleet.apps.values_mut() {
        // First: nobody is asked before, nor anything begun for it.
        if force {
            for worker in app.workers.values_mut() {
                drain::kill(worker, &app.name, turn);
            }
            hooks::force(app, turn);
        }
        start_stop::want_nothing(app, "kill", turn);
    }
    Ok(())
}
