//! What happens to the apps of a history from outside: commands, changes, and kills.

use std::collections::BTreeMap;

use ostler_bus::{
    Slot,
    vocab::{
        commands::{AppDelete, AppRestart},
        control::{AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill, ScaleTo},
        update::WorkerRestartNeeded,
    },
};

use super::{KEPT, PUT_BACK, Script};
use crate::{
    config::app::AppDefinition,
    fleet::{Command, Input, Moment, RequestToken, Requester, sim::dice::Dice},
};

pub(super) fn draw_event(
    dice: &mut Dice,
    at: Moment,
    apps: &mut [AppDefinition],
    script: &mut Script,
) {
    let one = dice.pick(apps.len() as u64);
    let name = apps[one].name.to_string();
    let named = if dice.one_in(3) {
        None
    } else {
        Some(name.clone())
    };
    let app = if dice.one_in(25) {
        Some("nobody".to_owned())
    } else {
        named
    };
    match dice.below(28) {
        27 => script
            .told
            .push((at, vec![Input::Paused(dice.millis(0, 15_000))])),
        26 => {
            let awaited = Input::Awaited {
                app: apps[one].name.clone(),
                slot: Slot(dice.number(4)),
            };
            script.told.push((at, vec![awaited]));
        }
        23 => draw_going(dice, at, name, script),
        22 => {
            let app = draw_slot(dice, app);
            let restart = Command::Restart(AppRestart { app });
            script.commands.push((at, restart));
        }
        21 => draw_slot_verb(dice, at, name, script),
        24 | 25 => script
            .told
            .push((at, vec![Input::CronDue(apps[one].name.clone())])),
        20 => take_up(dice, at, apps, script),
        0..7 => change(dice, at, &mut apps[one], script),
        7 | 8 => script
            .told
            .push((at, vec![needed(app, draw_requester(dice))])),
        9 | 10 => {
            let now = dice.one_in(3);
            script.commands.push((
                at,
                Command::Reload(AppReload {
                    app,
                    reason: None,
                    now,
                    env: variables(dice, "EXTRA"),
                    inherit: variables(dice, "HOME"),
                }),
            ));
        }
        11 | 12 => script.commands.push((at, Command::Start(AppStart { app }))),
        13 | 14 => script.commands.push((at, Command::Stop(AppStop { app }))),
        18 if dice.one_in(2) => script.commands.push((at, Command::Reset(AppReset { app }))),
        15 | 16 => {
            let n = dice.number(6);
            let to = match dice.below(4) {
                0 => ScaleTo::More(n),
                1 => ScaleTo::Fewer(n),
                2 if dice.one_in(8) => ScaleTo::More(u32::MAX),
                _ => ScaleTo::Exactly(n),
            };
            script
                .commands
                .push((at, Command::Scale(AppScale { app: name, to })));
        }
        17 if dice.one_in(4) => {
            let force = dice.one_in(3);
            script
                .commands
                .push((at, Command::Kill(MasterKill { force })));
        }
        _ => script.strikes.push((at, dice.below(u64::MAX))),
    }
}

/// The same, or one of its first slots.
fn draw_slot(dice: &mut Dice, app: Option<String>) -> Option<String> {
    match app {
        Some(name) if dice.one_in(2) => Some(format!("{name}:{}", dice.below(4))),
        other => other,
    }
}

/// A single worker is stopped, or started again.
fn draw_slot_verb(dice: &mut Dice, at: Moment, name: String, script: &mut Script) {
    let app = Some(format!("{name}:{}", dice.below(4)));
    let command = match dice.below(3) {
        0 | 1 => Command::Stop(AppStop { app }),
        _ => Command::Start(AppStart { app }),
    };
    script.commands.push((at, command));
}

/// An app is deleted, with or without its workers.
fn draw_going(dice: &mut Dice, at: Moment, app: String, script: &mut Script) {
    let keep_running = dice.one_in(2);
    let delete = Command::Delete(AppDelete { app, keep_running });
    script.commands.push((at, delete));
}

fn variables(dice: &mut Dice, name: &str) -> Option<BTreeMap<String, String>> {
    let value = dice.below(100).to_string();
    dice.one_in(3)
        .then(|| BTreeMap::from([(name.to_owned(), value)]))
}

/// A new version: its definition, and word of it in one of several ways.
fn change(dice: &mut Dice, at: Moment, app: &mut AppDefinition, script: &mut Script) {
    if dice.one_in(8) {
        app.instances = dice.number(5);
    }
    let name = app.name.to_string();
    script.told.push((
        at,
        vec![
            Input::Define(app.clone()),
            needed(Some(name), draw_requester(dice)),
        ],
    ));
}

/// Requests of the script itself have numbers of their own.
const TAKE_UPS: u64 = 1 << 32;

/// The file is read again: some apps are as they were, some have changed, some are gone or come again.
fn take_up(dice: &mut Dice, at: Moment, apps: &mut [AppDefinition], script: &mut Script) {
    let mut next = Vec::new();
    for app in apps {
        if dice.one_in(4) {
            continue;
        }
        if dice.one_in(4) {
            app.instances = dice.number(5);
        }
        let mut app = app.clone();
        let version = [None, Some(KEPT), Some(KEPT), Some(PUT_BACK)][dice.pick(4)];
        let version = version.map(|mark| (mark.to_owned(), String::new()));
        app.env.extend(version);
        next.push(app);
    }
    let request = RequestToken(TAKE_UPS + script.told.len() as u64);
    let command = Command::TakeUp(next);
    script
        .told
        .push((at, vec![Input::Command { request, command }]));
}

pub(super) fn needed(app: Option<String>, by: Requester) -> Input {
    Input::RestartNeeded {
        wish: WorkerRestartNeeded { app, reason: None },
        by,
    }
}

pub(super) fn draw_requester(dice: &mut Dice) -> Requester {
    match dice.below(3) {
        0 => Requester::Client("cli".into()),
        1 => Requester::File("/srv/app.py".into()),
        _ => Requester::Signal("SIGHUP"),
    }
}
