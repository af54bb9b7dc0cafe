//! How many workers an update replaces at once, who goes first, and what becomes of an update that fails.

use std::collections::BTreeMap;

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{AppReload, Outcome, ScaleTo},
        update::{Drainer, UpdateRolledBack, UpdateStep},
        worker::{AppErrors, ExitStatus, Holding},
    },
};

use crate::{
    config::app::{
        AppDefinition,
        life::Restart,
        update::{Canary, OnFailure, Share, Strategy, UpdateRules},
    },
    fleet::{
        Command, Exit, FleetEvent, Input, SpawnOrder, WorkerNews,
        testing::{Stage, definition, reload, scale, stop},
    },
};

fn web(instances: u32, update: UpdateRules) -> AppDefinition {
    AppDefinition {
        update,
        ..definition("web", instances)
    }
}

fn rules(strategy: Strategy) -> UpdateRules {
    UpdateRules {
        strategy,
        ..UpdateRules::default()
    }
}

fn surge(surge: u32, missing: u32) -> UpdateRules {
    UpdateRules {
        max_surge: Share::Count(surge),
        max_unavailable: Some(Share::Count(missing)),
        ..UpdateRules::default()
    }
}

fn rolls_back() -> UpdateRules {
    UpdateRules {
        on_failure: OnFailure::Rollback,
        ..UpdateRules::default()
    }
}

/// The slots of these orders.
fn slots(orders: &[SpawnOrder]) -> Vec<u32> {
    orders.iter().map(|order| order.slot.0).collect()
}

/// These start and are ready.
fn start(stage: &mut Stage, orders: &[SpawnOrder]) {
    for order in orders {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
        stage.says_ready(order.id);
    }
}

/// Whoever was told to go since the last look goes.
fn let_go(stage: &mut Stage) -> Vec<u64> {
    let gone: Vec<WorkerId> = draining(stage);
    for id in &gone {
        stage.exits(*id, 0);
    }
    gone.iter().map(|id| id.0).collect()
}

fn draining(stage: &Stage) -> Vec<WorkerId> {
    let told = stage.events().filter_map(|event| match event {
        FleetEvent::WorkerDraining(event) => Some(event.worker.id),
        _ => None,
    });
    told.collect()
}

fn rolled_back(stage: &Stage) -> Option<UpdateRolledBack> {
    stage.events().find_map(|event| match event {
        FleetEvent::UpdateRolledBack(event) => Some(event.clone()),
        _ => None,
    })
}

fn generations(stage: &Stage) -> Vec<u64> {
    let workers = stage.fleet.snapshot(stage.now).workers.into_iter();
    let current = workers.filter(|worker| worker.current);
    current.map(|worker| worker.generation.0).collect()
}

/// An app of which all but `left` slots have been replaced by generation 2.
fn half_way(instances: u32, left: u32, update: UpdateRules) -> (Stage, ostler_bus::OpId) {
    let mut stage = Stage::serving(web(instances, update));
    let op = stage.op(reload(false));
    for done in 0..instances - left {
        let orders = stage.orders_only();
        assert_eq!(slots(&orders), [done]);
        start(&mut stage, &orders);
        stage.wait(2_000);
        stage.exits(WorkerId(u64::from(done) + 1), 0);
    }
    (stage, op)
}

#[test]
fn so_many_come_beside_the_others_once_the_canary_has_proved_itself() {
    let mut stage = Stage::serving(web(6, surge(3, 0)));
    stage.op(reload(false));
    let canary = stage.orders_only();
    assert_eq!(slots(&canary), [0], "alone");
    start(&mut stage, &canary);
    stage.wait(2_000);
    let next = stage.orders_only();
    assert_eq!(slots(&next), [1, 2, 3]);
    assert_eq!(draining(&stage), [WorkerId(1)], "nobody else goes before");
}

#[test]
fn so_many_may_be_missing_and_their_successors_start_at_once() {
    let mut stage = Stage::serving(web(4, surge(0, 2)));
    stage.op(reload(false));
    assert_eq!(draining(&stage), [WorkerId(1)], "the canary's slot alone");
    let canary = stage.orders_only();
    assert_eq!(slots(&canary), [0], "beside one that drains");
    start(&mut stage, &canary);
    stage.exits(WorkerId(1), 0);
    stage.actions.clear();
    stage.wait(2_000);
    assert_eq!(draining(&stage), [WorkerId(2), WorkerId(3)]);
    assert_eq!(slots(&stage.orders_only()), [1, 2]);
    assert_eq!(stage.signals(WorkerId(4)), [0; 0], "two are missing");
}

