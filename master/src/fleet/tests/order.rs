//! Which app begins when, and how many of its workers at once.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::{
        commands::AppRestart,
        control::{AppReload, AppScale, AppStart, AppStop, Outcome, ScaleTo},
    },
};

use crate::{
    config::app::{AppDefinition, AppName, Readiness, life::Restart, update::Strategy},
    fleet::{
        Command, Input, SpawnOrder, WorkerNews,
        testing::{Stage, definition},
    },
};

fn name(text: &str) -> AppName {
    AppName::new(text).expect("a name")
}

/// An app that depends on others.
pub(super) fn after(app: &str, instances: u32, others: &[&str]) -> AppDefinition {
    let mut app = definition(app, instances);
    app.start.depends_on = others.iter().map(|other| name(other)).collect();
    app
}

pub(super) fn of_priority(app: &str, priority: i32) -> AppDefinition {
    let mut app = definition(app, 1);
    app.start.priority = priority;
    app
}

/// A fleet of these apps, defined together.
pub(super) fn fleet(apps: Vec<AppDefinition>) -> Stage {
    Stage::of_all(apps)
}

/// The apps of the workers ordered since the last look, which run now.
pub(super) fn begun(stage: &mut Stage) -> Vec<(String, SpawnOrder)> {
    let orders = stage.orders();
    for order in &orders {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    }
    let named = orders.into_iter();
    named.map(|order| (order.app.to_string(), order)).collect()
}

pub(super) fn names(begun: &[(String, SpawnOrder)]) -> Vec<&str> {
    begun.iter().map(|(name, _)| name.as_str()).collect()
}

pub(super) fn state_of(stage: &Stage, app: &str) -> String {
    let apps = stage.fleet.snapshot(stage.now).apps;
    apps.into_iter()
        .find(|status| status.name == app)
        .expect("an app")
        .state
}

#[test]
fn workers_start_side_by_side_as_many_as_may() {
    let mut app = definition("web", 5);
    app.start.parallel = 3;
    let mut stage = Stage::of(app);
    let first = begun(&mut stage);
    let slots: Vec<u32> = first.iter().map(|(_, order)| order.slot.0).collect();
    assert_eq!(slots, [0, 1, 2]);
    stage.says_ready(first[1].1.id);
    let next = begun(&mut stage);
    assert_eq!(next.len(), 1, "one has made room for one");
    assert_eq!(next[0].1.slot.0, 3);
}

