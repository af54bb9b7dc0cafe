//! Workers that are replaced although they serve.

use std::time::Duration;

use ostler_bus::{Slot, WorkerId, vocab::control::Outcome};

use crate::{
    config::app::{AppDefinition, recycle::MemoryLimit},
    fleet::{
        Action, FleetEvent, WorkerNews,
        testing::{Stage, definition, reload, stop},
    },
};

const FIRST: WorkerId = WorkerId(1);

fn limited(instances: u32) -> AppDefinition {
    let mut app = definition("web", instances);
    app.recycle.max_memory = Some(MemoryLimit {
        soft: 1000,
        hard: Some(2000),
    });
    app
}

fn weighs(stage: &mut Stage, id: WorkerId, bytes: u64) {
    stage.news(id, WorkerNews::Memory(bytes));
}

#[test]
fn one_that_has_grown_goes_when_its_successor_has_proved_itself() {
    let mut stage = Stage::serving(limited(2));
    weighs(&mut stage, FIRST, 1000);
    assert!(stage.orders().is_empty(), "as much as it may have");
    weighs(&mut stage, FIRST, 1001);
    let orders = stage.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!((orders[0].slot, orders[0].generation.0), (Slot(0), 1));
    let second = orders[0].id;
    stage.news(second, WorkerNews::Spawned { pid: 2 });
    stage.says_ready(second);
    stage.wait(999);
    assert!(stage.signals(FIRST).is_empty());
    stage.wait(1);
    assert_eq!(stage.signals(FIRST), [0]);
    let told = stage.events().find_map(|event| match event {
        FleetEvent::WorkerDraining(event) => Some(event.reason.clone()),
        _ => None,
    });
    assert_eq!(
        told.as_deref(),
        Some("recycle: 1.0 kB of memory are more than 1.0 kB (max_memory)")
    );
    stage.exits(FIRST, 0);
    assert_eq!(stage.states(), ["ready", "ready"]);
    assert!(stage.orders().is_empty());
}

#[test]
fn they_go_one_at_a_time() {
    let mut stage = Stage::serving(limited(3));
    for id in 1..=3 {
        weighs(&mut stage, WorkerId(id), 1500);
    }
    for slot in 0..3 {
        let orders = stage.orders();
        assert_eq!(orders.len(), 1, "one trial at a time");
        assert_eq!(orders[0].slot, Slot(slot));
        stage.news(orders[0].id, WorkerNews::Spawned { pid: 2 });
        stage.says_ready(orders[0].id);
        stage.wait(1000);
        stage.exits(WorkerId(u64::from(slot) + 1), 0);
    }
    assert!(stage.orders().is_empty());
}

#[test]
fn far_too_large_is_killed_and_that_is_a_restart() {
    let mut stage = Stage::serving(limited(1));
    weighs(&mut stage, FIRST, 2001);
    assert_eq!(stage.signals(FIRST), [9]);
    stage.exits(FIRST, 1);
    assert_eq!(stage.orders().len(), 1);
    let slot = stage.fleet.snapshot(stage.now).workers.remove(0);
    assert_eq!(slot.restarts, 1);
    let exit = slot.last_exit.expect("an exit");
    assert!(exit.contains("was killed: 2.0 kB of memory"), "{exit}");
}

#[test]
fn far_too_large_is_killed_on_its_way_out_too_and_that_is_no_crash() {
    let mut stage = Stage::serving(limited(1));
    stage.op(reload(false));
    let successor = stage.spawned();
    stage.says_ready(successor);
    stage.wait(2_000);
    weighs(&mut stage, FIRST, 2000);
    assert_eq!(stage.signals(FIRST), [0], "as much as it may have");
    weighs(&mut stage, FIRST, 2001);
    weighs(&mut stage, FIRST, 2002);
    assert_eq!(stage.signals(FIRST), [0, 9]);
    let told = stage.actions.iter().filter_map(|action| match action {
        Action::Warn(text) => Some(text.as_str()),
        _ => None,
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "web.0: 2.0 kB of memory are more than 2.0 kB (max_memory): killed on its way out (update: reload): worker 1"
        ]
    );
    stage.exits(FIRST, 1);
    let voluntary = stage.events().any(
        |event| matches!(event, FleetEvent::WorkerExited(e) if e.voluntary && e.hung.is_none()),
    );
    assert!(voluntary, "{:?}", stage.actions);
    assert_eq!(stage.states(), ["ready"]);
    assert!(stage.orders().is_empty());
    let slot = stage.fleet.snapshot(stage.now).workers.remove(0);
    assert_eq!(slot.restarts, 0);
}

#[test]
fn whoever_was_stopped_and_is_far_too_large_stays_stopped() {
    let mut stage = Stage::serving(limited(1));
    let op = stage.op(stop());
    weighs(&mut stage, FIRST, 2001);
    assert_eq!(stage.signals(FIRST), [0, 9]);
    stage.exits(FIRST, 1);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["stopped"]);
    assert!(stage.orders().is_empty());
}

#[test]
fn a_hung_one_that_is_far_too_large_leaves_no_trace() {
    let mut app = limited(1);
    app.life.watchdog = Some(Duration::from_secs(20));
    let mut stage = Stage::serving(app);
    stage.wait(10_000);
    assert_eq!(stage.signals(FIRST), [6]);
    weighs(&mut stage, FIRST, 2001);
    assert_eq!(stage.signals(FIRST), [6, 9]);
    stage.exits(FIRST, 1);
    let exit = stage.fleet.snapshot(stage.now).workers.remove(0).last_exit;
    let exit = exit.expect("an exit");
    assert!(exit.contains("was hung: no check-in for 20s"), "{exit}");
}

#[test]
fn age_is_spread_out() {
    let mut app = definition("web", 4);
    app.recycle.max_age = Some(Duration::from_secs(100));
    let mut stage = Stage::serving(app);
    // All began together, 10 s ago.
    stage.wait(89_000);
    assert!(stage.orders().is_empty(), "none is too old");
    stage.wait(21_000);
    assert_eq!(stage.orders().len(), 1, "one at a time");
}

#[test]
fn a_successor_that_fails_leaves_the_old_one_serving() {
    let mut stage = Stage::serving(limited(1));
    weighs(&mut stage, FIRST, 1500);
    let id = stage.spawned();
    stage.exits(id, 1);
    assert_eq!(
        (stage.states(), stage.signals(FIRST)),
        (vec!["ready".into()], vec![])
    );
    assert!(stage.orders().is_empty(), "not at once");
    stage.wait(121);
    assert_eq!(stage.orders().len(), 1, "but before long");
}

#[test]
fn an_update_goes_before() {
    let mut stage = Stage::serving(limited(1));
    weighs(&mut stage, FIRST, 1500);
    let recycled = stage.spawned();
    let op = stage.op(reload(false));
    assert_eq!(
        stage.signals(recycled),
        [15],
        "the update replaces everybody anyway"
    );
    let newest = stage.spawned();
    stage.exits(recycled, 0);
    stage.says_ready(newest);
    stage.wait(2_000);
    assert_eq!(stage.signals(FIRST), [0]);
    stage.exits(FIRST, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_stop_goes_before_everything() {
    let mut stage = Stage::serving(limited(1));
    weighs(&mut stage, FIRST, 1500);
    let id = stage.spawned();
    stage.op(stop());
    assert_eq!(
        (stage.signals(FIRST), stage.signals(id)),
        (vec![0], vec![15])
    );
}
