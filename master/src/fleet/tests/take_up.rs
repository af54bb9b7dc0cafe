//! Another set of definitions: what it would change, and taking it up.

use ostler_bus::{
    WorkerId,
    vocab::control::{Answer, AppStop, Outcome},
};

use crate::{
    config::app::{
        AppDefinition, AppName,
        update::{OnFailure, UpdateRules},
    },
    fleet::{
        Action, Change, Command,
        testing::{Stage, definition, reload, start},
    },
};

fn other(name: &str, instances: u32) -> AppDefinition {
    let mut app = definition(name, instances);
    app.env.insert("NEW".into(), "1".into());
    app
}

/// A fleet of these apps, all workers of which serve.
fn serving(apps: Vec<AppDefinition>) -> Stage {
    let mut stage = Stage::of_all(apps);
    settle(&mut stage);
    stage.wait(10_000);
    stage.actions.clear();
    stage
}

/// Whatever is ordered starts and is ready, until nothing is ordered any more.
fn settle(stage: &mut Stage) {
    loop {
        let orders = stage.orders_only();
        if orders.is_empty() {
            return;
        }
        for order in orders {
            stage.news(order.id, crate::fleet::WorkerNews::Spawned { pid: 1 });
            stage.says_ready(order.id);
        }
    }
}

fn plan(stage: &Stage, apps: &[AppDefinition]) -> Vec<(String, Change)> {
    let plan = stage.fleet.plan(apps).into_iter();
    plan.map(|(name, change)| (name.to_string(), change))
        .collect()
}

fn ids(stage: &Stage, app: &str) -> Vec<u64> {
    let workers = stage.fleet.snapshot(stage.now).workers.into_iter();
    let of = workers.filter(|worker| worker.app == app);
    of.filter_map(|worker| Some(worker.id?.0)).collect()
}

fn forgotten(stage: &Stage, app: &str) -> bool {
    let app = AppName::new(app).expect("a name");
    stage.actions.contains(&Action::Forget { app })
}

#[test]
fn a_plan_tells_what_differs_and_does_nothing() {
    let stage = serving(vec![
        definition("a", 1),
        definition("b", 2),
        definition("c", 1),
        definition("d", 1),
    ]);
    let mut both = other("c", 3);
    both.command.push("--new".into());
    let next = [
        definition("a", 1),
        definition("b", 4),
        both,
        definition("e", 5),
    ];
    let expected = [
        ("a", Change::Same),
        ("b", Change::Resized { from: 2, to: 4 }),
        ("c", Change::Changed(vec!["command", "env", "instances"])),
        ("d", Change::Removed(1)),
        ("e", Change::Added(5)),
    ];
    let expected = expected.map(|(name, change)| (name.to_owned(), change));
    assert_eq!(plan(&stage, &next), expected);
    assert!(stage.actions.is_empty());
}