#[test]
fn whoever_crashed_counts_among_the_missing() {
    let mut stage = Stage::serving(web(3, surge(0, 1)));
    // It backs off: it goes by itself, soon after it began.
    stage.exits(WorkerId(3), 1);
    let again = stage.spawned();
    stage.exits(again, 1);
    stage.actions.clear();
    stage.op(reload(false));
    assert_eq!(draining(&stage), [], "one is missing already");
    assert_eq!(slots(&stage.orders_only()), [2], "that one comes first");
}

#[test]
fn replace_starts_a_slots_next_worker_when_its_last_one_is_gone() {
    let mut stage = Stage::serving(web(2, rules(Strategy::Replace)));
    let op = stage.op(reload(false));
    let stopping = stage.events().any(|event| {
        matches!(event, FleetEvent::UpdateProgress(event) if event.step == UpdateStep::Stopping)
    });
    assert!(stopping);
    assert!(stage.orders_only().is_empty());
    assert_eq!(let_go(&mut stage), [1]);
    let first = stage.orders_only();
    assert_eq!(slots(&first), [0]);
    stage.actions.clear();
    start(&mut stage, &first);
    stage.wait(2_000);
    assert_eq!(let_go(&mut stage), [2]);
    let second = stage.orders_only();
    start(&mut stage, &second);
    stage.wait(1_000);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn replace_goes_back_to_the_old_definition_when_the_new_one_fails_and_is_gone() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Replace)));
    stage.op(reload(false));
    let_go(&mut stage);
    let bad = stage.orders_only().remove(0);
    stage.news(bad.id, WorkerNews::Spawned { pid: 1 });
    stage.news(bad.id, WorkerNews::BusConnected);
    stage.wait(32_000);
    assert!(stage.orders_only().is_empty(), "the bad one is still there");
    stage.exits(bad.id, 0);
    assert_eq!(stage.orders_only()[0].generation.0, 1);
}

