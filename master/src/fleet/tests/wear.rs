//! What makes workers due, and how often: requests, idleness, the hour, and limits that are too tight.

use std::time::Duration;

use ostler_bus::{Slot, WorkerId, vocab::worker::ExitStatus};

use crate::{
    config::app::{AppDefinition, life::Restart, recycle::MemoryLimit, schedule::Schedule},
    fleet::{
        Action, Exit, FleetEvent, Input, WorkerNews,
        testing::{Stage, definition, reload, start, stop},
    },
};

const FIRST: WorkerId = WorkerId(1);

fn counting(requests: Option<u64>, idle_ms: Option<u64>) -> AppDefinition {
    let mut app = definition("web", 1);
    app.recycle.max_requests = requests;
    app.recycle.idle_timeout = idle_ms.map(Duration::from_millis);
    app
}

fn serves(stage: &mut Stage, id: WorkerId, requests: u64, under_way: u64) {
    let news = WorkerNews::Served {
        requests,
        under_way,
    };
    stage.news(id, news);
}

/// The one worker ordered takes over: it is ready, and was long enough.
fn takes_over(stage: &mut Stage, old: WorkerId) -> WorkerId {
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(1000);
    assert_eq!(stage.signals(old), [0], "the old one goes");
    stage.exits(old, 0);
    id
}

fn reasons(stage: &Stage) -> Vec<String> {
    let reason = |event: &FleetEvent| match event {
        FleetEvent::WorkerDraining(event) => Some(event.reason.clone()),
        _ => None,
    };
    stage.events().filter_map(reason).collect()
}

fn warnings(stage: &Stage) -> Vec<String> {
    let warning = |action: &Action| match action {
        Action::Warn(text) => Some(text.clone()),
        _ => None,
    };
    stage.actions.iter().filter_map(warning).collect()
}

fn hour(stage: &mut Stage) {
    let app = definition("web", 1).name;
    stage.input(Input::CronDue(app));
}

// ---- requests

#[test]
fn one_that_has_served_enough_is_replaced() {
    let mut stage = Stage::serving(counting(Some(100), None));
    serves(&mut stage, FIRST, 99, 3);
    assert!(stage.orders().is_empty(), "not enough");
    // Up to a fifth is added at random.
    serves(&mut stage, FIRST, 120, 3);
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(1000);
    assert_eq!(
        reasons(&stage),
        ["recycle: 120 requests served (max_requests)"]
    );
    assert_eq!(
        stage.fleet.snapshot(stage.now).workers[0].requests,
        Some(120)
    );
}

#[test]
fn the_number_is_spread_out() {
    let mut app = counting(Some(1000), None);
    app.instances = 16;
    let mut stage = Stage::serving(app);
    for id in 1..=16 {
        serves(&mut stage, WorkerId(id), 1100, 0);
    }
    let workers = stage.fleet.snapshot(stage.now).workers;
    let due = workers.iter().filter(|worker| worker.recycle.is_some());
    let due = due.count();
    assert!(
        (2..=14).contains(&due),
        "{due} of 16 are due halfway through the spread"
    );
}

#[test]
fn what_is_served_before_readiness_counts_as_well() {
    let mut stage = Stage::of(counting(Some(10), None));
    let id = stage.spawned();
    serves(&mut stage, id, 12, 0);
    assert!(stage.orders().is_empty(), "it isn't ready");
    stage.says_ready(id);
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn workers_that_were_to_count_and_do_not_are_told_of_once() {
    let mut app = counting(Some(100), None);
    app.instances = 2;
    let mut stage = Stage::of(app);
    for _ in 0..2 {
        let id = stage.spawned();
        stage.says_ready(id);
    }
    stage.wait(60_000);
    let told = warnings(&stage);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("max_requests does nothing: worker 1"),
        "{told:?}"
    );
    assert_eq!(stage.fleet.next_deadline(), None, "nothing to wake up for");
}

#[test]
fn of_several_generations_that_do_not_count_the_newest_is_told_of() {
    let mut app = counting(Some(100), None);
    app.canary_healthy = Some(Duration::from_secs(60));
    let mut stage = Stage::of(app);
    let first = stage.spawned();
    stage.says_ready(first);
    stage.op(reload(false));
    let second = stage.spawned();
    stage.says_ready(second);
    stage.wait(10_000);
    let told = warnings(&stage);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("worker 2 "), "{told:?}");
    let next = stage.fleet.next_deadline();
    assert!(
        next > Some(stage.now),
        "the other is not due still: {next:?}"
    );
}

