//! What begins anew and so waits for its turn again: an app is stopped, whether as a whole or slot by slot.

use ostler_bus::{
    WorkerId,
    vocab::{
        commands::AppRestart,
        control::{Answer, AppReload, AppScale, AppStart, AppStop, Outcome, RefusalKind, ScaleTo},
    },
};

use super::order::{after, begun, fleet, names, of_priority, state_of};
use crate::fleet::{
    Command, Input,
    testing::{Stage, definition, start},
};

fn some(app: &str) -> Option<String> {
    Some(app.to_owned())
}

fn start_of(app: &str) -> Command {
    Command::Start(AppStart { app: some(app) })
}

fn stop_of(app: &str) -> Command {
    Command::Stop(AppStop { app: some(app) })
}

fn restart_of(app: &str) -> Command {
    Command::Restart(AppRestart { app: some(app) })
}

fn scale_to(to: ScaleTo) -> Command {
    let app = "web".into();
    Command::Scale(AppScale { app, to })
}

fn reload_of(app: &str) -> Command {
    Command::Reload(AppReload {
        app: some(app),
        reason: None,
        now: false,
        env: None,
        inherit: None,
    })
}

/// `db`, worker 1, and two workers of `web`, which depends on it: all serve.
fn serving() -> Stage {
    let mut stage = fleet(vec![definition("db", 1), after("web", 2, &["db"])]);
    while let [(_, order), ..] = begun(&mut stage).as_slice() {
        stage.says_ready(order.id);
    }
    stage
}

/// The same, with both slots of `web` stopped one by one, and `db` on its way back.
fn stopped_slot_by_slot() -> Stage {
    let mut stage = serving();
    stage.op(stop_of("web:0"));
    stage.op(stop_of("web:1"));
    assert_eq!(state_of(&stage, "web"), "stopping");
    stage.exits(WorkerId(2), 0);
    stage.exits(WorkerId(3), 0);
    assert_eq!(state_of(&stage, "web"), "stopped");
    stage.exits(WorkerId(1), 1);
    stage.wait(1_000);
    stage
}

#[test]
fn an_app_stopped_slot_by_slot_waits_again_for_what_it_depends_on() {
    for resumes in [
        start(),
        start_of("web"),
        start_of("web:1"),
        restart_of("web"),
        restart_of("web:0"),
        scale_to(ScaleTo::More(1)),
    ] {
        let said = format!("{resumes:?}");
        let mut stage = stopped_slot_by_slot();
        stage.op(resumes);
        let db = begun(&mut stage);
        assert_eq!(names(&db), ["db"], "{said}");
        assert_eq!(state_of(&stage, "web"), "waiting", "{said}");
        stage.says_ready(db[0].1.id);
        assert_eq!(names(&begun(&mut stage)), ["web"], "{said}");
    }
}

