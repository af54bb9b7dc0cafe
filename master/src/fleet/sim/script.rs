//! What a history brings from outside: the apps, the commands, the changes, and when.

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Slot,
    vocab::{
        commands::{AppDelete, AppRestart},
        control::{AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill, ScaleTo},
        update::WorkerRestartNeeded,
    },
};

use super::{CHAOS, dice::Dice};
use crate::{
    config::app::{
        AppDefinition, Readiness, Rung,
        hooks::{Hook, Hooks},
        life::{Health, Restart},
        recycle::MemoryLimit,
        update::{Canary, OnFailure, Share, Strategy, UpdateRules},
    },
    fleet::{Command, Input, Moment, RequestToken, Requester, testing},
};

/// Which variable of an app's definition says what version it is.
const VERSION: &str = "VERSION";

/// Marks a definition that is to have the version before.
const KEPT: &str = "KEPT";

/// What comes from outside.
#[derive(Default)]
pub(super) struct Script {
    pub(super) told: Vec<(Moment, Vec<Input>)>,
    pub(super) commands: Vec<(Moment, Command)>,
    /// Kills from outside, each with the number that chooses the victim.
    pub(super) strikes: Vec<(Moment, u64)>,
}

/// The version of the app that this definition starts.
pub(super) fn version(definition: &AppDefinition) -> u64 {
    definition
        .env
        .get(VERSION)
        .and_then(|version| version.parse().ok())
        .unwrap_or(0)
}

/// Whether this version of the app is a bad deploy.
pub(super) fn is_spoilt(app: &str, version: u64) -> bool {
    (version.wrapping_mul(7) + app.len() as u64).is_multiple_of(5)
}

pub(super) fn write(dice: &mut Dice) -> Script {
    let mut script = Script::default();
    let mut apps: Vec<AppDefinition> = vec![draw_app(dice, "a")];
    if dice.one_in(3) {
        apps.push(draw_app(dice, "bb"));
        draw_order(dice, &mut apps);
    }
    let all = Input::DefineAll(apps.clone());
    script.told.push((Moment::default(), vec![all]));
    // Half of what happens comes in bursts: that is where commands meet.
    let burst = dice.millis(0, 30_000);
    for _ in 0..3 + dice.below(9) {
        let end = u64::try_from(CHAOS.as_millis()).unwrap_or(0) - 1;
        let at = if dice.one_in(2) {
            burst + dice.millis(0, 3000)
        } else {
            dice.millis(0, end)
        };
        draw_event(
            dice,
            Moment::after_epoch(at.min(CHAOS)),
            &mut apps,
            &mut script,
        );
    }
    for app in apps.iter_mut().filter(|app| app.recycle.max_age.is_some()) {
        // Else there would be no end of it.
        app.recycle.max_age = None;
        let told = [
            Input::Define(app.clone()),
            needed(Some(app.name.to_string()), draw_requester(dice)),
        ];
        let calm = Moment::after_epoch(CHAOS + Duration::from_secs(1));
        script.told.push((calm, told.into()));
    }
    number_versions(&mut script);
    script
}

fn draw_app(dice: &mut Dice, name: &str) -> AppDefinition {
    let mut app = testing::definition(name, u32::try_from(dice.below(5)).unwrap_or(0));
    app.ready = match dice.below(7) {
        0 => Readiness::Notify,
        1 => Readiness::Sdk,
        2 => Readiness::Delay(dice.millis(0, 800)),
        3 => Readiness::Probe(testing::probe(100, 400)),
        _ => Readiness::Auto,
    };
    app.start_timeout = dice.millis(1200, 3000);
    app.min_healthy = [None, Some(Duration::ZERO), Some(Duration::from_millis(300))][pick(dice, 3)];
    app.canary_healthy = [None, Some(Duration::from_millis(500))][pick(dice, 2)];
    app.min_uptime = [
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(5),
    ][pick(dice, 3)];
    app.max_draining = [None, Some(0), Some(1)][pick(dice, 3)];
    app.update = draw_rules(dice);
    if dice.one_in(8) {
        app.life.watchdog = Some(dice.millis(2000, 6000));
    }
    if dice.one_in(8) {
        app.life.health = Some(Health {
            probe: testing::probe(1900, 300),
            failures: 1 + u32::try_from(dice.below(3)).unwrap_or(0),
        });
    }
    app.life.restart = match dice.below(12) {
        0 => Restart::Never,
        1 | 2 => Restart::OnCrash,
        _ => Restart::Always,
    };
    if dice.one_in(6) {
        app.life.retry_failed = [None, Some(Duration::from_secs(30))][pick(dice, 2)];
    }
    if dice.one_in(20) {
        app.life.fatal_exit_codes = vec![1];
    }
    if dice.one_in(10) {
        app.recycle.max_age = Some(dice.millis(4_000, 12_000));
    }
    if dice.one_in(7) {
        app.recycle.max_memory = Some(MemoryLimit {
            soft: 100,
            hard: [None, Some(200)][pick(dice, 2)],
        });
    }
    if dice.one_in(4) {
        draw_hooks(dice, &mut app);
    }
    app.stop.kill_group = dice.one_in(4);
    app.stop.message = dice.one_in(6).then(|| "go".to_owned());
    if dice.one_in(8) {
        app.recycle.max_requests = Some(1 + dice.below(12));
    }
    if dice.one_in(8) {
        app.recycle.idle_timeout = Some(dice.millis(1000, 5000));
    }
    app.life.oneshot = dice.one_in(16);
    app.life.hang_grace = dice.millis(100, 600);
    app.max_restarts = [0, 3, 16][pick(dice, 3)];
    app.start.parallel = [1, 1, 2, 4][pick(dice, 4)];
    app.start.autostart = !dice.one_in(12);
    app.stop_exit_codes = if dice.one_in(8) { vec![0] } else { Vec::new() };
    let term = Rung {
        signal: 15,
        wait: Some(Duration::from_millis(800)),
    };
    app.kill_ladder = match dice.below(4) {
        0 => Vec::new(),
        1 => vec![
            Rung {
                signal: 2,
                wait: Some(Duration::from_millis(300)),
            },
            term,
        ],
        _ => vec![
            term,
            Rung {
                signal: 9,
                wait: None,
            },
        ],
    };
    app
}

