//! A master that ends when nothing is left to run.

use ostler_bus::{
    Slot,
    vocab::{control::AppStop, worker::ExitStatus},
};

use crate::{
    config::app::{AppDefinition, AppName, life::Restart, schedule::Schedule},
    fleet::{
        Action, Command, Exit, Fleet, Input, WorkerNews,
        testing::{Stage, definition},
    },
};

fn leaving(apps: Vec<AppDefinition>) -> Stage {
    let mut stage = Stage::of_all(Vec::new());
    stage.fleet = Fleet::new(1).leaving_when_done();
    stage.input(Input::DefineAll(apps));
    stage
}

fn oneshot(name: &str) -> AppDefinition {
    let mut app = definition(name, 1);
    app.life.oneshot = true;
    app.life.restart = Restart::Never;
    app
}

fn end(stage: &Stage) -> Option<u8> {
    stage.actions.iter().find_map(|action| match action {
        Action::Done { code } => Some(*code),
        _ => None,
    })
}

/// Every worker that was ordered runs, and ends like this.
fn all_end(stage: &mut Stage, status: &ExitStatus) {
    for order in stage.orders_only() {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
        let exit = Exit {
            status: status.clone(),
            stderr_tail: Vec::new(),
            hint: None,
            core_dumped: false,
        };
        stage.news(order.id, WorkerNews::Exited(exit));
    }
}

#[test]
fn a_master_ends_when_all_that_had_to_be_done_is_done() {
    let mut stage = leaving(vec![oneshot("a"), oneshot("b"), definition("none", 0)]);
    let orders = stage.orders_only();
    assert_eq!(orders.len(), 2);
    for order in &orders {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
    }
    stage.exits(orders[0].id, 0);
    assert_eq!(end(&stage), None);
    stage.exits(orders[1].id, 0);
    assert_eq!(end(&stage), Some(0));
    assert_eq!(stage.actions.last(), Some(&Action::Done { code: 0 }));
}

#[test]
fn what_has_not_ended_well_is_its_exit_code_and_nobody_waits_for_it() {
    let mut waits = definition("web", 1);
    waits.start.depends_on = AppName::new("a").into_iter().collect();
    let mut stage = leaving(vec![oneshot("a"), waits]);
    all_end(&mut stage, &ExitStatus::Code(3));
    assert_eq!(end(&stage), Some(1));
}

#[test]
fn what_was_stopped_may_be_started_again_and_what_backs_off_will() {
    let mut stage = leaving(vec![oneshot("a"), definition("web", 1)]);
    stage.op(Command::Stop(AppStop {
        app: Some("web".into()),
    }));
    let order = stage.orders_only();
    for order in order {
        stage.news(order.id, WorkerNews::Spawned { pid: 1 });
        stage.exits(order.id, 0);
    }
    assert_eq!(end(&stage), None, "somebody has stopped web");
    let mut waits = definition("web", 1);
    waits.start.depends_on = AppName::new("a").into_iter().collect();
    let mut stage = leaving(vec![oneshot("a"), waits]);
    stage.op(Command::Stop(AppStop {
        app: Some("web:0".into()),
    }));
    all_end(&mut stage, &ExitStatus::Code(1));
    assert_eq!(
        end(&stage),
        None,
        "somebody has stopped all there is of web"
    );
    let mut stage = leaving(vec![definition("web", 1)]);
    all_end(&mut stage, &ExitStatus::Code(1));
    assert_eq!(end(&stage), None);
    let mut stage = Stage::of(oneshot("a"));
    all_end(&mut stage, &ExitStatus::Code(0));
    assert_eq!(end(&stage), None, "told to stay");
}

#[test]
fn what_begins_again_at_its_hour_holds_the_master_however_it_ended() {
    let nightly = |mut app: AppDefinition| {
        app.recycle.cron = Some(Schedule::new("0 4 * * *", None).expect("a schedule"));
        app
    };
    for code in [0, 3] {
        let mut stage = leaving(vec![nightly(oneshot("a"))]);
        all_end(&mut stage, &ExitStatus::Code(code));
        assert_eq!(end(&stage), None, "ended with {code}");
        stage.input(Input::CronDue(AppName::new("a").expect("a name")));
        assert_eq!(stage.orders_only().len(), 1, "after {code}");
    }
    let mut gives_up = nightly(oneshot("a"));
    gives_up.life.restart = Restart::OnCrash;
    (gives_up.max_restarts, gives_up.life.retry_failed) = (0, None);
    let mut stage = leaving(vec![gives_up]);
    all_end(&mut stage, &ExitStatus::Code(3));
    assert_eq!(stage.states(), ["failed"]);
    assert_eq!(end(&stage), None, "it will be tried at its hour");
    // What doesn't end by itself is replaced at its hour, and not begun again.
    let mut serves = nightly(definition("web", 1));
    serves.life.restart = Restart::Never;
    let mut stage = leaving(vec![serves]);
    all_end(&mut stage, &ExitStatus::Code(0));
    assert_eq!(end(&stage), Some(0));
}

#[test]
fn connections_that_wait_for_what_has_ended_wait_for_nobody() {
    let mut gives_up = definition("web", 1);
    (gives_up.max_restarts, gives_up.life.retry_failed) = (0, None);
    let mut stage = leaving(vec![gives_up]);
    all_end(&mut stage, &ExitStatus::Code(3));
    assert_eq!(end(&stage), Some(1));
    stage.actions.clear();
    stage.input(Input::Awaited {
        app: AppName::new("web").expect("a name"),
        slot: Slot(0),
    });
    assert_eq!(stage.actions, []);
    assert_eq!(stage.fleet.next_deadline(), None);
}