#[test]
fn workers_that_count_are_not_warned_of() {
    let mut stage = Stage::of(counting(None, Some(1000)));
    let id = stage.spawned();
    serves(&mut stage, id, 0, 0);
    stage.says_ready(id);
    stage.wait(60_000);
    assert_eq!(warnings(&stage), Vec::<String>::new());
}

// ---- idleness

#[test]
fn one_that_served_and_then_nothing_for_long_is_replaced_once() {
    let mut stage = Stage::serving(counting(None, Some(30_000)));
    serves(&mut stage, FIRST, 0, 0);
    stage.wait(60_000);
    assert!(
        stage.orders().is_empty(),
        "one that never served is as fresh as another"
    );
    serves(&mut stage, FIRST, 5, 1);
    stage.wait(60_000);
    assert!(stage.orders().is_empty(), "a request is under way");
    serves(&mut stage, FIRST, 5, 0);
    stage.wait(29_000);
    serves(&mut stage, FIRST, 6, 0);
    stage.wait(29_999);
    assert!(stage.orders().is_empty(), "not long enough");
    stage.wait(1);
    let second = takes_over(&mut stage, FIRST);
    serves(&mut stage, second, 0, 0);
    stage.wait(600_000);
    assert!(stage.orders().is_empty(), "its successor is fresh");
}

#[test]
fn a_report_that_says_nothing_new_is_no_work() {
    let mut stage = Stage::serving(counting(None, Some(30_000)));
    serves(&mut stage, FIRST, 5, 0);
    stage.wait(20_000);
    serves(&mut stage, FIRST, 5, 0);
    stage.wait(10_000);
    assert_eq!(stage.orders().len(), 1);
}

// ---- the hour

#[test]
fn at_its_hour_all_are_replaced_one_by_one() {
    let mut app = definition("web", 3);
    app.recycle.cron = Some(Schedule::new("0 4 * * *", Some("UTC")).expect("a schedule"));
    let mut stage = Stage::serving(app);
    hour(&mut stage);
    for number in 0..3 {
        let orders = stage.orders_only();
        assert_eq!(orders.len(), 1, "one at a time");
        assert_eq!(orders[0].slot, Slot(number));
        stage.news(orders[0].id, WorkerNews::Spawned { pid: 2 });
        stage.says_ready(orders[0].id);
        stage.wait(1000);
        stage.exits(WorkerId(u64::from(number) + 1), 0);
    }
    let expected = "recycle: the hour has come (cron 0 4 * * * UTC)";
    assert_eq!(reasons(&stage), [expected; 3]);
    assert!(stage.orders().is_empty(), "and that was it");
    assert_eq!(stage.fleet.next_deadline(), None, "the fleet has no clock");
}

#[test]
fn a_stopped_app_has_no_hour() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(stop());
    stage.exits(FIRST, 0);
    stage.actions.clear();
    hour(&mut stage);
    assert!(stage.actions.is_empty());
    assert_eq!(stage.states(), ["stopped"]);
}

#[test]
fn the_hour_during_an_update_is_the_updates() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(reload(false));
    hour(&mut stage);
    let id = stage.spawned();
    stage.says_ready(id);
    stage.wait(2000);
    assert_eq!(reasons(&stage), ["update: reload"]);
    stage.exits(FIRST, 0);
    stage.wait(60_000);
    assert!(stage.orders().is_empty(), "{id} is newer than the hour");
}

#[test]
fn what_has_ended_begins_again_at_its_hour() {
    let mut app = definition("web", 1);
    app.life.oneshot = true;
    app.life.restart = Restart::OnCrash;
    let mut stage = Stage::of(app.clone());
    let first = stage.spawned();
    hour(&mut stage);
    let told = warnings(&stage);
    assert!(told[0].contains("is still at work"), "{told:?}");
    assert!(stage.orders().is_empty());
    stage.exits(first, 0);
    assert_eq!(stage.states(), ["stopped"]);
    app.env.insert("NEW".into(), "1".into());
    stage.input(Input::Define(app));
    hour(&mut stage);
    let orders = stage.orders();
    assert_eq!(orders.len(), 1);
    assert!(
        orders[0].definition.env.contains_key("NEW"),
        "by the newest definition"
    );
}

// ---- limits that are too tight

fn weighs(stage: &mut Stage, id: WorkerId, bytes: u64) {
    stage.news(id, WorkerNews::Memory(bytes));
}

fn tight() -> Stage {
    let mut app = definition("web", 1);
    app.recycle.max_memory = Some(MemoryLimit {
        soft: 1000,
        hard: None,
    });
    Stage::serving(app)
}

