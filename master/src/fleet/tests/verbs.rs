//! Restarting, deleting, adding, single slots, and the words that choose them.

use std::time::Duration;

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        commands::{AppAwait, AppDelete, AppRestart},
        control::{Answer, AppReset, AppStart, AppStop, Outcome, RefusalKind, ScaleTo},
    },
};

use crate::{
    config::app::{
        AppDefinition, AppName,
        hooks::{Hook, HookKind},
    },
    fleet::{
        Action, Command, FleetEvent, Input, WorkerNews,
        testing::{Stage, definition, reload, scale, start, stop},
    },
};

fn some(app: &str) -> Option<String> {
    Some(app.to_owned())
}

fn restart(app: &str) -> Command {
    Command::Restart(AppRestart { app: some(app) })
}

fn stop_of(app: &str) -> Command {
    Command::Stop(AppStop { app: some(app) })
}

fn start_of(app: &str) -> Command {
    Command::Start(AppStart { app: some(app) })
}

fn delete(app: &str, keep_running: bool) -> Command {
    let app = app.to_owned();
    Command::Delete(AppDelete { app, keep_running })
}

fn within(namespace: &str, name: &str) -> AppDefinition {
    let mut app = definition(name, 1);
    app.namespace = AppName::new(namespace).ok();
    app
}

/// The slots whose workers were told to go since the last look.
fn told_to_go(stage: &Stage) -> Vec<(String, Slot)> {
    let told = stage.events().filter_map(|event| match event {
        FleetEvent::WorkerDraining(event) => Some((event.worker.app.clone(), event.worker.slot)),
        _ => None,
    });
    told.collect()
}

/// All that are ordered start and say that they are ready.
fn let_come(stage: &mut Stage) {
    loop {
        let orders = stage.orders_only();
        if orders.is_empty() {
            return;
        }
        for order in orders {
            stage.news(order.id, WorkerNews::Spawned { pid: 1 });
            stage.says_ready(order.id);
        }
    }
}

/// Three apps of one worker each: `api` and `web` of the namespace `shop`, `jobs` of none.
fn three() -> Stage {
    let apps = vec![
        within("shop", "api"),
        definition("jobs", 1),
        within("shop", "web"),
    ];
    let mut stage = Stage::of_all(apps);
    let_come(&mut stage);
    stage.wait(10_000);
    stage.actions.clear();
    stage
}

// ---- selectors

#[test]
fn apps_are_chosen_by_name_namespace_pattern_and_all() {
    for (selector, apps) in [
        ("web", vec!["web"]),
        ("shop", vec!["web", "api"]),
        ("shop/web", vec!["web"]),
        ("shop/*", vec!["web", "api"]),
        ("*/a*", vec!["api"]),
        ("w?b", vec!["web"]),
        ("*", vec!["web", "jobs", "api"]),
        ("all", vec!["web", "jobs", "api"]),
        ("jobs,api", vec!["jobs", "api"]),
        ("jobs  api, jobs", vec!["jobs", "api"]),
        ("3", vec!["web"]),
        ("web:0", vec!["web"]),
    ] {
        let mut stage = three();
        stage.op(stop_of(selector));
        let mut told: Vec<String> = told_to_go(&stage).into_iter().map(|(app, _)| app).collect();
        told.reverse();
        assert_eq!(told, apps, "{selector}");
    }
}

#[test]
fn what_matches_nothing_is_refused_with_the_nearest() {
    let mut stage = three();
    let mut reason = |selector: &str| match stage.ask(stop_of(selector)) {
        Answer::Refused { kind, reason } => {
            assert_eq!(kind, RefusalKind::UnknownName, "{selector}");
            reason
        }
        Answer::Accepted { .. } => panic!("{selector} was accepted"),
    };
    let known = "there are: api, jobs, web, shop";
    assert_eq!(
        reason("weeb"),
        format!("there is no app \"weeb\"; did you mean \"web\"?; {known}")
    );
    assert!(reason("shopp").contains("did you mean \"shop\""));
    assert_eq!(
        reason("99"),
        format!("there is no app and no worker \"99\"; {known}")
    );
    assert_eq!(reason("x*"), format!("there is no app \"x*\"; {known}"));
    assert_eq!(
        reason("web:1"),
        "there is no slot \"1\": web has slot 0 alone"
    );
    assert!(reason("web:x").contains("there is no slot"));
    assert!(reason(" , ").contains("there is no app"));
    assert!(reason("[").contains("there is no app"));
    // One bad word, and nothing is done.
    assert!(reason("web nobody").contains("nobody"));
    assert_eq!(told_to_go(&stage), []);
}

