//! Crashes, back-off, failed slots, and exits that are none of these.

use std::time::Duration;

use ostler_bus::{Slot, WorkerId, vocab::control::Outcome};

use crate::{
    config::app::AppName,
    fleet::{
        Action, FleetEvent, Input, Notification, RequestToken, WorkerNews,
        testing::{Stage, definition, reload, start},
    },
};

/// Lets the one worker ordered crash before it is ready, then waits for the next to be ordered; how long that took.
fn crash_and_wait(stage: &mut Stage) -> Duration {
    let id = stage.spawned();
    stage.exits(id, 1);
    let since = stage.now;
    let until = stage.fleet.next_deadline().expect("it is tried again");
    stage.wait(u64::try_from((until - since).as_millis()).expect("not that long") + 1);
    until - since
}

#[test]
fn the_first_crash_after_a_good_while_is_replaced_at_once_in_the_same_slot() {
    let mut stage = Stage::serving(definition("web", 3));
    stage.exits(WorkerId(2), 1);
    let orders = stage.orders();
    assert_eq!(orders.len(), 1, "exactly one replacement");
    assert_eq!(
        (orders[0].slot, orders[0].id),
        (Slot(1), WorkerId(4)),
        "same slot, new id"
    );
    let restarts: Vec<u32> = stage
        .fleet
        .snapshot(stage.now)
        .workers
        .iter()
        .map(|w| w.restarts)
        .collect();
    assert_eq!(restarts, [0, 1, 0]);
}

#[test]
fn replacements_for_crashes_wait_for_nobody() {
    let mut stage = Stage::serving(definition("web", 3));
    stage.exits(WorkerId(1), 1);
    stage.exits(WorkerId(3), 1);
    assert_eq!(stage.orders().len(), 2);
}

#[test]
fn failed_starts_wait_longer_each_time_until_one_lives_long_enough() {
    let mut stage = Stage::of(definition("web", 1));
    let delays: Vec<u128> = (0..4)
        .map(|_| crash_and_wait(&mut stage).as_millis())
        .collect();
    for (delay, least) in delays.iter().zip([100, 150, 225, 337]) {
        assert!((least..=least * 6 / 5 + 1).contains(delay), "{delays:?}");
    }
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(5_000);
    stage.exits(id, 1);
    assert!(
        (100..=120).contains(&crash_and_wait(&mut stage).as_millis()),
        "back to the first delay"
    );
}

#[test]
fn a_crash_before_min_uptime_counts_like_a_failed_start() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(4_999);
    stage.exits(id, 1);
    assert_eq!(stage.states(), ["backoff"]);
}