#[test]
fn versions_that_must_not_meet_never_do() {
    let mut stage = Stage::serving(web(3, rules(Strategy::AllAtOnce)));
    let op = stage.op(reload(false));
    assert_eq!(draining(&stage).len(), 3);
    for id in [1, 2] {
        stage.exits(WorkerId(id), 0);
    }
    assert!(stage.orders_only().is_empty(), "one old one is there still");
    stage.exits(WorkerId(3), 0);
    let orders = stage.orders_only();
    assert_eq!(slots(&orders), [0, 1, 2]);
    start(&mut stage, &orders[..2]);
    stage.wait(5_000);
    assert_eq!(stage.outcome(op), None, "they take over together");
    start(&mut stage, &orders[2..]);
    stage.wait(2_000);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn versions_that_must_not_meet_agree_when_an_update_of_a_growing_app_fails() {
    let mut stage = Stage::serving(web(1, rules(Strategy::AllAtOnce)));
    stage.op(reload(false));
    let_go(&mut stage);
    let first = stage.orders_only();
    start(&mut stage, &first);
    stage.now = stage.now + std::time::Duration::from_secs(2);
    // The first takes over in the step in which there are more.
    stage.op(scale(ScaleTo::Exactly(3)));
    let others = stage.orders_only();
    assert_eq!(slots(&others), [1, 2]);
    stage.exits(others[0].id, 1);
    stage.exits(others[1].id, 1);
    stage.wait(1_000);
    let again = stage.orders_only();
    assert_eq!(slots(&again), [1, 2]);
    assert!(again.iter().all(|order| order.generation.0 == 2));
    start(&mut stage, &again);
    assert_eq!(generations(&stage), [2, 2, 2]);
    assert_eq!(stage.app().ready, 3);
}

#[test]
fn a_slot_that_has_ended_does_not_call_a_finished_update_back() {
    let mut app = web(1, rules(Strategy::AllAtOnce));
    app.life.restart = Restart::OnCrash;
    let mut stage = Stage::serving(app.clone());
    stage.exits(WorkerId(1), 0);
    app.env.insert("NEW".into(), "1".into());
    let op = stage.op(Command::TakeUp(vec![app]));
    assert_eq!(stage.outcome(op), Some(Outcome::Done), "nobody to replace");
    stage.op(scale(ScaleTo::Exactly(2)));
    let further = stage.orders_only();
    assert_eq!(slots(&further), [1]);
    assert_eq!(further[0].generation.0, 2);
}

#[test]
fn all_go_back_at_once_when_one_of_them_fails() {
    let mut stage = Stage::serving(web(2, rules(Strategy::AllAtOnce)));
    stage.op(reload(false));
    let_go(&mut stage);
    let orders = stage.orders_only();
    start(&mut stage, &orders[..1]);
    stage.news(orders[1].id, WorkerNews::Spawned { pid: 1 });
    stage.exits(orders[1].id, 1);
    assert!(stage.orders_only().is_empty(), "a new one is there still");
    stage.exits(orders[0].id, 0);
    let old = stage.orders_only();
    assert_eq!(slots(&old), [0, 1]);
    assert!(old.iter().all(|order| order.generation.0 == 1));
}

#[test]
fn several_canaries_prove_themselves_before_the_others_follow() {
    let update = UpdateRules {
        canary: Canary {
            instances: Share::Percent(30),
            ..Canary::default()
        },
        ..surge(4, 0)
    };
    let mut stage = Stage::serving(web(6, update));
    stage.op(reload(false));
    let canaries = stage.orders_only();
    assert_eq!(slots(&canaries), [0, 1]);
    start(&mut stage, &canaries);
    stage.wait(1_999);
    assert_eq!(draining(&stage), []);
    stage.wait(1);
    assert_eq!(draining(&stage), [WorkerId(1), WorkerId(2)]);
}

#[test]
fn a_worker_that_fails_too_many_requests_aborts_the_update() {
    let update = UpdateRules {
        canary: Canary {
            max_errors: Some(5.0),
            ..Canary::default()
        },
        ..UpdateRules::default()
    };
    let mut stage = Stage::serving(web(2, update));
    let op = stage.op(reload(false));
    let canary = stage.orders_only();
    start(&mut stage, &canary);
    let mut tells = |id, requests, errors| {
        let numbers = AppErrors { requests, errors };
        stage.news(id, WorkerNews::Errors(numbers));
        stage.outcome(op)
    };
    assert_eq!(tells(canary[0].id, 19, 19), None, "too few to say");
    assert_eq!(tells(WorkerId(2), 100, 90), None, "an old one");
    assert_eq!(tells(canary[0].id, 100, 5), None, "as many as may fail");
    let Some(Outcome::Failed(why)) = tells(canary[0].id, 100, 6) else {
        panic!("the update goes on");
    };
    assert!(why.contains("failed 6 of 100 requests (6.0%)"), "{why}");
    assert_eq!(generations(&stage), [1, 1]);
}

#[test]
fn what_was_replaced_goes_back_by_the_same_rules() {
    let (mut stage, op) = half_way(3, 1, rolls_back());
    let bad = stage.orders_only();
    stage.news(bad[0].id, WorkerNews::Spawned { pid: 1 });
    stage.actions.clear();
    stage.exits(bad[0].id, 1);
    assert_eq!(stage.outcome(op), None, "not before it has gone back");
    for slot in 0..2 {
        let old = stage.orders_only();
        assert_eq!((slots(&old), old[0].generation.0), (vec![slot], 1));
        start(&mut stage, &old);
        assert_eq!(draining(&stage), [], "it has to prove itself too");
        stage.wait(1_000);
        assert_eq!(let_go(&mut stage).len(), 1);
        if slot == 0 {
            stage.actions.retain(|action| {
                !matches!(
                    action,
                    crate::fleet::Action::Publish(event) if matches!(**event, FleetEvent::WorkerDraining(_))
                )
            });
        }
    }
    let back = rolled_back(&stage).expect("an end");
    assert_eq!((back.generation.0, back.slots, back.failed), (2, 2, None));
    let Some(Outcome::Failed(why)) = stage.outcome(op) else {
        panic!("no success");
    };
    assert!(
        why.contains("exited with code 1") && why.ends_with("rolled back"),
        "{why}"
    );
    assert_eq!(generations(&stage), [1, 1, 1]);
}

#[test]
fn a_rollback_whose_last_slot_is_started_by_command_is_over() {
    let mut app = web(1, rolls_back());
    (app.max_restarts, app.max_draining) = (0, Some(1));
    let mut stage = Stage::serving(app);
    let op = stage.op(reload(false));
    let successor = stage.orders_only();
    start(&mut stage, &successor);
    stage.wait(2_000);
    stage.exits(successor[0].id, 1);
    assert_eq!(stage.outcome(op), None, "as many drain as may");
    stage.op(crate::fleet::testing::start());
    let back = stage.orders_only();
    assert_eq!((slots(&back), back[0].generation.0), (vec![0], 1));
    assert!(
        rolled_back(&stage).is_some(),
        "there is nothing left to do for it"
    );
    assert!(stage.outcome(op).is_some());
}

#[test]
fn a_rollback_that_fails_itself_is_told() {
    let (mut stage, op) = half_way(2, 1, rolls_back());
    for _ in 0..2 {
        let orders = stage.orders_only();
        stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
        stage.exits(orders[0].id, 1);
    }
    let back = rolled_back(&stage).expect("an end");
    assert!(
        back.failed.is_some_and(|why| why.contains("generation 1")),
        "which worker it was that failed"
    );
    let Some(Outcome::Failed(why)) = stage.outcome(op) else {
        panic!("no success");
    };
    assert!(why.contains("the rollback failed too"), "{why}");
    assert_eq!(generations(&stage), [2, 1], "left as it is");
    assert_eq!(stage.app().state, "running");
}

#[test]
fn a_crash_after_the_last_slot_goes_back_as_long_as_the_update_runs() {
    let mut stage = Stage::serving(web(1, rolls_back()));
    stage.op(reload(false));
    let new = stage.orders_only();
    start(&mut stage, &new);
    stage.wait(2_000);
    // Its predecessor drains still.
    stage.exits(new[0].id, 1);
    assert_eq!(stage.app().state, "rolling back");
    let orders = stage.orders_only();
    assert!(orders.iter().any(|order| order.generation.0 == 1));
}

#[test]
fn a_stop_goes_before_a_rollback_and_a_later_request_after_it() {
    let (mut stage, op) = half_way(2, 1, rolls_back());
    let bad = stage.spawned();
    stage.exits(bad, 1);
    let later = stage.op(reload(false));
    assert_eq!(stage.outcome(later), None);
    assert_eq!(stage.app().state, "rolling back");
    stage.op(stop());
    assert!(rolled_back(&stage).is_some_and(|back| back.failed.is_some()));
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    assert!(matches!(stage.outcome(later), Some(Outcome::Superseded(_))));
}

fn with(env: &[(&str, &str)], inherit: &[(&str, &str)]) -> Command {
    let map = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let map: BTreeMap<String, String> = pairs.collect();
        (!map.is_empty()).then_some(map)
    };
    Command::Reload(AppReload {
        app: None,
        reason: None,
        now: true,
        env: map(env),
        inherit: map(inherit),
    })
}