#[test]
fn an_app_goes_before_a_worker_and_a_namespace_of_its_name() {
    let mut stage = Stage::of_all(vec![definition("1", 1), within("1", "b")]);
    let_come(&mut stage);
    stage.actions.clear();
    stage.op(stop_of("1"));
    assert_eq!(told_to_go(&stage), [("1".to_owned(), Slot(0))]);
}

#[test]
fn what_is_for_whole_apps_is_refused_for_a_slot() {
    let mut stage = Stage::serving(definition("web", 2));
    assert_eq!(stage.refused(delete("web:1", false)), RefusalKind::Invalid);
    let sized = Command::Scale(ostler_bus::vocab::control::AppScale {
        app: "web:1".into(),
        to: ScaleTo::Exactly(1),
    });
    assert_eq!(stage.refused(sized), RefusalKind::Invalid);
    let Command::Reload(mut rolled) = reload(false) else {
        panic!("a reload")
    };
    rolled.app = some("2");
    assert_eq!(stage.refused(Command::Reload(rolled)), RefusalKind::Invalid);
}

#[test]
fn workers_are_chosen_with_those_on_their_way_out() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(scale(ScaleTo::Exactly(1)));
    let chosen = |selector| {
        stage
            .fleet
            .workers(selector)
            .map(|ids| ids.into_iter().collect())
    };
    assert_eq!(chosen(None), Ok(vec![WorkerId(1), WorkerId(2)]));
    assert_eq!(chosen(Some("web")), Ok(vec![WorkerId(1), WorkerId(2)]));
    assert_eq!(chosen(Some("web:0")), Ok(vec![WorkerId(1)]));
    assert_eq!(chosen(Some("2")), Ok(vec![WorkerId(2)]));
    assert_eq!(
        stage.fleet.workers(Some("7")).unwrap_err().0,
        RefusalKind::UnknownName
    );
}

// ---- restart

#[test]
fn a_restart_stops_all_and_then_starts_all_with_the_newest_definition() {
    let mut stage = Stage::serving(definition("web", 2));
    let mut next = definition("web", 2);
    next.command = vec!["new".into()];
    stage.input(Input::Define(next));
    let op = stage.op(restart("web"));
    assert_eq!(stage.app().state, "restarting");
    assert_eq!(told_to_go(&stage).len(), 2);
    stage.exits(WorkerId(1), 0);
    assert!(stage.orders_only().is_empty(), "the other is still there");
    stage.exits(WorkerId(2), 9);
    let orders = stage.orders_only();
    assert_eq!(orders.len(), 1, "serially, as at a start");
    assert_eq!(orders[0].definition.command, ["new"]);
    assert_eq!((orders[0].slot, orders[0].generation.0), (Slot(0), 2));
    stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(orders[0].id);
    assert_eq!(stage.outcome(op), None);
    let_come(&mut stage);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.app().state, "running");
}

#[test]
fn a_restart_starts_what_is_stopped_and_overtakes_an_update_and_is_overtaken_by_a_stop() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(stop());
    stage.exits(WorkerId(1), 0);
    let op = stage.op(restart("web"));
    let_come(&mut stage);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    let update = stage.op(reload(false));
    stage.op(restart("web"));
    let overtaken = Outcome::Superseded("restart".into());
    assert_eq!(stage.outcome(update), Some(overtaken));
    let op = stage.op(restart("web"));
    stage.op(stop());
    assert_eq!(stage.outcome(op), Some(Outcome::Superseded("stop".into())));
    for worker in stage.fleet.snapshot(stage.now).workers {
        stage.exits(worker.id.expect("one that goes"), 0);
    }
    stage.actions.clear();
    stage.wait(60_000);
    assert!(stage.orders().is_empty(), "a stop wins");
    let parked = stage.op(scale(ScaleTo::Exactly(0)));
    assert_eq!(stage.outcome(parked), Some(Outcome::Done));
    assert_eq!(stage.refused(restart("web")), RefusalKind::WrongState);
}

