//! Workers that live, but do nothing any more.

use std::time::Duration;

use ostler_bus::WorkerId;

use crate::{
    config::app::{AppDefinition, Readiness, life::Health},
    fleet::{
        Action, FleetEvent, Input, Notification, WorkerNews,
        testing::{Stage, definition, probe},
    },
};

const FIRST: WorkerId = WorkerId(1);

fn watched() -> AppDefinition {
    let mut app = definition("web", 1);
    app.life.watchdog = Some(Duration::from_secs(10));
    app
}

fn checked() -> AppDefinition {
    let mut app = definition("web", 1);
    app.life.health = Some(Health {
        probe: probe(1000, 500),
        failures: 2,
    });
    app
}

fn alive(stage: &mut Stage) {
    stage.news(FIRST, WorkerNews::Notified(Notification::Alive));
}

#[test]
fn silence_is_broken_by_a_trace_then_by_force() {
    let mut stage = Stage::of(watched());
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(9_999);
    assert_eq!(stage.states(), ["ready"]);
    stage.wait(1);
    assert_eq!(stage.states(), ["stopping"]);
    assert_eq!(stage.signals(id), [6], "never the word on the bus");
    stage.wait(4_999);
    assert_eq!(stage.signals(id), [6]);
    stage.wait(1);
    assert_eq!(stage.signals(id), [6, 9]);
}

#[test]
fn nobody_is_hung_because_the_master_stood_still() {
    let mut stage = Stage::of(watched());
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(5_000);
    // Stopped for a minute: the first thing that happens then may be anything.
    stage.stand_still(60_000);
    assert_eq!(stage.states(), ["ready"]);
    stage.wait(9_999);
    assert_eq!(stage.states(), ["ready"]);
    stage.wait(1);
    assert_eq!(stage.states(), ["stopping"], "it had its turn");
}

#[test]
fn whoever_checks_in_in_time_stays() {
    let mut stage = Stage::of(watched());
    let id = stage.spawned();
    stage.says_ready(id);
    for _ in 0..10 {
        stage.wait(9_000);
        alive(&mut stage);
    }
    stage.news(id, WorkerNews::Heartbeat);
    assert_eq!(stage.states(), ["ready"]);
    let shown = || stage.fleet.snapshot(stage.now).workers[0].check_in_ms;
    assert_eq!(shown(), Some(0));
}

#[test]
fn time_counts_from_becoming_ready() {
    let mut stage = Stage::of(watched());
    let id = stage.spawned();
    stage.news(id, WorkerNews::BusConnected);
    stage.wait(29_000);
    assert_eq!(stage.states(), ["starting"], "start_timeout is not over");
    stage.news(id, WorkerNews::SdkReady);
    stage.wait(9_999);
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_hung_workers_exit_says_so_and_is_no_wish_of_ours() {
    let mut stage = Stage::of(watched());
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(10_000);
    stage.exits(id, 1);
    let exit = stage.events().find_map(|event| match event {
        FleetEvent::WorkerExited(exit) => Some(exit.clone()),
        _ => None,
    });
    let exit = exit.expect("an exit");
    assert!(!exit.voluntary);
    let why = "no check-in for 10s (watchdog)";
    assert_eq!(exit.hung.as_deref(), Some(why));
    let spawned = stage
        .actions
        .iter()
        .any(|action| matches!(action, Action::Spawn(_)));
    assert!(spawned, "it had lived long enough: it is replaced at once");
    let shown = stage.fleet.snapshot(stage.now).workers.remove(0);
    assert_eq!(shown.restarts, 1);
    assert!(shown.last_exit.is_some_and(|text| text.contains(why)));
}

#[test]
fn a_worker_that_finds_itself_broken_is_believed() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.news(FIRST, WorkerNews::Notified(Notification::Broken));
    assert_eq!(stage.signals(FIRST), [6]);
}

#[test]
fn bad_answers_count_in_a_row() {
    let mut stage = Stage::of(checked());
    let id = stage.spawned();
    stage.says_ready(id);
    stage.actions.clear();
    stage.wait(999);
    let asks = |stage: &Stage| {
        stage
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Probe(_)))
            .count()
    };
    assert_eq!(asks(&stage), 0, "it has only just said that it is well");
    let mut ask = 0;
    let mut answer = |stage: &mut Stage, answer: Result<(), &str>| {
        stage.wait(1_000);
        ask += 1;
        let answer = answer.map_err(str::to_owned);
        stage.news(id, WorkerNews::Probed { ask, answer });
    };
    answer(&mut stage, Err("503"));
    answer(&mut stage, Ok(()));
    answer(&mut stage, Err("503"));
    assert_eq!(stage.states(), ["ready"]);
    answer(&mut stage, Err("no answer within 500ms"));
    assert_eq!(
        (stage.states(), stage.signals(id)),
        (vec!["stopping".into()], vec![6])
    );
    answer(&mut stage, Ok(()));
    assert_eq!(stage.states(), ["stopping"], "too late");
    assert_eq!(asks(&stage), 4, "nobody asks a worker on its way out");
}

#[test]
fn whoever_starts_while_the_master_stands_still_has_all_its_time_again() {
    let mut app = definition("web", 1);
    app.ready = Readiness::Notify;
    let time = app.start_timeout;
    let mut stage = Stage::of(app);
    let id = stage.spawned();
    // What was due first is its own deadline: the master can't have stood still for less than it is late for that.
    let late = Duration::from_secs(20);
    stage.now = stage.now + time + late;
    stage.input(Input::Paused(late));
    assert_eq!(stage.states(), ["starting"]);
    stage.news(id, WorkerNews::Notified(Notification::Ready));
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn whoever_is_heard_only_after_the_master_stood_still_is_not_late_for_it() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.stand_still(600_000);
    assert_eq!(
        stage.states(),
        ["ready"],
        "nothing was heard of it: assumed"
    );
    stage.news(id, WorkerNews::BusConnected);
    assert_eq!(stage.states(), ["starting"], "it takes part, and has time");
    stage.news(id, WorkerNews::SdkReady);
    assert_eq!(stage.states(), ["ready"]);
}