#[test]
fn variables_belong_to_a_generation_and_what_is_inherited_stays() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
    stage.op(with(&[("A", "1")], &[("HOME", "/new")]));
    let first = stage.orders_only();
    let extra = |order: &SpawnOrder| order.definition.overlay.extra.clone();
    assert_eq!(extra(&first[0]).get("A").map(String::as_str), Some("1"));
    start(&mut stage, &first);
    stage.wait(2_000);
    stage.exits(WorkerId(1), 0);
    stage.wait(10_000);
    stage.exits(first[0].id, 1);
    let again = stage.orders_only();
    assert_eq!(again[0].definition, first[0].definition, "after a crash");
    stage.op(reload(true));
    let next = stage.orders_only();
    assert!(extra(&next[0]).is_empty(), "not the next generation's");
    let inherited = next[0].definition.overlay.inherited.as_ref();
    assert!(
        inherited.is_some_and(|all| all.contains_key("HOME")),
        "until something else is brought"
    );
    let same = web(1, rules(Strategy::Surge));
    stage.input(Input::Define(same.clone()));
    let plan = stage.fleet.plan(&[same]);
    assert_eq!(plan[0].1, crate::fleet::Change::Same, "no file says it");
}

#[test]
fn requests_that_join_bring_their_variables_together() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
    stage.op(reload(false));
    stage.orders_only();
    let pending = |env: &[(&str, &str)]| match with(env, &[]) {
        Command::Reload(reload) => Command::Reload(AppReload {
            now: false,
            ..reload
        }),
        other => other,
    };
    stage.op(pending(&[("A", "1"), ("B", "1")]));
    stage.op(pending(&[("B", "2")]));
    stage.op(with(&[], &[]));
    let order = stage.orders_only().remove(0);
    let extra = &order.definition.overlay.extra;
    assert_eq!((&*extra["A"], &*extra["B"]), ("1", "2"));
}

