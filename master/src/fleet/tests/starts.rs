//! Spawning and readiness.

use std::time::Duration;

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{Outcome, RefusalKind},
        worker::ExitStatus,
    },
};

use crate::{
    config::app::Readiness,
    fleet::{
        FleetEvent, Notification, WorkerNews,
        testing::{Stage, definition, start},
    },
};

fn notified(stage: &mut Stage, id: WorkerId, notification: Notification) {
    stage.news(id, WorkerNews::Notified(notification));
}

#[test]
fn workers_start_one_after_the_other_each_ready_before_the_next() {
    let mut stage = Stage::of(definition("web", 4));
    for n in 0..4_u32 {
        let orders = stage.orders();
        assert_eq!(orders.len(), 1, "only one starts");
        assert_eq!(
            (orders[0].slot, orders[0].id),
            (Slot(n), WorkerId(u64::from(n) + 1))
        );
        stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
        assert!(stage.orders().is_empty(), "spawned is not ready");
        assert_eq!(stage.app().state, "starting");
        stage.says_ready(orders[0].id);
    }
    assert_eq!(stage.states(), ["ready"; 4]);
    assert_eq!(stage.app().state, "running");
    stage.wait(60_000);
    assert!(
        stage.orders().is_empty() && stage.fleet.next_deadline().is_none(),
        "a serving fleet wants nothing"
    );
}

#[test]
fn a_life_is_told_in_order_and_each_part_of_it_once() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.says_ready(id);
    stage.says_ready(id);
    stage.news(id, WorkerNews::BusClosed);
    stage.exits(id, 42);
    stage.news(id, WorkerNews::BusClosed);
    let told: Vec<&str> = stage
        .events()
        .map(|event| match event {
            FleetEvent::WorkerSpawned(_) => "spawned",
            FleetEvent::WorkerOnline(_) => "online",
            FleetEvent::WorkerReady(_) => "ready",
            FleetEvent::WorkerDisconnected(_) => "disconnected",
            FleetEvent::WorkerExited(event)
                if event.status == ExitStatus::Code(42) && !event.voluntary =>
            {
                "exited"
            }
            other => panic!("told {other:?}"),
        })
        .collect();
    assert_eq!(
        told,
        ["spawned", "online", "ready", "disconnected", "exited"]
    );
}

#[test]
fn one_that_fails_to_start_does_not_hold_the_others_up() {
    let mut stage = Stage::of(definition("web", 3));
    let first = stage.spawned();
    stage.exits(first, 1);
    let second = stage.orders();
    assert_eq!(
        second[0].slot,
        Slot(1),
        "the next slot's turn comes at once"
    );
    stage.wait(130);
    let again = stage.orders();
    assert_eq!(again[0].slot, Slot(0), "while the first is tried again");
}

#[test]
fn a_start_command_fails_with_the_exit_instead_of_hanging() {
    let mut stage = Stage::of(definition("web", 1));
    let op = stage.op(start());
    let id = stage.spawned();
    stage.exits(id, 3);
    let Some(Outcome::Failed(why)) = stage.outcome(op) else {
        panic!("{:?}", stage.actions)
    };
    assert!(
        why.contains("exited with code 3") && why.contains("before it was ready"),
        "{why}"
    );
}

#[test]
fn not_ready_in_time_is_a_failed_start_counted_from_the_workers_own_start() {
    let mut stage = Stage::of(definition("web", 1));
    stage.wait(20_000);
    let id = stage.spawned();
    stage.news(id, WorkerNews::BusConnected);
    stage.wait(29_999);
    assert_eq!(stage.states(), ["starting"]);
    stage.wait(1);
    assert_eq!(stage.states(), ["stopping"]);
    stage.news(id, WorkerNews::SdkReady);
    assert_eq!(stage.states(), ["stopping"], "too late is never ready");
    stage.exits(id, 0);
    assert_eq!(stage.states(), ["backoff"]);
    assert!(
        stage.events().any(
            |event| matches!(event, FleetEvent::WorkerExited(e) if !e.voluntary && !e.was_ready)
        )
    );
}

