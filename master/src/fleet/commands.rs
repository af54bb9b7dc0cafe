//! What operators ask for: each request is answered at once, exactly once, and what was accepted ends exactly once.
//!
//! A stop overtakes whatever else is going on with an app, and ending the master overtakes everything. A start overtakes
//! a stop that hasn't ended, a change of size the one before. Updates wait for each other.

use ostler_bus::{
    OpId,
    vocab::control::{
        Answer, AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill, Outcome, RefusalKind,
        ScaleTo,
    },
};

use super::{
    Action, Command, Ending, Fleet, MAX_INSTANCES, RequestToken,
    app::{App, Errand, Fatal, Goal, Wait},
    drain,
    guard::Asker,
    hooks,
    mutation::Mutation,
    operations::pay,
    slot::Slot,
    take_up,
    turn::Turn,
    update::{self, GivenUp},
};
use crate::config::app::AppName;

/// Why a command is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    kind: RefusalKind,
    reason: String,
}

impl Refusal {
    fn invalid(reason: impl Into<String>) -> Self {
        Self {
            kind: RefusalKind::Invalid,
            reason: reason.into(),
        }
    }
}

/// Carries out a command, or refuses it.
pub(super) fn obey(fleet: &mut Fleet, request: RequestToken, command: Command, turn: &mut Turn) {
    let ending = fleet.ending.is_some();
    let result = match command {
        Command::Kill(MasterKill { force }) => kill(fleet, request, force, turn),
        _ if ending => Err(Refusal {
            kind: RefusalKind::Stopping,
            reason: "the master is stopping".into(),
        }),
        Command::Start(AppStart { app }) => start(fleet, request, app.as_deref(), turn),
        Command::Stop(AppStop { app }) => stop(fleet, request, app.as_deref(), turn),
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

/// Accepts a request that so many apps owe an outcome to.
pub(super) fn accept(request: RequestToken, owed: usize, turn: &mut Turn) -> OpId {
    let op = turn.operations().begin(owed);
    turn.act(Action::Answer {
        request,
        answer: Answer::Accepted { op },
    });
    op
}

/// The apps a command names.
fn select(fleet: &Fleet, app: Option<&str>) -> Result<Vec<AppName>, Refusal> {
    let unknown = |reason: String| Refusal {
        kind: RefusalKind::UnknownName,
        reason,
    };
    let stay = fleet.apps.iter().filter(|(_, app)| !app.going);
    let names: Vec<AppName> = stay.map(|(name, _)| name.clone()).collect();
    match app {
        None if names.is_empty() => Err(unknown("there are no apps".into())),
        None => Ok(names),
        Some(name) => match AppName::new(name).ok().filter(|name| names.contains(name)) {
            Some(name) => Ok(vec![name]),
            None => {
                let known: Vec<&str> = names.iter().map(AppName::as_str).collect();
                Err(unknown(format!(
                    "there is no app {name:?}; there are: {}",
                    known.join(", ")
                )))
            }
        },
    }
}

/// Those of the selected apps that `fits`, or the refusal if there are none.
fn select_fitting(
    fleet: &Fleet,
    app: Option<&str>,
    fits: impl Fn(&App) -> bool,
    otherwise: &str,
) -> Result<Vec<AppName>, Refusal> {
    let mut names = select(fleet, app)?;
    names.retain(|name| fleet.apps.get(name).is_some_and(&fits));
    if !names.is_empty() {
        return Ok(names);
    }
    Err(Refusal {
        kind: RefusalKind::WrongState,
        reason: format!("{} {otherwise}", app.unwrap_or("every app")),
    })
}

fn start(
    fleet: &mut Fleet,
    request: RequestToken,
    app: Option<&str>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let names = select_fitting(
        fleet,
        app,
        |app| app.size > 0,
        "has 0 instances; use `scale` to give it some",
    )?;
    let op = accept(request, names.len(), turn);
    for name in names {
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        app.overtake_waits("start", &[Errand::Stop], turn);
        // Where nobody is left, nobody is served by what was there before.
        let deserted = app.workers.is_empty() && app.update.is_none();
        if !std::mem::replace(&mut app.wanted, true) {
            app.begin_anew(turn);
        } else if deserted {
            app.renew();
        }
        app.called_for = "start".into();
        for slot in app.slots.values_mut() {
            slot.try_again();
        }
        let goal = Goal::Started {
            slots: 0..app.size,
            since: turn.number(),
        };
        app.waits.push(Wait {
            op,
            errand: Errand::Start,
            goal,
        });
    }
    Ok(())
}

fn stop(
    fleet: &mut Fleet,
    request: RequestToken,
    app: Option<&str>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let names = select(fleet, app)?;
    let op = accept(request, names.len(), turn);
    for name in names {
        let Some(app) = fleet.apps.get_mut(&name) else {
            continue;
        };
        want_nothing(app, "stop", turn);
        app.waits.push(Wait {
            op,
            errand: Errand::Stop,
            goal: Goal::Stopped,
        });
    }
    Ok(())
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
        fatal: u8::try_from(code).ok(),
        ..Ending::default()
    });
    for app in fleet.apps.values_mut() {
        want_nothing(app, &format!("the end of the master: {epitaph}"), turn);
    }
}

/// Forgets what was counted.
fn reset(
    fleet: &mut Fleet,
    request: RequestToken,
    app: Option<&str>,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let names = select(fleet, app)?;
    let op = accept(request, 1, turn);
    for app in fleet
        .apps
        .values_mut()
        .filter(|app| names.contains(&app.name))
    {
        app.slots.values_mut().for_each(Slot::reset);
    }
    pay(op, Outcome::Done, turn);
    Ok(())
}

/// From now on the app should not run.
pub(super) fn want_nothing(app: &mut App, by: &str, turn: &mut Turn) {
    app.wanted = false;
    app.overtake_waits(by, &[Errand::Start, Errand::Scale], turn);
    update::give_up(app, GivenUp::Overtaken(by), turn);
    update::drop_pending(app, by, turn);
}

fn reload(
    fleet: &mut Fleet,
    request: RequestToken,
    reload: AppReload,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let running = |app: &App| app.wanted && app.size > 0 && !app.definition.life.oneshot;
    let names = select_fitting(
        fleet,
        reload.app.as_deref(),
        running,
        "is stopped, or ends by itself (oneshot); use `start`",
    )?;
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
        update::ask(app, Some(op), reason, Asker::Outside, turn);
    }
    Ok(())
}

fn scale(
    fleet: &mut Fleet,
    request: RequestToken,
    scale: &AppScale,
    turn: &mut Turn,
) -> Result<(), Refusal> {
    let name = select(fleet, Some(&scale.app))?.remove(0);
    let Some(app) = fleet.apps.get_mut(&name) else {
        return Ok(());
    };
    let from = app.size;
    let to = match scale.to {
        ScaleTo::Exactly(to) => to,
        ScaleTo::More(more) => from.saturating_add(more),
        ScaleTo::Fewer(fewer) => from.saturating_sub(fewer),
    };
    if to > MAX_INSTANCES {
        return Err(Refusal::invalid(format!(
            "{to} instances are too many; the most is {MAX_INSTANCES}"
        )));
    }
    let op = accept(request, 1, turn);
    if to == from {
        // A script that says how many it wants is right to say it twice.
        pay(op, Outcome::Done, turn);
        return Ok(());
    }
    app.resize(to, turn);
    if !app.wanted {
        pay(op, Outcome::Done, turn);
        return Ok(());
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
    Ok(())
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
        want_nothing(app, "kill", turn);
    }
    Ok(())
}