#[test]
fn a_reload_during_a_restart_is_part_of_it() {
    let mut stage = Stage::serving(definition("web", 1));
    let restarted = stage.op(restart("web"));
    let reloaded = stage.op(reload(false));
    stage.exits(WorkerId(1), 0);
    let_come(&mut stage);
    let both = [restarted, reloaded].map(|op| stage.outcome(op));
    assert_eq!(both, [Some(Outcome::Done), Some(Outcome::Done)]);
}

#[test]
fn a_restart_that_does_not_come_up_fails_with_the_reason() {
    let mut stage = Stage::serving(definition("web", 1));
    let op = stage.op(restart("web"));
    stage.exits(WorkerId(1), 1);
    let order = stage.orders_only().remove(0);
    stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    stage.exits(order.id, 3);
    let Some(Outcome::Failed(why)) = stage.outcome(op) else {
        panic!("{:?}", stage.outcome(op))
    };
    assert!(why.contains("exited with code 3"), "{why}");
}

#[test]
fn a_single_worker_is_restarted_beside_the_others() {
    let mut stage = Stage::serving(definition("web", 3));
    let op = stage.op(restart("2"));
    assert_eq!(told_to_go(&stage), [("web".to_owned(), Slot(1))]);
    stage.exits(WorkerId(2), 7);
    let orders = stage.orders_only();
    assert_eq!((orders[0].slot, orders[0].generation.0), (Slot(1), 1));
    stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(orders[0].id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready"; 3]);
    let restarts = stage.fleet.snapshot(stage.now).workers[1].restarts;
    assert_eq!(restarts, 0, "it was asked for");
}

// ---- single slots

#[test]
fn a_stopped_slot_stays_so_through_crashes_updates_and_sizes() {
    let mut stage = Stage::serving(definition("web", 3));
    let op = stage.op(stop_of("web:1"));
    assert_eq!(stage.outcome(op), None);
    stage.exits(WorkerId(2), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready", "stopped", "ready"]);
    assert_eq!(
        (stage.app().state.as_str(), stage.app().ready),
        ("running", 2)
    );
    let update = stage.op(reload(false));
    for old in [1, 3] {
        let order = stage.orders_only().remove(0);
        assert_ne!(order.slot, Slot(1));
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
        stage.says_ready(order.id);
        stage.wait(3_000);
        stage.exits(WorkerId(old), 0);
    }
    assert_eq!(stage.outcome(update), Some(Outcome::Done));
    stage.op(scale(ScaleTo::More(1)));
    let_come(&mut stage);
    assert_eq!(stage.states(), ["ready", "stopped", "ready", "ready"]);
    let op = stage.op(start_of("web:1"));
    let order = stage.orders_only().remove(0);
    assert_eq!(
        (order.slot, order.generation.0),
        (Slot(1), 2),
        "what serves now"
    );
    stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(order.id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn an_app_whose_slots_are_all_stopped_is_stopped_and_start_brings_all_back() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(stop_of("web:0 web:1"));
    stage.exits(WorkerId(1), 0);
    stage.exits(WorkerId(2), 0);
    assert_eq!(stage.app().state, "stopped");
    let op = stage.op(start());
    let_come(&mut stage);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready", "ready"]);
}

#[test]
fn one_slot_of_a_stopped_app_is_started_alone() {
    let mut stage = Stage::serving(definition("web", 3));
    stage.op(stop());
    for id in 1..=3 {
        stage.exits(WorkerId(id), 0);
    }
    let op = stage.op(start_of("web:2"));
    let_come(&mut stage);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["stopped", "stopped", "ready"]);
}

#[test]
fn a_slot_that_was_scaled_away_is_not_remembered_as_stopped() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(stop_of("web:1"));
    stage.exits(WorkerId(2), 0);
    stage.op(scale(ScaleTo::Exactly(1)));
    stage.op(scale(ScaleTo::Exactly(2)));
    let_come(&mut stage);
    assert_eq!(stage.states(), ["ready", "ready"]);
}

#[test]
fn a_slot_that_comes_again_before_its_worker_has_gone_overtakes_its_stop() {
    let mut stage = Stage::serving(definition("web", 2));
    let op = stage.op(stop_of("web:1"));
    stage.op(scale(ScaleTo::Exactly(1)));
    assert_eq!(stage.outcome(op), None, "its worker is on its way");
    stage.op(scale(ScaleTo::Exactly(2)));
    assert_eq!(stage.outcome(op), Some(Outcome::Superseded("scale".into())));
    stage.exits(WorkerId(2), 0);
    let_come(&mut stage);
    assert_eq!(stage.states(), ["ready", "ready"]);
}

#[test]
fn one_slots_counters_are_reset() {
    let mut stage = Stage::serving(definition("web", 2));
    for id in [1, 2] {
        stage.exits(WorkerId(id), 1);
    }
    let_come(&mut stage);
    let reset = Command::Reset(AppReset { app: some("web:0") });
    stage.op(reset);
    let workers = stage.fleet.snapshot(stage.now).workers;
    assert_eq!([workers[0].restarts, workers[1].restarts], [0, 1]);
}

// ---- delete

#[test]
fn a_deleted_app_stops_and_is_forgotten() {
    let mut stage = three();
    let op = stage.op(delete("shop", false));
    assert_eq!(stage.refused(start_of("web")), RefusalKind::Busy, "it goes");
    stage.exits(WorkerId(1), 0);
    assert_eq!(stage.outcome(op), None);
    stage.exits(WorkerId(3), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    let forgotten = stage.actions.iter().filter_map(|action| match action {
        Action::Forget { app } => Some(app.as_str()),
        _ => None,
    });
    assert_eq!(forgotten.collect::<Vec<_>>(), ["api", "web"]);
    assert_eq!(stage.refused(start_of("web")), RefusalKind::UnknownName);
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn workers_are_let_go_of_without_a_signal_and_those_that_go_still_do() {
    let mut stage = Stage::serving(definition("web", 3));
    stage.op(scale(ScaleTo::Exactly(2)));
    stage.actions.clear();
    let op = stage.op(delete("web", true));
    let released = stage.actions.iter().filter_map(|action| match action {
        Action::Release { id } => Some(*id),
        _ => None,
    });
    assert_eq!(released.collect::<Vec<_>>(), [WorkerId(1), WorkerId(2)]);
    assert_eq!(told_to_go(&stage), []);
    let signalled = stage.signals(WorkerId(1)).len() + stage.signals(WorkerId(2)).len();
    assert_eq!(signalled, 0);
    assert_eq!(stage.outcome(op), None, "worker 3 is on its way out");
    stage.exits(WorkerId(3), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    // Their end is no news.
    stage.actions.clear();
    stage.exits(WorkerId(1), 1);
    assert_eq!(stage.actions, []);
    assert!(stage.fleet.snapshot(stage.now).apps.is_empty());
}

#[test]
fn what_is_no_process_yet_can_not_be_let_go_of() {
    let mut app = definition("web", 1);
    app.hooks.before_start = Some(Hook {
        command: vec!["hook".into()],
        timeout: Duration::from_secs(30),
    });
    let mut stage = Stage::of(app);
    let op = stage.op(delete("web", true));
    let id = WorkerId(1);
    assert!(stage.actions.contains(&Action::EndHook { id }));
    assert!(!stage.actions.contains(&Action::Release { id }));
    let (hook, outcome) = (HookKind::BeforeStart, Err("cut short".to_owned()));
    stage.news(id, WorkerNews::Hooked { hook, outcome });
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert!(stage.fleet.snapshot(stage.now).apps.is_empty());
}

#[test]
fn one_that_is_just_being_started_is_not_let_go_of_but_called_off() {
    let mut stage = Stage::of(definition("web", 1));
    let op = stage.op(delete("web", true));
    let id = WorkerId(1);
    assert!(stage.actions.contains(&Action::CallOff { id }));
    assert!(!stage.actions.contains(&Action::Release { id }));
    assert_eq!(stage.outcome(op), None);
    // It was too late for that: it is told to go.
    stage.news(id, WorkerNews::Spawned { pid: 7 });
    assert_eq!(stage.signals(id), [libc::SIGTERM]);
    stage.exits(id, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert!(stage.fleet.snapshot(stage.now).apps.is_empty());
}

// ---- add, await

#[test]
fn an_added_app_is_started_and_reading_the_file_again_leaves_it_alone() {
    let mut stage = Stage::serving(definition("web", 1));
    let op = stage.op(Command::Add(vec![definition("extra", 1)]));
    let_come(&mut stage);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    stage.op(Command::TakeUp(vec![definition("web", 1)]));
    assert_eq!(stage.states(), ["ready", "ready"]);
    // Once the file has it, the file can take it away.
    let both = vec![definition("web", 1), definition("extra", 1)];
    stage.op(Command::TakeUp(both));
    stage.op(Command::TakeUp(vec![definition("web", 1)]));
    assert_eq!(told_to_go(&stage), [("extra".to_owned(), Slot(0))]);
}

#[test]
fn what_came_by_command_is_the_files_once_that_names_it() {
    let added = |stage: &Stage| {
        stage
            .fleet
            .added()
            .map(AppName::to_string)
            .collect::<Vec<_>>()
    };
    let mut stage = Stage::serving(definition("web", 1));
    assert_eq!(added(&stage), [""; 0]);
    // On its way out, and added again.
    stage.op(delete("web", false));
    stage.op(Command::Add(vec![definition("web", 1)]));
    assert_eq!(added(&stage), ["web"]);
    stage.input(Input::DefineAll(vec![definition("web", 1)]));
    assert_eq!(added(&stage), [""; 0]);
}

#[test]
fn adding_what_runs_is_done_at_once_what_is_stopped_starts_and_what_differs_is_refused() {
    let mut stage = Stage::serving(definition("web", 1));
    let same = stage.op(Command::Add(vec![definition("web", 1)]));
    assert_eq!(stage.outcome(same), Some(Outcome::Done));
    let mut other = definition("web", 1);
    other.command = vec!["other".into()];
    let Answer::Refused { kind, reason } = stage.ask(Command::Add(vec![other.clone()])) else {
        panic!("accepted")
    };
    assert_eq!(kind, RefusalKind::WrongState);
    assert!(
        reason.contains("web runs already") && reason.contains("(command)"),
        "{reason}"
    );
    stage.op(stop());
    stage.exits(WorkerId(1), 0);
    stage.actions.clear();
    let op = stage.op(Command::Add(vec![other]));
    let order = stage.orders_only().remove(0);
    assert_eq!(order.definition.command, ["other"]);
    stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(order.id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_start_is_awaited_without_changing_anything() {
    let mut stage = Stage::of_all(vec![definition("web", 1), definition("none", 0)]);
    let wait = || Command::Await(AppAwait { app: None });
    let id = stage.spawned();
    let op = stage.op(wait());
    assert_eq!(stage.outcome(op), None);
    stage.says_ready(id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    let again = stage.op(wait());
    assert_eq!(stage.outcome(again), Some(Outcome::Done), "it is there");
    let begun = |action: &Action| matches!(action, Action::Spawn(_) | Action::Signal { .. });
    assert!(!stage.actions.iter().any(begun));
}

#[test]
fn a_start_that_failed_before_anybody_asked_is_told() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    stage.exits(id, 5);
    let op = stage.op(Command::Await(AppAwait { app: None }));
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(why)) if why.contains("code 5")));
}
