//! What becomes of a slot when its worker has ended: restart policies, one-shots, apps that can't boot, and fresh starts.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::control::{AppReset, Outcome, RefusalKind},
};

use crate::{
    config::app::{AppDefinition, life::Restart, update::Strategy},
    fleet::{
        Action, Command, FleetEvent, Input, Notification, WorkerNews,
        testing::{Stage, definition, reload, start},
    },
};

const FIRST: WorkerId = WorkerId(1);

fn app(restart: Restart) -> AppDefinition {
    let mut app = definition("web", 1);
    app.life.restart = restart;
    app
}

fn fatal() -> AppDefinition {
    let mut app = definition("web", 1);
    app.life.fatal_exit_codes = vec![3];
    app
}

/// Whether the master has ended as one whose app can't boot.
fn ended(stage: &Stage) -> bool {
    stage.actions.contains(&Action::Done { code: 3 })
}

fn oneshot() -> AppDefinition {
    let mut app = definition("web", 1);
    app.life.oneshot = true;
    app.life.restart = Restart::OnCrash;
    app
}

/// Whether the slot of a worker that ends like this, after having served for long, gets another.
fn another(restart: Restart, code: i32) -> bool {
    let mut stage = Stage::serving(app(restart));
    stage.exits(FIRST, code);
    !stage.orders().is_empty()
}

#[test]
fn policies_decide_by_how_it_ended() {
    let table = [
        (Restart::Always, [true, true]),
        (Restart::OnCrash, [false, true]),
        (Restart::Never, [false, false]),
    ];
    for (policy, expected) in table {
        let found = [0, 1].map(|code| another(policy, code));
        assert_eq!(found, expected, "{policy:?}");
    }
}

#[test]
fn whoever_says_that_it_goes_has_not_crashed() {
    for (policy, expected) in [(Restart::Always, true), (Restart::OnCrash, false)] {
        let mut stage = Stage::serving(app(policy));
        stage.news(FIRST, WorkerNews::Notified(Notification::Stopping));
        stage.exits(FIRST, 1);
        stage.wait(1_000);
        assert_eq!(!stage.orders().is_empty(), expected, "{policy:?}");
    }
}

#[test]
fn a_start_that_fails_is_told_and_left_at_that() {
    let mut stage = Stage::of(app(Restart::Never));
    let op = stage.op(start());
    let id = stage.spawned();
    stage.exits(id, 1);
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    stage.actions.clear();
    stage.wait(600_000);
    assert_eq!(
        (stage.orders().len(), stage.states()),
        (0, vec!["stopped".into()])
    );
    stage.op(start());
    assert_eq!(stage.orders().len(), 1, "asked to, it runs once more");
}