#[test]
fn untouched_apps_keep_their_workers_and_the_others_get_what_they_need() {
    let mut stage = serving(vec![
        definition("a", 1),
        definition("b", 1),
        definition("c", 1),
        definition("d", 1),
    ]);
    let before = [
        ids(&stage, "a"),
        ids(&stage, "b"),
        ids(&stage, "c"),
        ids(&stage, "d"),
    ];
    let next = vec![
        definition("a", 1),
        definition("b", 2),
        other("c", 1),
        definition("e", 1),
    ];
    let op = stage.op(Command::TakeUp(next.clone()));
    settle(&mut stage);
    assert_eq!(stage.outcome(op), None);
    assert!(
        stage.signals(WorkerId(before[3][0])).first() == Some(&0),
        "d is told to go"
    );
    stage.exits(WorkerId(before[3][0]), 0);
    assert!(forgotten(&stage, "d"));
    // The successor of `c` proves itself; then its predecessor goes.
    stage.wait(10_000);
    stage.exits(WorkerId(before[2][0]), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(ids(&stage, "a"), before[0]);
    assert_eq!(
        (ids(&stage, "b").len(), ids(&stage, "b")[0]),
        (2, before[1][0])
    );
    assert_ne!(ids(&stage, "c"), before[2]);
    assert_eq!((ids(&stage, "d").len(), ids(&stage, "e").len()), (0, 1));
    assert!(
        plan(&stage, &next)
            .iter()
            .all(|(_, change)| *change == Change::Same)
    );
    stage.actions.clear();
    let again = stage.op(Command::TakeUp(next));
    assert_eq!(
        stage.outcome(again),
        Some(Outcome::Done),
        "nothing to do is done"
    );
}

#[test]
fn an_update_that_was_given_up_is_tried_again() {
    let mut stage = serving(vec![definition("a", 1)]);
    let op = stage.op(Command::TakeUp(vec![other("a", 1)]));
    let successor = stage.orders_only().remove(0).id;
    stage.news(successor, crate::fleet::WorkerNews::Spawned { pid: 1 });
    stage.exits(successor, 1);
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    let again = plan(&stage, &[other("a", 1)]);
    assert_eq!(again[0].1, Change::Changed(vec!["env"]));
    assert_eq!(
        plan(&stage, &[definition("a", 1)])[0].1,
        Change::Same,
        "going back is no change"
    );
}

/// Half of the workers of `a` have been replaced by what another definition says, when the update fails.
fn half_replaced(update: UpdateRules, mut definitions: [AppDefinition; 2]) -> Stage {
    for definition in &mut definitions {
        definition.update = update.clone();
    }
    let [before, next] = definitions;
    let mut stage = serving(vec![before]);
    let op = stage.op(Command::TakeUp(vec![next]));
    settle(&mut stage);
    stage.wait(2_000);
    stage.exits(WorkerId(1), 0);
    let bad = stage.orders_only().remove(0).id;
    stage.news(bad, crate::fleet::WorkerNews::Spawned { pid: 1 });
    stage.exits(bad, 1);
    let back = update.on_failure == OnFailure::Rollback;
    assert_eq!(stage.outcome(op).is_none(), back);
    stage
}

#[test]
fn what_a_failed_update_has_replaced_can_be_put_back() {
    let before = || definition("a", 2);
    let mut stage = half_replaced(UpdateRules::default(), [before(), other("a", 2)]);
    for (next, keys) in [
        (before(), vec!["env"]),
        (other("a", 2), vec!["env"]),
        (definition("a", 3), vec!["env", "instances"]),
    ] {
        assert_eq!(plan(&stage, &[next])[0].1, Change::Changed(keys));
    }
    let mut third = before();
    third.command.push("--new".into());
    assert_eq!(
        plan(&stage, &[third])[0].1,
        Change::Changed(vec!["command", "env"]),
        "each of them differs"
    );
    let back = stage.op(Command::TakeUp(vec![before()]));
    for old in ids(&stage, "a") {
        settle(&mut stage);
        stage.wait(2_000);
        stage.exits(WorkerId(old), 0);
    }
    assert_eq!(stage.outcome(back), Some(Outcome::Done));
    assert_eq!(plan(&stage, &[before()])[0].1, Change::Same);
}

#[test]
fn what_goes_back_anyway_is_no_change() {
    let update = UpdateRules {
        on_failure: OnFailure::Rollback,
        ..UpdateRules::default()
    };
    let before = AppDefinition {
        update: update.clone(),
        ..definition("a", 2)
    };
    let stage = half_replaced(update, [before.clone(), other("a", 2)]);
    assert_eq!(stage.app().state, "rolling back");
    assert_eq!(plan(&stage, &[before])[0].1, Change::Same);
}

#[test]
fn what_has_ended_for_good_is_no_change() {
    let ends = |mut app: AppDefinition| {
        app.stop_exit_codes = vec![7];
        app
    };
    let mut stage = serving(vec![ends(definition("a", 2))]);
    stage.exits(WorkerId(1), 7);
    let op = stage.op(Command::TakeUp(vec![ends(other("a", 2))]));
    settle(&mut stage);
    stage.wait(2_000);
    stage.exits(WorkerId(2), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(plan(&stage, &[ends(other("a", 2))])[0].1, Change::Same);
}

#[test]
fn one_that_goes_can_not_be_commanded_but_can_come_again() {
    let mut stage = serving(vec![definition("a", 1), definition("b", 1)]);
    let b = WorkerId(ids(&stage, "b")[0]);
    let gone = stage.op(Command::TakeUp(vec![definition("a", 1)]));
    let stop = Command::Stop(AppStop {
        app: Some("b".into()),
    });
    assert!(matches!(stage.ask(stop), Answer::Refused { .. }));
    stage.op(start());
    stage.op(reload(false));
    assert!(
        stage
            .orders_only()
            .iter()
            .all(|order| order.app.as_str() == "a")
    );
    let back = stage.op(Command::TakeUp(vec![
        definition("a", 1),
        definition("b", 1),
    ]));
    assert!(matches!(stage.outcome(gone), Some(Outcome::Superseded(_))));
    stage.exits(b, 0);
    assert!(!forgotten(&stage, "b"));
    settle(&mut stage);
    assert_eq!(
        (stage.outcome(back), ids(&stage, "b").len()),
        (Some(Outcome::Done), 1)
    );
}

#[test]
fn stopped_apps_take_up_their_definition_and_stay_stopped() {
    let mut stage = serving(vec![definition("a", 1)]);
    let a = WorkerId(ids(&stage, "a")[0]);
    stage.op(Command::Stop(AppStop { app: None }));
    stage.exits(a, 0);
    let op = stage.op(Command::TakeUp(vec![other("a", 2)]));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert!(stage.orders_only().is_empty());
    stage.op(start());
    assert!(stage.orders_only()[0].definition.env.contains_key("NEW"));
}

#[test]
fn what_a_stopped_app_is_drawn_with_is_what_its_start_would_be() {
    let mut stage = serving(vec![definition("a", 1), definition("b", 1)]);
    let reload = Command::Reload(ostler_bus::vocab::control::AppReload {
        app: Some("a".into()),
        reason: None,
        now: false,
        env: Some([("HUE".to_owned(), "green".to_owned())].into()),
        inherit: Some([("HOME".to_owned(), "/".to_owned())].into()),
    });
    let before = WorkerId(ids(&stage, "a")[0]);
    stage.op(reload);
    settle(&mut stage);
    stage.wait(10_000);
    stage.exits(before, 0);
    let drawn = |stage: &Stage| stage.fleet.portraits(Some("a")).expect("it is there")[0].clone();
    assert!(drawn(&stage).fills && drawn(&stage).definition.overlay.extra.contains_key("HUE"));
    let a = WorkerId(ids(&stage, "a")[0]);
    stage.op(Command::Stop(AppStop {
        app: Some("a".into()),
    }));
    stage.exits(a, 0);
    stage.op(Command::TakeUp(vec![other("a", 1), definition("b", 1)]));
    let stopped = drawn(&stage);
    assert!(!stopped.fills && stopped.definition.env.contains_key("NEW"));
    stage.op(start());
    let begun = stage.orders_only().remove(0).definition;
    assert_eq!(stopped.definition.overlay, begun.overlay);
    assert!(begun.overlay.extra.is_empty() && begun.overlay.inherited.is_some());
}

#[test]
fn lines_that_moved_are_told_where_they_are() {
    let at = |line: &str, instances| {
        let mut app = definition("a", instances);
        app.places.note("command", format!("ostler.toml:{line}"));
        app
    };
    let mut stage = serving(vec![at("1", 1)]);
    for (line, instances) in [("3", 1), ("5", 2)] {
        stage.op(Command::TakeUp(vec![at(line, instances)]));
        settle(&mut stage);
        let drawn = stage.fleet.portraits(None).expect("all of them");
        let place = drawn[0].definition.places.of("command");
        assert_eq!(place, Some(&*format!("ostler.toml:{line}")));
    }
}

#[test]
fn a_fleet_without_apps_is_drawn_and_awaited() {
    let mut stage = serving(vec![]);
    assert!(stage.fleet.portraits(None).expect("none").is_empty());
    assert!(stage.fleet.portraits(Some("all")).is_err());
    let op = stage.op(Command::Await(ostler_bus::vocab::commands::AppAwait {
        app: None,
    }));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}