/// Commands beside its workers.
fn draw_hooks(dice: &mut Dice, app: &mut AppDefinition) {
    let draw = |dice: &mut Dice| {
        let timeout = dice.millis(100, 600);
        let command = vec!["hook".to_owned()];
        dice.one_in(2).then_some(Hook { command, timeout })
    };
    app.hooks = Hooks {
        before_start: draw(dice),
        after_ready: draw(dice),
        before_stop: draw(dice),
        after_exit: draw(dice),
    };
}

/// Which of two apps begins first, if that matters.
fn draw_order(dice: &mut Dice, apps: &mut [AppDefinition]) {
    let waits = pick(dice, 2);
    let first = apps[1 - waits].name.clone();
    match dice.below(3) {
        0 => apps[waits].start.depends_on = vec![first],
        1 => apps[waits].start.priority = -1,
        _ => {}
    }
}

fn pick(dice: &mut Dice, of: u64) -> usize {
    usize::try_from(dice.below(of)).unwrap_or(0)
}

fn draw_event(dice: &mut Dice, at: Moment, apps: &mut [AppDefinition], script: &mut Script) {
    let one = pick(dice, apps.len() as u64);
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
    match dice.below(27) {
        26 => {
            let awaited = Input::Awaited {
                app: apps[one].name.clone(),
                slot: Slot(u32::try_from(dice.below(4)).unwrap_or(0)),
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
            let n = u32::try_from(dice.below(6)).unwrap_or(0);
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

/// How an app's workers are replaced. It stays so for the whole history.
fn draw_rules(dice: &mut Dice) -> UpdateRules {
    let share = |dice: &mut Dice| match dice.below(3) {
        0 => Share::Percent(u32::try_from(25 * dice.below(5)).unwrap_or(0)),
        _ => Share::Count(u32::try_from(dice.below(4)).unwrap_or(0)),
    };
    let strategy = match dice.below(6) {
        0 => Strategy::Replace,
        1 => Strategy::AllAtOnce,
        _ => Strategy::Surge,
    };
    let usual = dice.one_in(3);
    UpdateRules {
        strategy,
        max_surge: if usual { Share::Count(1) } else { share(dice) },
        max_unavailable: (!usual).then(|| share(dice)),
        canary: Canary {
            instances: if dice.one_in(2) {
                Share::Count(1)
            } else {
                share(dice)
            },
            max_errors: dice.one_in(3).then_some(10.0),
            min_requests: 10,
        },
        on_failure: [OnFailure::KeepOld, OnFailure::Rollback][pick(dice, 2)],
    }
}

/// A new version: its definition, and word of it in one of several ways.
fn change(dice: &mut Dice, at: Moment, app: &mut AppDefinition, script: &mut Script) {
    if dice.one_in(8) {
        app.instances = u32::try_from(dice.below(5)).unwrap_or(0);
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
            app.instances = u32::try_from(dice.below(5)).unwrap_or(0);
        }
        let mut app = app.clone();
        if dice.one_in(2) {
            app.env.insert(KEPT.into(), String::new());
        }
        next.push(app);
    }
    let request = RequestToken(TAKE_UPS + script.told.len() as u64);
    let command = Command::TakeUp(next);
    script
        .told
        .push((at, vec![Input::Command { request, command }]));
}

fn needed(app: Option<String>, by: Requester) -> Input {
    Input::RestartNeeded {
        wish: WorkerRestartNeeded { app, reason: None },
        by,
    }
}

fn draw_requester(dice: &mut Dice) -> Requester {
    match dice.below(3) {
        0 => Requester::Client("cli".into()),
        1 => Requester::File("/srv/app.py".into()),
        _ => Requester::Signal("SIGHUP"),
    }
}

/// Versions grow in the order of time, whatever the order in which changes were drawn.
fn number_versions(script: &mut Script) {
    script.told.sort_by_key(|(at, _)| *at);
    let inputs = script.told.iter_mut().flat_map(|(_, inputs)| inputs);
    let mut last = BTreeMap::new();
    for (version, input) in (1_u64..).zip(inputs) {
        let defined = match input {
            Input::Define(definition) => std::slice::from_mut(definition),
            Input::DefineAll(definitions)
            | Input::Command {
                command: Command::TakeUp(definitions),
                ..
            } => definitions,
            Input::Worker { .. }
            | Input::Command { .. }
            | Input::RestartNeeded { .. }
            | Input::CronDue(_)
            | Input::Awaited { .. }
            | Input::Paused(_)
            | Input::Tick => &mut [],
        };
        for definition in defined {
            let last = last.entry(definition.name.clone()).or_insert(version);
            if definition.env.remove(KEPT).is_none() {
                *last = version;
            }
            definition.env.insert(VERSION.into(), last.to_string());
        }
    }
}