#[test]
fn an_app_that_shrinks_to_its_stopped_slots_is_stopped() {
    let mut stage = serving();
    stage.op(stop_of("web:0"));
    stage.op(scale_to(ScaleTo::Exactly(1)));
    stage.exits(WorkerId(2), 0);
    stage.exits(WorkerId(3), 0);
    assert_eq!(state_of(&stage, "web"), "stopped");
    stage.exits(WorkerId(1), 1);
    stage.wait(1_000);
    stage.op(scale_to(ScaleTo::Exactly(2)));
    let db = begun(&mut stage);
    assert_eq!(names(&db), ["db"]);
    stage.says_ready(db[0].1.id);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

#[test]
fn while_one_slot_runs_another_does_not_wait() {
    let mut stage = serving();
    stage.op(stop_of("web:0"));
    stage.exits(WorkerId(2), 0);
    stage.exits(WorkerId(1), 1);
    stage.op(start_of("web:0"));
    assert!(names(&begun(&mut stage)).contains(&"web"));
}

#[test]
fn a_turn_that_comes_while_no_slot_is_wanted_is_not_had() {
    let mut stage = fleet(vec![of_priority("a", -1), of_priority("b", 0)]);
    let b = begun(&mut stage);
    assert_eq!(names(&b), ["b"]);
    stage.op(stop_of("a:0"));
    stage.op(stop_of("b"));
    stage.exits(b[0].1.id, 0);
    stage.op(start());
    let b = begun(&mut stage);
    assert_eq!(names(&b), ["b"]);
    stage.says_ready(b[0].1.id);
    assert_eq!(names(&begun(&mut stage)), ["a"]);
}

#[test]
fn a_reload_of_an_app_stopped_slot_by_slot_is_refused_as_that_of_any_stopped_app() {
    let stopped: [&[&str]; 3] = [&["web"], &["web:0", "web:1"], &["web:0,web:1"]];
    for (words, serves) in stopped
        .iter()
        .flat_map(|words| [(words, true), (words, false)])
    {
        let mut stage = match serves {
            true => serving(),
            false => fleet(vec![definition("db", 1), after("web", 2, &["db"])]),
        };
        for word in *words {
            stage.op(stop_of(word));
        }
        let refused = Answer::Refused {
            kind: RefusalKind::WrongState,
            reason: "web is stopped; use `start`".into(),
        };
        let said = format!("{words:?}, serves: {serves}");
        assert_eq!(stage.ask(reload_of("web")), refused, "{said}");
        // Among others it is passed over.
        stage.op(reload_of("db web"));
        stage.op(start_of("web:0"));
        stage.op(reload_of("web"));
    }
}

#[test]
fn what_was_stopped_slot_by_slot_begins_with_its_newest_definition_without_a_reload() {
    let mut stage = stopped_slot_by_slot();
    let mut newer = after("web", 2, &["db"]);
    newer.command = vec!["newer".into()];
    stage.input(Input::Define(newer));
    stage.op(start_of("web:0"));
    let db = begun(&mut stage);
    stage.says_ready(db[0].1.id);
    let web = begun(&mut stage);
    assert_eq!(names(&web), ["web"]);
    assert_eq!(web[0].1.definition.command, ["newer"]);
}

#[test]
fn what_is_started_by_name_is_started_though_its_slots_were_stopped() {
    let mut stage = stopped_slot_by_slot();
    let mut newer = after("web", 2, &["db"]);
    newer.command = vec!["newer".into()];
    stage.op(Command::Add(vec![newer]));
    let db = begun(&mut stage);
    stage.says_ready(db[0].1.id);
    let web = begun(&mut stage);
    assert_eq!(names(&web), ["web"]);
    assert_eq!(web[0].1.definition.command, ["newer"]);
}

#[test]
fn what_is_started_by_name_while_its_last_workers_go_is_what_was_named() {
    let mut stage = serving();
    stage.op(stop_of("web:0"));
    stage.op(stop_of("web:1"));
    let mut newer = after("web", 3, &["db"]);
    newer.command = vec!["newer".into()];
    stage.op(Command::Add(vec![newer]));
    stage.exits(WorkerId(2), 0);
    stage.exits(WorkerId(3), 0);
    while let [(_, order), ..] = begun(&mut stage).as_slice() {
        assert_eq!(order.definition.command, ["newer"]);
        stage.says_ready(order.id);
    }
    assert_eq!(state_of(&stage, "web"), "running");
}

#[test]
fn an_update_with_nobody_left_to_replace_is_overtaken_by_the_start() {
    let mut stage = serving();
    let mut newer = after("web", 2, &["db"]);
    newer.command = vec!["newer".into()];
    stage.input(Input::Define(newer));
    let reload = stage.op(reload_of("web"));
    stage.op(stop_of("web:0"));
    stage.op(stop_of("web:1"));
    let successors = stage.orders_only();
    stage.exits(WorkerId(1), 1);
    stage.op(start_of("web"));
    let overtaken = Outcome::Superseded("start".into());
    assert_eq!(stage.outcome(reload), Some(overtaken));
    let successors = successors.into_iter().map(|order| order.id);
    for gone in successors.chain([WorkerId(2), WorkerId(3)]) {
        stage.exits(gone, 0);
    }
    stage.wait(1_000);
    while let [(app, order), ..] = begun(&mut stage).as_slice() {
        assert!(app == "db" || order.definition.command == ["newer"]);
        stage.says_ready(order.id);
    }
    assert_eq!(state_of(&stage, "web"), "running");
    let web = stage.fleet.snapshot(stage.now).workers;
    let web = web.iter().filter(|worker| worker.app == "web");
    assert_eq!(web.count(), 2, "none but those of the start");
}

#[test]
fn what_failed_before_says_nothing_about_a_start_that_is_asked_for_again() {
    let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
    let db = begun(&mut stage)[0].1.id;
    stage.exits(db, 7);
    for again in [
        start(),
        start_of("web"),
        start_of("web:0"),
        restart_of("web:0"),
        reload_of("web"),
        scale_to(ScaleTo::More(1)),
    ] {
        let said = format!("{again:?}");
        let op = stage.op(again);
        assert_eq!(stage.outcome(op), None, "db is tried again: {said}");
        stage.wait(60_000);
        let db = begun(&mut stage);
        assert_eq!(names(&db), ["db"]);
        stage.exits(db[0].1.id, 7);
        let told = stage.outcome(op);
        assert!(matches!(told, Some(Outcome::Failed(_))), "{told:?}: {said}");
    }
}