#[test]
fn too_many_failures_fail_the_slot_which_is_tried_again_after_five_minutes_or_by_command() {
    let mut stage = Stage::of(definition("web", 1));
    for _ in 0..15 {
        crash_and_wait(&mut stage);
    }
    let id = stage.spawned();
    stage.exits(id, 1);
    assert_eq!(
        (stage.states(), stage.app().state.as_str()),
        (vec!["failed".to_owned()], "failed")
    );
    assert!(
        stage
            .events()
            .any(|event| matches!(event, FleetEvent::AppFailed(_)))
    );
    stage.wait(299_000);
    assert!(stage.orders().is_empty());
    stage.wait(1_000);
    let id = stage.spawned();
    stage.exits(id, 1);
    assert_eq!(stage.states(), ["failed"], "once more is still too often");
    stage.actions.clear();
    let op = stage.op(start());
    let id = stage.spawned();
    stage.says_ready(id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn some_exit_codes_are_for_good_until_somebody_starts_it_again() {
    let mut app = definition("web", 1);
    app.stop_exit_codes = vec![0, 7];
    let mut stage = Stage::serving(app);
    stage.exits(WorkerId(1), 7);
    stage.wait(600_000);
    assert!(stage.orders().is_empty());
    assert_eq!(stage.app().state, "stopped");
    stage.op(start());
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn a_worker_that_says_it_goes_is_answered_is_no_crash_and_is_replaced() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.news(
        WorkerId(1),
        WorkerNews::SdkDisconnect {
            request: RequestToken(9),
        },
    );
    assert!(stage.actions.contains(&Action::AnswerDisconnect {
        id: WorkerId(1),
        request: RequestToken(9)
    }));
    assert_eq!(
        (stage.signals(WorkerId(1)), stage.states()),
        (vec![], vec!["draining".to_owned()])
    );
    stage.exits(WorkerId(1), 42);
    assert!(
        stage
            .events()
            .any(|event| matches!(event, FleetEvent::WorkerExited(e) if e.voluntary))
    );
    assert_eq!(stage.orders().len(), 1);
    assert_eq!(stage.fleet.snapshot(stage.now).workers[0].restarts, 0);
}

#[test]
fn one_that_says_it_goes_and_does_not_is_made_to() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.news(WorkerId(1), WorkerNews::Notified(Notification::Stopping));
    stage.wait(30_000);
    assert_eq!(stage.signals(WorkerId(1)), [0]);
    stage.wait(30_000);
    assert_eq!(stage.signals(WorkerId(1)), [0, 9]);
}

#[test]
fn leaving_at_each_start_is_no_busy_loop_and_never_fails_the_slot() {
    let mut stage = Stage::of(definition("web", 1));
    for _ in 0..40 {
        let id = stage.spawned();
        stage.news(
            id,
            WorkerNews::SdkDisconnect {
                request: RequestToken(1),
            },
        );
        stage.exits(id, 0);
        assert_eq!(stage.states(), ["backoff"]);
        stage.actions.clear();
        stage.wait(30_001);
    }
}

#[test]
fn news_of_the_gone_finds_nobody_but_requests_are_answered() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.exits(WorkerId(1), 1);
    stage.actions.clear();
    stage.exits(WorkerId(1), 1);
    stage.says_ready(WorkerId(1));
    stage.news(WorkerId(77), WorkerNews::BusClosed);
    assert_eq!(stage.actions, []);
    stage.news(
        WorkerId(1),
        WorkerNews::SdkDisconnect {
            request: RequestToken(5),
        },
    );
    assert_eq!(
        stage.actions,
        [Action::AnswerDisconnect {
            id: WorkerId(1),
            request: RequestToken(5)
        }]
    );
}

#[test]
fn a_crash_during_an_update_brings_back_what_crashed() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(reload(false));
    let successor = stage.spawned();
    stage.exits(WorkerId(2), 1);
    let orders = stage.orders();
    assert_eq!(
        (orders[0].slot, orders[0].generation.0),
        (Slot(1), 1),
        "its own generation"
    );
    assert_eq!(stage.app().state, "updating");
    stage.says_ready(successor);
}

#[test]
fn a_failed_slot_for_which_connections_wait_is_tried_again_sooner() {
    let awaited = |slot| Input::Awaited {
        app: AppName::new("web").expect("a name"),
        slot: Slot(slot),
    };
    for retry_failed in [None, Some(Duration::from_secs(300))] {
        let mut app = definition("web", 1);
        app.life.retry_failed = retry_failed;
        let mut stage = Stage::of(app);
        // Nothing of a slot that has not failed, or that there isn't.
        stage.input(awaited(0));
        stage.input(awaited(7));
        for _ in 0..15 {
            crash_and_wait(&mut stage);
        }
        let id = stage.spawned();
        stage.exits(id, 1);
        stage.input(awaited(0));
        stage.wait(29_000);
        stage.input(awaited(0));
        assert!(stage.orders().is_empty());
        stage.wait(1_000);
        let id = stage.spawned();
        stage.exits(id, 1);
        assert_eq!(stage.states(), ["failed"]);
        stage.wait(30_000);
        assert!(stage.orders().is_empty(), "not without being awaited again");
    }
}