#[test]
fn what_is_no_variable_is_refused() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0")] {
        stage.refused(with(&[(name, value)], &[]));
        stage.refused(with(&[], &[(name, value)]));
    }
    assert!(stage.orders_only().is_empty());
}

#[test]
fn what_a_worker_tells_of_itself_goes_before_what_is_counted() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
    stage.op(reload(false));
    let new = stage.orders_only();
    start(&mut stage, &new);
    stage.wait(2_000);
    stage.wait(4_000);
    stage.actions.clear();
    let told = Holding {
        held: 2,
        requests: Some(1),
    };
    for news in [
        WorkerNews::Counted(Some(7)),
        WorkerNews::Counted(Some(7)),
        WorkerNews::Counted(None),
        WorkerNews::Counted(None),
        WorkerNews::Counted(Some(6)),
        WorkerNews::Holds(told),
        WorkerNews::Counted(Some(6)),
        WorkerNews::Counted(None),
    ] {
        stage.news(WorkerId(1), news);
    }
    let held: Vec<_> = stage
        .events()
        .filter_map(|event| match event {
            FleetEvent::UpdateProgress(event) => Some(&event.draining[0]),
            _ => None,
        })
        .map(|drainer| (drainer.held, drainer.held_requests))
        .collect();
    let counted = [(Some(7), None), (None, None), (Some(6), None)];
    assert_eq!(held[..3], counted);
    assert_eq!(held[3..], [(Some(2), Some(1))]);
}

#[test]
fn what_was_counted_is_told_of_one_that_is_killed_unless_it_is_old() {
    for (seconds, told) in [(5, Some(7)), (6, None)] {
        let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
        stage.op(reload(false));
        let new = stage.orders_only();
        start(&mut stage, &new);
        stage.wait(2_000);
        stage.wait(4_000);
        stage.news(WorkerId(1), WorkerNews::Counted(Some(7)));
        stage.wait(seconds * 1_000);
        // What has just ended can't be counted.
        stage.news(WorkerId(1), WorkerNews::Counted(None));
        stage.actions.clear();
        let killed = Exit {
            status: ExitStatus::Signal("SIGKILL".into()),
            stderr_tail: Vec::new(),
            hint: None,
            core_dumped: false,
        };
        stage.news(WorkerId(1), WorkerNews::Exited(killed));
        let exit = stage.events().find_map(|event| match event {
            FleetEvent::WorkerExited(event) => Some(event.held),
            _ => None,
        });
        assert_eq!(exit, Some(told), "{seconds}");
    }
}

#[test]
fn those_that_drain_are_told_with_what_they_hold_and_how_long_they_have() {
    let mut stage = Stage::serving(web(1, rules(Strategy::Surge)));
    stage.op(reload(false));
    let new = stage.orders_only();
    start(&mut stage, &new);
    stage.wait(2_000);
    stage.wait(4_000);
    stage.actions.clear();
    for requests in [5, 5, 4] {
        let holding = Holding {
            held: 3,
            requests: Some(requests),
        };
        stage.news(WorkerId(1), WorkerNews::Holds(holding));
    }
    let told: Vec<_> = stage
        .events()
        .filter_map(|event| match event {
            FleetEvent::UpdateProgress(event) => Some((event.step.clone(), event.draining.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 2, "when it changes");
    assert_eq!(told[0].0, UpdateStep::Draining);
    let drainer = |held_requests| Drainer {
        slot: Slot(0),
        worker: WorkerId(1),
        held: Some(3),
        held_requests: Some(held_requests),
        left_ms: Some(26_000),
    };
    assert_eq!(told[0].1, [drainer(5)]);
    assert_eq!(told[1].1, [drainer(4)]);
}