#[test]
fn an_app_that_does_not_start_by_itself_waits_for_the_command() {
    let mut app = definition("web", 2);
    app.start.autostart = false;
    let mut stage = Stage::of(app);
    assert!(stage.orders().is_empty());
    assert_eq!(
        (stage.app().state.as_str(), stage.app().instances),
        ("stopped", 2)
    );
    stage.op(Command::Start(AppStart { app: None }));
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn an_app_begins_when_all_workers_of_what_it_depends_on_are_ready() {
    // In an order of names that is not the order of starting.
    let mut stage = fleet(vec![
        definition("z", 2),
        after("a", 1, &["z"]),
        after("b", 1, &["a", "gone"]),
    ]);
    let z0 = begun(&mut stage);
    assert_eq!(names(&z0), ["z"]);
    assert_eq!(state_of(&stage, "a"), "waiting");
    stage.says_ready(z0[0].1.id);
    let z1 = begun(&mut stage);
    assert_eq!(names(&z1), ["z"], "one of two is not enough");
    stage.says_ready(z1[0].1.id);
    let a = begun(&mut stage);
    assert_eq!(names(&a), ["a"]);
    // What happens to `z` from here on is no concern of `a`, which has begun.
    stage.exits(z0[0].1.id, 1);
    stage.says_ready(a[0].1.id);
    assert!(names(&begun(&mut stage)).contains(&"b"));
}

#[test]
fn an_assumption_of_readiness_opens_the_way_as_well() {
    let mut stage = fleet(vec![after("a", 1, &["z"]), definition("z", 1)]);
    assert_eq!(names(&begun(&mut stage)), ["z"]);
    stage.wait(1_000);
    assert_eq!(names(&begun(&mut stage)), ["a"]);
    assert!(stage.fleet.next_deadline().is_some());
}

#[test]
fn a_dependency_that_fails_is_told_to_whoever_waits_and_can_still_come_right() {
    let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
    let db = begun(&mut stage);
    let start = Command::Start(AppStart {
        app: Some("web".into()),
    });
    let op = stage.op(start);
    let reload = Command::Reload(AppReload {
        app: Some("web".into()),
        reason: None,
        now: false,
        env: None,
        inherit: None,
    });
    let reloaded = stage.op(reload);
    assert_eq!(stage.outcome(op), None);
    stage.exits(db[0].1.id, 7);
    for op in [op, reloaded] {
        let Some(Outcome::Failed(why)) = stage.outcome(op) else {
            panic!("{:?}", stage.outcome(op))
        };
        assert!(
            why.starts_with("web waits for db: ") && why.contains("code 7"),
            "{why}"
        );
    }
    stage.wait(10_000);
    let again = begun(&mut stage);
    assert_eq!(
        names(&again),
        ["db"],
        "it is tried again, and web still waits"
    );
    stage.says_ready(again[0].1.id);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

#[test]
fn what_is_stopped_or_parked_is_not_waited_for() {
    for how in [
        Command::Stop(AppStop {
            app: Some("db".into()),
        }),
        Command::Scale(AppScale {
            app: "db".into(),
            to: ScaleTo::Exactly(0),
        }),
    ] {
        let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
        assert_eq!(names(&begun(&mut stage)), ["db"]);
        stage.op(how);
        assert_eq!(names(&begun(&mut stage)), ["web"]);
    }
    // Started again it is held again, as long as the other is not there.
    let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
    let db = begun(&mut stage);
    stage.says_ready(db[0].1.id);
    let web = begun(&mut stage);
    stage.op(Command::Stop(AppStop { app: None }));
    stage.exits(db[0].1.id, 0);
    stage.exits(web[0].1.id, 0);
    stage.op(Command::Start(AppStart { app: None }));
    assert_eq!(names(&begun(&mut stage)), ["db"]);
}

#[test]
fn a_reload_of_an_app_that_waits_gives_it_the_newest_definition() {
    let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
    let db = begun(&mut stage);
    let mut newer = after("web", 1, &["db"]);
    newer.command = vec!["newer".into()];
    stage.input(Input::Define(newer));
    let reload = Command::Reload(AppReload {
        app: Some("web".into()),
        reason: None,
        now: false,
        env: None,
        inherit: None,
    });
    let op = stage.op(reload);
    stage.says_ready(db[0].1.id);
    let web = begun(&mut stage);
    assert_eq!(
        (names(&web), web[0].1.definition.command[0].as_str()),
        (vec!["web"], "newer")
    );
    assert_eq!(stage.outcome(op), None);
    stage.says_ready(web[0].1.id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn apps_of_a_higher_priority_have_started_before_others_begin() {
    let apps = [("a", -5), ("b", 0), ("c", 10), ("d", 0)];
    let apps = apps.map(|(app, priority)| of_priority(app, priority));
    let mut stage = fleet(apps.to_vec());
    let c = begun(&mut stage);
    assert_eq!(names(&c), ["c"]);
    stage.says_ready(c[0].1.id);
    let both = begun(&mut stage);
    assert_eq!(names(&both), ["b", "d"], "equals begin together");
    stage.says_ready(both[0].1.id);
    assert!(stage.orders().is_empty());
    stage.exits(both[1].1.id, 1);
    assert_eq!(
        names(&begun(&mut stage)),
        ["a"],
        "a failure is an end of starting, too"
    );
}

#[test]
fn dependencies_go_before_priority_and_a_circle_holds_nobody() {
    let mut first = after("first", 1, &["last"]);
    first.start.priority = 10;
    let mut stage = fleet(vec![first, definition("last", 1)]);
    let last = begun(&mut stage);
    assert_eq!(names(&last), ["last"]);
    stage.says_ready(last[0].1.id);
    assert_eq!(names(&begun(&mut stage)), ["first"]);

    let circle = [("a", "b"), ("b", "c"), ("c", "a")];
    let circle = circle.map(|(app, other)| after(app, 1, &[other]));
    let mut stage = fleet(circle.to_vec());
    while let [(_, order), ..] = begun(&mut stage).as_slice() {
        stage.says_ready(order.id);
    }
    for app in ["a", "b", "c"] {
        assert_eq!(state_of(&stage, app), "running");
    }
}

#[test]
fn what_depends_on_work_begins_when_it_is_done() {
    let mut migrate = definition("migrate", 1);
    migrate.life.oneshot = true;
    let mut stage = fleet(vec![after("web", 1, &["migrate"]), migrate]);
    let first = begun(&mut stage);
    assert_eq!(names(&first), ["migrate"]);
    stage.wait(60_000);
    assert!(begun(&mut stage).is_empty(), "it is still at work");
    stage.exits(first[0].1.id, 0);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

#[test]
fn what_depends_on_work_that_failed_for_good_waits_for_somebody_to_see_to_it() {
    let mut migrate = definition("migrate", 1);
    migrate.life.oneshot = true;
    migrate.life.restart = Restart::Never;
    let mut stage = fleet(vec![after("web", 1, &["migrate"]), migrate]);
    let first = begun(&mut stage);
    stage.exits(first[0].1.id, 1);
    stage.wait(600_000);
    assert!(begun(&mut stage).is_empty());
    assert_eq!(state_of(&stage, "web"), "waiting");
    let app = Some("migrate".into());
    stage.op(Command::Start(AppStart { app }));
    let again = begun(&mut stage);
    assert_eq!(names(&again), ["migrate"]);
    stage.exits(again[0].1.id, 0);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

/// `db`, which has failed for good, and those that wait for it.
fn failed_db(waiting: Vec<AppDefinition>) -> Stage {
    let mut db = definition("db", 1);
    db.max_restarts = 1;
    db.life.retry_failed = None;
    let mut stage = fleet([vec![db], waiting].concat());
    let db = begun(&mut stage)[0].1.id;
    stage.exits(db, 7);
    stage.wait(60_000);
    assert_eq!(state_of(&stage, "db"), "failed");
    stage
}

#[test]
fn a_start_after_what_it_depends_on_has_failed_says_so_at_once() {
    let some = |app: &str| Some(app.to_owned());
    let start = |app| Command::Start(AppStart { app: some(app) });
    let restart = |app| Command::Restart(AppRestart { app: some(app) });
    let scale = |app: &str| {
        Command::Scale(AppScale {
            app: app.into(),
            to: ScaleTo::More(2),
        })
    };
    let near = || vec![after("web", 1, &["db"])];
    let far = || vec![after("api", 1, &["db"]), after("web", 1, &["api"])];
    for (waiting, command, stopped) in [
        (near(), start("web"), true),
        (far(), start("web"), true),
        (far(), restart("web"), true),
        (far(), scale("web"), false),
    ] {
        let mut stage = failed_db(waiting);
        if stopped {
            // What is started again waits anew, and what was before says nothing.
            stage.op(Command::Stop(AppStop { app: some("web") }));
        }
        let op = stage.op(command);
        let Some(Outcome::Failed(why)) = stage.outcome(op) else {
            panic!("{:?}", stage.outcome(op));
        };
        assert!(why.starts_with("web waits for db: worker 1 "), "{why}");
        let told = [
            "code 7",
            "\nhint: web starts as soon as db is ready",
            "`ostler start db`",
        ];
        assert!(told.iter().all(|told| why.contains(told)), "{why}");
        assert_eq!(state_of(&stage, "web"), "waiting");
        stage.op(start("db"));
        let mut all = Vec::new();
        while let [(app, order), ..] = begun(&mut stage).as_slice() {
            all.push(app.clone());
            stage.says_ready(order.id);
        }
        assert_eq!(all.first().map(String::as_str), Some("db"), "{all:?}");
        assert!(all.contains(&"web".to_owned()), "{all:?}");
    }
}

#[test]
fn what_is_tried_again_soon_is_waited_for() {
    let mut stage = fleet(vec![definition("db", 1), after("web", 1, &["db"])]);
    let db = begun(&mut stage)[0].1.id;
    let web = || Some("web".to_owned());
    stage.op(Command::Stop(AppStop { app: web() }));
    stage.exits(db, 7);
    assert_eq!(state_of(&stage, "db"), "starting");
    let op = stage.op(Command::Start(AppStart { app: web() }));
    assert_eq!(stage.outcome(op), None, "it backs off, and is tried again");
    stage.wait(10_000);
    let db = begun(&mut stage);
    stage.says_ready(db[0].1.id);
    let web = begun(&mut stage);
    stage.says_ready(web[0].1.id);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_start_of_an_app_that_has_nobody_left_does_not_wait_for_its_turn_again() {
    let mut last = after("web", 1, &["db"]);
    last.life.restart = Restart::Never;
    let mut stage = fleet(vec![definition("db", 1), last]);
    let db = begun(&mut stage)[0].1.id;
    stage.says_ready(db);
    let web = begun(&mut stage)[0].1.id;
    stage.says_ready(web);
    stage.exits(web, 1);
    stage.exits(db, 1);
    let again = begun(&mut stage);
    assert!(!names(&again).contains(&"web"));
    let app = Some("web".into());
    stage.op(Command::Start(AppStart { app }));
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

#[test]
fn one_that_is_replaced_as_soon_as_it_is_ready_does_not_open_the_way() {
    let mut db = definition("db", 1);
    db.ready = Readiness::Delay(Duration::from_millis(500));
    db.min_healthy = Some(Duration::ZERO);
    db.recycle.max_requests = Some(1);
    db.update.strategy = Strategy::Replace;
    let mut stage = fleet(vec![db, after("web", 1, &["db"])]);
    let first = begun(&mut stage)[0].1.id;
    let served = WorkerNews::Served {
        requests: 2,
        under_way: 0,
    };
    stage.news(first, served);
    stage.wait(500);
    assert!(!stage.signals(first).is_empty(), "it has served enough");
    assert!(begun(&mut stage).is_empty(), "and serves no more");
    stage.exits(first, 0);
    assert_eq!(names(&begun(&mut stage)), ["db"]);
    stage.wait(500);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

/// `db` and `web`, which depends on it and has so many instances of which no two versions run together; all serve.
fn serving(instances: u32) -> Stage {
    let mut web = after("web", instances, &["db"]);
    web.update.strategy = Strategy::AllAtOnce;
    let mut stage = fleet(vec![definition("db", 1), web]);
    while let [(_, order), ..] = begun(&mut stage).as_slice() {
        stage.says_ready(order.id);
    }
    stage
}

/// `db`, which was the first, has gone meanwhile: `web` waits for it although nobody is in its way any more.
fn waits_for_db(mut stage: Stage, last_of_web: u64) {
    assert!(begun(&mut stage).is_empty(), "somebody is in the way");
    stage.exits(WorkerId(1), 1);
    stage.exits(WorkerId(last_of_web), 0);
    stage.wait(1_000);
    let next = begun(&mut stage);
    assert_eq!(names(&next), ["db"]);
    stage.says_ready(next[0].1.id);
    assert_eq!(names(&begun(&mut stage)), ["web"]);
}

#[test]
fn an_app_whose_last_workers_are_in_its_way_has_its_turn_when_they_have_gone() {
    let mut stage = serving(1);
    for size in [0, 2] {
        stage.op(Command::Scale(AppScale {
            app: "web".into(),
            to: ScaleTo::Exactly(size),
        }));
    }
    waits_for_db(stage, 2);
}

#[test]
fn a_slot_whose_last_worker_is_in_its_way_has_its_turn_when_that_has_gone() {
    let mut stage = serving(2);
    let app = |app: &str| Some(app.to_owned());
    stage.op(Command::Stop(AppStop { app: app("web") }));
    let op = stage.op(Command::Start(AppStart { app: app("web:0") }));
    stage.exits(WorkerId(3), 0);
    assert_eq!(stage.outcome(op), None);
    waits_for_db(stage, 2);
}

#[test]
fn an_app_that_waits_and_of_which_no_slot_is_wanted_is_in_nobodys_way() {
    let mut first = after("first", 1, &["db"]);
    first.start.priority = 1;
    let mut stage = fleet(vec![definition("db", 1), first, definition("last", 1)]);
    let db = begun(&mut stage);
    assert_eq!(
        names(&db),
        ["db", "last"],
        "first is held, and holds nobody"
    );
    let app = Some("first:0".into());
    stage.op(Command::Stop(AppStop { app }));
    let app = Some("last".to_owned());
    stage.op(Command::Restart(AppRestart { app }));
    stage.says_ready(db[0].1.id);
    stage.exits(db[1].1.id, 0);
    assert_eq!(names(&begun(&mut stage)), ["last"]);
}
