//! Rolling updates.

use std::time::Duration;

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{Outcome, ScaleTo},
        update::WorkerRestartNeeded,
        worker::ExitStatus,
    },
};

use crate::{
    config::app::AppDefinition,
    fleet::{
        Exit, FleetEvent, Input, Requester, SpawnOrder, WorkerNews,
        testing::{Stage, definition, reload, scale, stop},
    },
};

fn web(instances: u32) -> AppDefinition {
    definition("web", instances)
}

/// The successor that is ordered next: it starts and says that it is ready.
fn successor(stage: &mut Stage) -> SpawnOrder {
    let orders = stage.orders();
    assert_eq!(orders.len(), 1, "one successor at a time: {orders:?}");
    stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(orders[0].id);
    orders[0].clone()
}

/// A new version is there, and someone says so.
fn change(stage: &mut Stage, instances: u32, version: &str) {
    let mut app = web(instances);
    app.env.insert("VERSION".into(), version.into());
    stage.input(Input::Define(app));
    let wish = WorkerRestartNeeded {
        app: None,
        reason: Some("deploy".into()),
    };
    stage.input(Input::RestartNeeded {
        wish,
        by: Requester::Client("ci".into()),
    });
}

fn aborted(stage: &Stage) -> Option<String> {
    stage.events().find_map(|event| match event {
        FleetEvent::UpdateAborted(event) => Some(event.reason.clone()),
        _ => None,
    })
}

#[test]
fn a_predecessor_goes_when_its_successor_has_proved_itself_and_not_before() {
    let mut stage = Stage::serving(web(2));
    let op = stage.op(reload(false));
    let canary = successor(&mut stage);
    assert_eq!((canary.slot, canary.generation.0), (Slot(0), 2));
    stage.wait(1_999);
    assert_eq!(
        stage.signals(WorkerId(1)),
        [0; 0],
        "the canary is watched twice as long"
    );
    stage.wait(1);
    assert_eq!(stage.signals(WorkerId(1)), [0]);
    let second = successor(&mut stage);
    assert_eq!(second.slot, Slot(1), "without waiting for the drain");
    stage.wait(1_000);
    assert_eq!(stage.signals(WorkerId(2)), [0]);
    stage.exits(WorkerId(1), 0);
    assert_eq!(stage.outcome(op), None, "an old one is still there");
    stage.exits(WorkerId(2), 1);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert!(
        stage
            .events()
            .any(|event| matches!(event, FleetEvent::UpdateFinished(_)))
    );
    assert_eq!(
        (stage.states(), stage.app().generation.0),
        (vec!["ready".to_owned(); 2], 2)
    );
}

#[test]
fn one_assumed_ready_must_stay_up_longer() {
    let mut stage = Stage::serving(web(1));
    stage.op(reload(false));
    stage.spawned();
    stage.wait(10_999);
    assert_eq!(stage.signals(WorkerId(1)), [0; 0]);
    stage.wait(1);
    assert_eq!(stage.signals(WorkerId(1)), [0]);
}

#[test]
fn status_shows_both_holders_of_a_slot_and_which_is_current() {
    let mut stage = Stage::serving(web(1));
    stage.op(reload(false));
    let new = successor(&mut stage);
    let current = |stage: &Stage| -> Vec<(WorkerId, bool)> {
        let workers = stage.fleet.snapshot(stage.now).workers;
        workers
            .into_iter()
            .map(|worker| (worker.id.expect("a worker"), worker.current))
            .collect()
    };
    assert_eq!(current(&stage), [(WorkerId(1), true), (new.id, false)]);
    stage.wait(2_000);
    assert_eq!(current(&stage), [(WorkerId(1), false), (new.id, true)]);
}

#[test]
fn a_version_that_exits_at_start_aborts_the_update_and_says_why() {
    let mut stage = Stage::serving(web(2));
    let op = stage.op(reload(false));
    let id = stage.spawned();
    stage.exits(id, 1);
    let why = aborted(&stage).expect("aborted");
    assert!(
        why.contains("exited with code 1") && why.contains("ImportError: no module"),
        "{why}"
    );
    assert_eq!(stage.outcome(op), Some(Outcome::Failed(why)));
    assert_eq!(stage.states(), ["ready"; 2], "the old ones stay");
    stage.wait(600_000);
    assert!(stage.orders().is_empty());
}