#[test]
fn a_oneshot_has_started_when_it_has_done_its_work() {
    let mut stage = Stage::of(oneshot());
    let op = stage.op(start());
    let id = stage.spawned();
    stage.wait(3_600_000);
    assert_eq!(
        (stage.states(), stage.outcome(op)),
        (vec!["starting".into()], None)
    );
    stage.exits(id, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(
        (stage.orders().len(), stage.states()),
        (0, vec!["stopped".into()])
    );
    assert_eq!(stage.refused(reload(false)), RefusalKind::WrongState);
    stage.op(start());
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn a_oneshot_that_fails_is_tried_again() {
    let mut stage = Stage::of(oneshot());
    let id = stage.spawned();
    stage.exits(id, 1);
    stage.wait(1_000);
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn an_app_that_cant_boot_ends_the_master_with_its_code() {
    let mut stage = Stage::of(fatal());
    let id = stage.spawned();
    stage.exits(id, 3);
    assert!(ended(&stage), "{:?}", stage.actions);
}

#[test]
fn the_master_waits_for_its_other_workers_before_it_ends() {
    let mut stage = Stage::of_all(vec![definition("api", 1), fatal()]);
    let [first, second] = stage.orders().try_into().expect("one of each");
    for order in [&first, &second] {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    }
    stage.says_ready(first.id);
    stage.exits(second.id, 3);
    assert_eq!(stage.signals(first.id), [0], "it may finish what it has");
    assert!(!ended(&stage));
    stage.exits(first.id, 0);
    assert!(ended(&stage));
}

#[test]
fn an_app_that_serves_can_boot() {
    let mut stage = Stage::of(AppDefinition {
        instances: 2,
        ..fatal()
    });
    let first = stage.spawned();
    stage.says_ready(first);
    let second = stage.spawned();
    stage.exits(second, 3);
    assert_eq!(stage.states(), ["ready", "failed"]);
    assert!(stage.signals(first).is_empty() && !ended(&stage));
    stage.wait(10_000);
    stage.exits(first, 1);
    let respawned = stage.spawned();
    stage.exits(respawned, 3);
    assert!(ended(&stage), "nobody is left");
}

#[test]
fn what_an_aborted_update_has_left_ends_nobody() {
    let mut stage = Stage::serving(AppDefinition {
        instances: 3,
        ..fatal()
    });
    let op = stage.op(reload(false));
    let replaced = stage.spawned();
    stage.says_ready(replaced);
    stage.wait(2_000);
    stage.exits(FIRST, 0);
    let second = stage.spawned();
    stage.exits(second, 3);
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    stage.wait(10_000);
    stage.exits(replaced, 1);
    let respawned = stage.spawned();
    stage.exits(respawned, 3);
    assert_eq!(stage.states(), ["failed", "ready", "ready"]);
    assert!(!ended(&stage));
}

#[test]
fn a_recycled_workers_successor_that_cant_boot_is_tried_again() {
    for strategy in [Strategy::Surge, Strategy::Replace] {
        let mut app = fatal();
        app.update.strategy = strategy;
        let name = app.name.clone();
        let mut stage = Stage::serving(app);
        stage.input(Input::CronDue(name));
        if strategy == Strategy::Replace {
            stage.exits(FIRST, 0);
        }
        let successor = stage.spawned();
        stage.exits(successor, 3);
        assert!(!ended(&stage), "{strategy:?}: the old one serves on");
        stage.wait(1_000);
        let again = stage.spawned();
        stage.exits(again, 3);
        // In the second case it was tried again with nobody there, as any other would be.
        assert_eq!(ended(&stage), strategy == Strategy::Replace, "{strategy:?}");
    }
}

#[test]
fn a_fatal_code_is_a_crash_like_any_other_once_it_has_served() {
    let mut stage = Stage::serving(fatal());
    stage.exits(FIRST, 3);
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn during_an_update_it_fails_the_update_alone() {
    let mut stage = Stage::serving(fatal());
    let op = stage.op(reload(false));
    let id = stage.spawned();
    stage.exits(id, 3);
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn in_the_background_the_slot_fails_at_once() {
    let mut stage = Stage::of(fatal());
    stage.fleet = std::mem::replace(&mut stage.fleet, crate::fleet::Fleet::new(1)).carrying_on();
    let id = stage.spawned();
    stage.exits(id, 3);
    assert_eq!(stage.states(), ["failed"]);
    let told = stage.events().any(
        |event| matches!(event, FleetEvent::AppFailed(failed) if failed.reason.starts_with("can't boot; tried again in 5m")),
    );
    assert!(told, "{:?}", stage.actions);
    stage.wait(300_000);
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn a_failed_slot_rests_as_long_as_it_says() {
    for rest in [None, Some(Duration::from_secs(7))] {
        let mut app = definition("web", 1);
        (app.max_restarts, app.life.retry_failed) = (1, rest);
        let mut stage = Stage::of(app);
        let id = stage.spawned();
        stage.exits(id, 1);
        assert_eq!(stage.states(), ["failed"]);
        stage.wait(6_999);
        assert_eq!(stage.orders().len(), 0);
        stage.wait(1_000_000);
        assert_eq!(
            stage.orders().len(),
            usize::from(rest.is_some()),
            "{rest:?}"
        );
    }
}

#[test]
fn a_reset_counts_from_zero_and_shows_it() {
    let mut stage = Stage::of(definition("web", 1));
    for _ in 0..2 {
        let id = stage.spawned();
        stage.exits(id, 1);
        stage.wait(1_000);
    }
    let shown = |stage: &Stage| {
        let worker = stage.fleet.snapshot(stage.now).workers.remove(0);
        (worker.restarts, worker.failures, worker.backoff_ms)
    };
    let (restarts, failures, backoff_ms) = shown(&stage);
    assert_eq!((restarts, failures), (2, 2));
    assert!((150..=180).contains(&backoff_ms), "{backoff_ms}");
    let op = stage.op(Command::Reset(AppReset { app: None }));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(shown(&stage), (0, 0, 0));
}
