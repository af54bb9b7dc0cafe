//! The apps of a history: any mixture of what a definition can say.

use std::time::Duration;

use crate::{
    config::app::{
        AppDefinition, Readiness, Rung,
        hooks::{Hook, Hooks},
        life::{Health, Restart},
        recycle::MemoryLimit,
        update::{Canary, OnFailure, Share, Strategy, UpdateRules},
    },
    fleet::{sim::dice::Dice, testing},
};

pub(super) fn draw_app(dice: &mut Dice, name: &str) -> AppDefinition {
    let mut app = testing::definition(name, dice.number(5));
    app.ready = match dice.below(7) {
        0 => Readiness::Notify,
        1 => Readiness::Sdk,
        2 => Readiness::Delay(dice.millis(0, 800)),
        3 => Readiness::Probe(testing::probe(100, 400)),
        _ => Readiness::Auto,
    };
    app.start_timeout = dice.millis(1200, 3000);
    app.min_healthy = [None, Some(Duration::ZERO), Some(Duration::from_millis(300))][dice.pick(3)];
    app.canary_healthy = [None, Some(Duration::from_millis(500))][dice.pick(2)];
    app.min_uptime = [
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(5),
    ][dice.pick(3)];
    app.max_draining = [None, Some(0), Some(1)][dice.pick(3)];
    app.update = draw_rules(dice);
    draw_life(dice, &mut app);
    draw_growth(dice, &mut app);
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
    app.max_restarts = [0, 3, 16][dice.pick(3)];
    app.start.parallel = [1, 1, 2, 4][dice.pick(4)];
    app.start.autostart = !dice.one_in(12);
    app.stop_exit_codes = if dice.one_in(8) { vec![0] } else { Vec::new() };
    app.kill_ladder = draw_ladder(dice);
    app
}

/// How it is seen that a worker lives, and what follows if it doesn't.
fn draw_life(dice: &mut Dice, app: &mut AppDefinition) {
    if dice.one_in(8) {
        app.life.watchdog = Some(dice.millis(2000, 6000));
    }
    if dice.one_in(8) {
        app.life.health = Some(Health {
            probe: testing::probe(1900, 300),
            failures: 1 + dice.number(3),
        });
    }
    app.life.restart = match dice.below(12) {
        0 => Restart::Never,
        1 | 2 => Restart::OnCrash,
        _ => Restart::Always,
    };
    if dice.one_in(6) {
        app.life.retry_failed = [None, Some(Duration::from_secs(30))][dice.pick(2)];
    }
    if dice.one_in(20) {
        app.life.fatal_exit_codes = vec![1];
    }
}

/// Until when a worker may stay that grows, or grows old.
fn draw_growth(dice: &mut Dice, app: &mut AppDefinition) {
    if dice.one_in(10) {
        app.recycle.max_age = Some(dice.millis(4_000, 12_000));
    }
    if dice.one_in(7) {
        app.recycle.max_memory = Some(MemoryLimit {
            soft: 100,
            hard: [None, Some(200)][dice.pick(2)],
        });
    }
}

/// How a worker is told to go.
fn draw_ladder(dice: &mut Dice) -> Vec<Rung> {
    let term = Rung {
        signal: 15,
        wait: Some(Duration::from_millis(800)),
    };
    match dice.below(4) {
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
    }
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
pub(super) fn draw_order(dice: &mut Dice, apps: &mut [AppDefinition]) {
    let waits = dice.pick(2);
    let first = apps[1 - waits].name.clone();
    match dice.below(3) {
        0 => apps[waits].start.depends_on = vec![first],
        1 => apps[waits].start.priority = -1,
        _ => {}
    }
}

/// How an app's workers are replaced. It stays so for the whole history.
fn draw_rules(dice: &mut Dice) -> UpdateRules {
    let share = |dice: &mut Dice| match dice.below(3) {
        0 => Share::Percent(u32::try_from(25 * dice.below(5)).unwrap_or(0)),
        _ => Share::Count(dice.number(4)),
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
        on_failure: [OnFailure::KeepOld, OnFailure::Rollback][dice.pick(2)],
    }
}