#[test]
fn a_version_that_never_becomes_ready_aborts_the_update_with_its_last_words() {
    let mut stage = Stage::serving(web(1));
    stage.op(reload(false));
    let id = stage.spawned();
    stage.news(id, WorkerNews::BusConnected);
    stage.wait(30_000);
    assert_eq!((aborted(&stage), stage.signals(id)), (None, vec![0]));
    stage.wait(500);
    let exit = Exit {
        status: ExitStatus::Code(0),
        stderr_tail: vec!["waiting for db".into()],
        hint: None,
        core_dumped: false,
    };
    stage.news(id, WorkerNews::Exited(exit));
    assert!(aborted(&stage).is_some_and(|why| {
        why.contains("was not ready in time: it had 30s (start_timeout)")
            && why.contains("waiting for db")
    }));
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn an_abort_does_not_wait_for_one_that_will_not_go() {
    let mut stage = Stage::serving(web(1));
    stage.op(reload(false));
    let id = stage.spawned();
    stage.news(id, WorkerNews::BusConnected);
    stage.wait(32_000);
    assert!(aborted(&stage).is_some_and(|why| why.contains("not ready in time")));
}

#[test]
fn a_replaced_worker_that_crashes_early_saves_those_not_replaced_yet() {
    let mut stage = Stage::serving(web(2));
    stage.op(reload(false));
    let canary = successor(&mut stage);
    stage.wait(2_000);
    stage.orders();
    stage.exits(canary.id, 1);
    assert!(aborted(&stage).is_some());
    assert_eq!(stage.signals(WorkerId(2)), [0; 0]);
}

#[test]
fn what_is_asked_for_during_an_update_is_joined_into_one_that_begins_afterwards() {
    let mut stage = Stage::serving(web(1));
    change(&mut stage, 1, "2");
    let first = successor(&mut stage);
    change(&mut stage, 1, "3");
    let joined = [stage.op(reload(false)), stage.op(reload(false))];
    change(&mut stage, 1, "4");
    assert!(stage.orders().is_empty());
    stage.wait(2_000);
    stage.exits(WorkerId(1), 0);
    assert!(
        joined.iter().all(|op| stage.outcome(*op).is_none()),
        "the running one does not serve them"
    );
    let second = successor(&mut stage);
    let version = |order: &SpawnOrder| order.definition.env["VERSION"].clone();
    assert_eq!(
        (version(&first), version(&second)),
        ("2".to_owned(), "4".to_owned())
    );
    stage.wait(2_000);
    stage.exits(first.id, 0);
    assert!(
        joined
            .iter()
            .all(|op| stage.outcome(*op) == Some(Outcome::Done))
    );
    stage.wait(60_000);
    assert!(
        stage.orders().is_empty(),
        "there was one pending update, not three"
    );
}

#[test]
fn a_pending_update_begins_after_an_abort_too() {
    let mut stage = Stage::serving(web(1));
    change(&mut stage, 1, "bad");
    let id = stage.spawned();
    change(&mut stage, 1, "fixed");
    stage.exits(id, 1);
    assert_eq!(stage.orders()[0].definition.env["VERSION"], "fixed");
}

#[test]
fn now_gives_the_running_update_up_and_begins_at_once() {
    let mut stage = Stage::serving(web(2));
    let first = stage.op(reload(false));
    let old = successor(&mut stage);
    let second = stage.op(reload(true));
    assert!(matches!(stage.outcome(first), Some(Outcome::Superseded(_))));
    assert_eq!(stage.signals(old.id), [0]);
    let new = successor(&mut stage);
    assert_eq!((new.slot, new.generation.0), (Slot(0), 3));
    assert_eq!(stage.outcome(second), None);
}

#[test]
fn a_stop_pre_empts_the_running_update_and_the_pending_one() {
    let mut stage = Stage::serving(web(2));
    let ops = [stage.op(reload(false)), stage.op(reload(false))];
    let new = successor(&mut stage);
    stage.op(stop());
    for op in ops {
        assert!(
            stage
                .outcome(op)
                .is_none_or(|outcome| matches!(outcome, Outcome::Superseded(_)))
        );
    }
    assert!(aborted(&stage).is_some());
    for id in [WorkerId(1), WorkerId(2), new.id] {
        assert_eq!(stage.signals(id), [0]);
        stage.exits(id, 0);
    }
    assert_eq!(stage.states(), ["stopped"; 2]);
    assert!(stage.orders().is_empty());
}

#[test]
fn no_more_than_so_many_drain_at_once() {
    let mut app = web(4);
    app.min_healthy = Some(Duration::ZERO);
    let mut stage = Stage::serving(app);
    stage.op(reload(false));
    successor(&mut stage);
    successor(&mut stage);
    assert!(stage.orders().is_empty(), "two drain");
    stage.exits(WorkerId(1), 0);
    assert_eq!(successor(&mut stage).slot, Slot(2));
}

#[test]
fn the_size_can_change_during_an_update() {
    let mut stage = Stage::serving(web(2));
    let update = stage.op(reload(false));
    let first = successor(&mut stage);
    let up = stage.op(scale(ScaleTo::Exactly(3)));
    let orders = stage.orders();
    assert_eq!(
        (orders[0].slot, orders[0].generation.0),
        (Slot(2), 1),
        "what is proved is what fills"
    );
    stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(orders[0].id);
    assert_eq!(stage.outcome(up), Some(Outcome::Done));
    stage.wait(2_000);
    let second = successor(&mut stage);
    stage.op(scale(ScaleTo::Exactly(1)));
    assert_eq!(
        stage.signals(second.id),
        [0],
        "a successor for a slot that goes, goes"
    );
    for id in [WorkerId(1), WorkerId(2), orders[0].id, second.id] {
        stage.exits(id, 0);
    }
    assert_eq!(stage.outcome(update), Some(Outcome::Done));
    assert_eq!(
        stage.fleet.snapshot(stage.now).workers[0].id,
        Some(first.id)
    );
}

#[test]
fn an_update_can_rescue_an_app_that_does_not_start() {
    let mut stage = Stage::of(web(1));
    let id = stage.spawned();
    stage.exits(id, 1);
    stage.actions.clear();
    change(&mut stage, 1, "fixed");
    let fixed = successor(&mut stage);
    stage.wait(50);
    assert_eq!(fixed.definition.env["VERSION"], "fixed");
    stage.actions.clear();
    stage.wait(1_950);
    for order in stage.orders() {
        stage.exits(order.id, 1);
    }
    assert_eq!(
        stage.fleet.snapshot(stage.now).workers[0].id,
        Some(fixed.id)
    );
}

#[test]
fn workers_ask_for_their_own_app_and_others_for_all() {
    let mut stage = Stage::serving(web(1));
    stage.input(Input::Define(definition("api", 1)));
    let api = stage.spawned();
    stage.says_ready(api);
    let by = Requester::Worker {
        id: WorkerId(1),
        app: web(1).name,
        generation: ostler_bus::Generation(1),
    };
    stage.input(Input::RestartNeeded {
        wish: WorkerRestartNeeded::default(),
        by,
    });
    assert_eq!(successor(&mut stage).app.as_str(), "web");
    let by = Requester::Signal("SIGHUP");
    stage.input(Input::RestartNeeded {
        wish: WorkerRestartNeeded::default(),
        by,
    });
    assert_eq!(successor(&mut stage).app.as_str(), "api");
}

#[test]
fn workers_that_ask_at_each_start_are_stopped_from_looping() {
    let mut app = web(1);
    app.min_healthy = Some(Duration::ZERO);
    let mut stage = Stage::serving(app);
    let (mut id, mut generation) = (WorkerId(1), ostler_bus::Generation(1));
    let mut updates = 0;
    loop {
        let by = Requester::Worker {
            id,
            app: web(1).name,
            generation,
        };
        stage.input(Input::RestartNeeded {
            wish: WorkerRestartNeeded::default(),
            by,
        });
        if stage
            .events()
            .any(|event| matches!(event, FleetEvent::UpdateSuspended(_)))
        {
            break;
        }
        updates += 1;
        let next = successor(&mut stage);
        stage.exits(id, 0);
        (id, generation) = (next.id, next.generation);
        stage.wait(1_000);
        assert!(updates < 10, "it loops");
    }
    assert_eq!(updates, 4, "the first, and three that asked for the next");
    stage.actions.clear();
    stage.op(reload(false));
    assert_eq!(stage.orders().len(), 1, "an operator may");
}