#[test]
fn workers_too_large_from_birth_are_replaced_ever_less_often() {
    let mut stage = tight();
    weighs(&mut stage, FIRST, 1500);
    let mut worker = takes_over(&mut stage, FIRST);
    for (round, respite) in [60, 120, 240, 480].into_iter().enumerate() {
        stage.actions.clear();
        weighs(&mut stage, worker, 1500);
        let told = warnings(&stage);
        assert_eq!(told.len(), usize::from(round == 0), "{told:?}");
        assert!(
            told.iter().all(|told| told.contains("raise the limit")),
            "{told:?}"
        );
        // It was watched for a second.
        stage.wait(respite * 1000 - 1001);
        assert!(stage.orders().is_empty(), "{respite} s are not over");
        let shown = stage.fleet.snapshot(stage.now).workers.remove(0).recycle;
        assert!(shown.expect("it is due").contains("in 1ms"));
        stage.wait(1);
        worker = takes_over(&mut stage, worker);
    }
}

#[test]
fn a_respite_is_an_hour_at_most_and_the_usual_one_after_a_good_while() {
    let mut stage = tight();
    let mut worker = FIRST;
    for _ in 0..10 {
        weighs(&mut stage, worker, 1500);
        stage.wait(3_600_000);
        worker = takes_over(&mut stage, worker);
    }
    stage.wait(3_600_000);
    weighs(&mut stage, worker, 1500);
    worker = takes_over(&mut stage, worker);
    weighs(&mut stage, worker, 1500);
    stage.wait(60_000);
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn one_that_gives_back_what_it_had_too_much_stays() {
    let mut stage = tight();
    weighs(&mut stage, FIRST, 1500);
    let worker = takes_over(&mut stage, FIRST);
    weighs(&mut stage, worker, 1500);
    stage.wait(10_000);
    weighs(&mut stage, worker, 900);
    stage.wait(600_000);
    assert!(stage.orders().is_empty());
}

// ---- a slot that ends for good meanwhile

fn ends_for_good(mut app: AppDefinition) -> Stage {
    app.stop_exit_codes = vec![0];
    let mut stage = Stage::serving(app);
    weighs(&mut stage, FIRST, 1500);
    stage
}

#[test]
fn a_trial_does_not_bring_a_slot_back_that_ended_for_good() {
    let mut app = definition("web", 1);
    app.recycle.max_memory = Some(MemoryLimit {
        soft: 1000,
        hard: None,
    });
    let mut stage = ends_for_good(app);
    let successor = stage.spawned();
    stage.exits(FIRST, 0);
    assert_eq!(stage.signals(successor), [15]);
    stage.exits(successor, 0);
    stage.wait(600_000);
    assert_eq!(stage.states(), ["stopped"]);
    stage.op(start());
    assert_eq!(stage.orders().len(), 1, "a command does");
}

#[test]
fn neither_does_an_update_and_it_goes_on_with_the_others() {
    let mut app = definition("web", 2);
    app.stop_exit_codes = vec![0];
    let mut stage = Stage::serving(app);
    let op = stage.op(reload(false));
    let successor = stage.spawned();
    stage.exits(FIRST, 0);
    assert_eq!(stage.signals(successor), [15]);
    let next = stage.spawned();
    stage.says_ready(next);
    stage.exits(successor, 0);
    stage.wait(10_000);
    stage.exits(WorkerId(2), 0);
    assert_eq!(stage.states(), ["stopped", "ready"]);
    assert_eq!(
        stage.outcome(op),
        Some(ostler_bus::vocab::control::Outcome::Done)
    );
}

#[test]
fn nor_one_that_fell_and_is_not_to_be_restarted() {
    let mut app = definition("web", 1);
    app.life.restart = Restart::Never;
    app.recycle.max_memory = Some(MemoryLimit {
        soft: 1000,
        hard: None,
    });
    let mut stage = Stage::serving(app);
    weighs(&mut stage, FIRST, 1500);
    let successor = stage.spawned();
    stage.says_ready(successor);
    let killed = Exit {
        status: ExitStatus::Signal("SIGSEGV".into()),
        stderr_tail: Vec::new(),
        hint: None,
        core_dumped: false,
    };
    stage.news(FIRST, WorkerNews::Exited(killed));
    assert_eq!(stage.signals(successor), [0]);
    stage.exits(successor, 0);
    stage.wait(600_000);
    assert_eq!(stage.states(), ["stopped"]);
}