#[test]
fn a_silent_worker_is_assumed_ready_after_a_second() {
    let mut stage = Stage::of(definition("web", 1));
    stage.spawned();
    stage.wait(999);
    assert_eq!(stage.states(), ["starting"]);
    stage.wait(1);
    assert!(stage.fleet.snapshot(stage.now).workers[0].assumed_ready);
}

#[test]
fn only_its_word_counts_once_a_worker_takes_part() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    notified(&mut stage, id, Notification::Status("loading".into()));
    stage.wait(5_000);
    assert_eq!(stage.states(), ["starting"]);
    notified(&mut stage, id, Notification::Ready);
    assert_eq!(stage.states(), ["ready"]);
    assert!(!stage.fleet.snapshot(stage.now).workers[0].assumed_ready);
}

#[test]
fn an_assumption_is_withdrawn_when_the_worker_was_only_slow_to_take_part() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.wait(3_000);
    assert_eq!(stage.states(), ["ready"]);
    stage.news(id, WorkerNews::BusConnected);
    assert_eq!(stage.states(), ["starting"]);
    stage.wait(27_000);
    assert_eq!(
        stage.states(),
        ["stopping"],
        "its time still counts from its start"
    );
}

#[test]
fn an_assumption_that_has_proved_right_stays() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.wait(6_000);
    stage.news(id, WorkerNews::BusConnected);
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_word_counts_only_in_the_way_that_was_agreed_on() {
    for (ready, sdk, notify) in [
        (Readiness::Sdk, "ready", "starting"),
        (Readiness::Notify, "starting", "ready"),
    ] {
        let mut app = definition("web", 1);
        app.ready = ready;
        let mut stage = Stage::of(app.clone());
        let id = stage.spawned();
        stage.says_ready(id);
        assert_eq!(stage.states(), [sdk], "{:?} by the bus", app.ready);
        let mut stage = Stage::of(app);
        let id = stage.spawned();
        notified(&mut stage, id, Notification::Ready);
        assert_eq!(stage.states(), [notify]);
    }
}

#[test]
fn by_delay_living_is_enough_and_there_is_nothing_to_be_late_for() {
    let mut app = definition("web", 1);
    app.ready = Readiness::Delay(Duration::from_secs(40));
    let mut stage = Stage::of(app);
    stage.spawned();
    stage.wait(39_999);
    assert_eq!(stage.states(), ["starting"]);
    stage.wait(1);
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_worker_can_ask_for_more_time_to_start_but_not_for_ever() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.news(id, WorkerNews::BusConnected);
    stage.wait(29_000);
    notified(
        &mut stage,
        id,
        Notification::ExtendTimeout(Duration::from_secs(10)),
    );
    stage.wait(9_999);
    assert_eq!(stage.states(), ["starting"]);
    notified(&mut stage, id, Notification::ExtendTimeout(Duration::MAX));
    stage.wait(3_600_000);
    assert_eq!(stage.states(), ["stopping"], "an hour is the most");
}

#[test]
fn a_process_that_cannot_be_started_is_a_failed_start() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.orders()[0].id;
    stage.news(
        id,
        WorkerNews::SpawnFailed {
            error: "exec: permission denied".into(),
        },
    );
    assert_eq!(stage.states(), ["backoff"]);
    let status = ExitStatus::NotStarted("exec: permission denied".into());
    assert!(
        stage
            .events()
            .any(|event| matches!(event, FleetEvent::WorkerExited(e) if e.status == status))
    );
}

#[test]
fn a_parked_app_has_no_workers_and_says_how_to_get_some() {
    let mut stage = Stage::of(definition("web", 0));
    assert!(stage.orders().is_empty());
    assert_eq!(stage.app().state, "stopped");
    assert_eq!(stage.refused(start()), RefusalKind::WrongState);
}
