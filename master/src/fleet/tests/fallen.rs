//! What has ended, and not well, where `restart` leaves it at that: whoever mends the program brings it up again.

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{Outcome, RefusalKind},
        update::WorkerRestartNeeded,
    },
};

use crate::{
    config::app::{
        AppDefinition, AppName,
        life::Restart,
        update::{OnFailure, Strategy},
    },
    fleet::{
        Command, FleetEvent, Input, Requester,
        testing::{Stage, definition, reload},
    },
};

const FIRST: WorkerId = WorkerId(1);

fn once(instances: u32) -> AppDefinition {
    let mut app = definition("web", instances);
    app.life.restart = Restart::Never;
    app
}

/// One worker, which has crashed.
fn fallen(app: AppDefinition) -> Stage {
    let mut stage = Stage::serving(app);
    stage.exits(FIRST, 1);
    assert_eq!(stage.states()[0], "stopped");
    assert!(stage.orders().is_empty());
    stage
}

fn wish(by: Requester) -> Input {
    let wish = WorkerRestartNeeded {
        app: Some("web".into()),
        reason: None,
    };
    Input::RestartNeeded { wish, by }
}

fn worker(id: WorkerId) -> Requester {
    Requester::Worker {
        id,
        app: AppName::new("web").expect("a name"),
        generation: ostler_bus::Generation(1),
    }
}

/// The slots of the workers ordered since the last look.
fn slots(stage: &mut Stage) -> Vec<Slot> {
    stage.orders().iter().map(|order| order.slot).collect()
}

#[test]
fn whoever_mends_it_brings_it_up() {
    let changed = Requester::File("/srv/app.py".into());
    for by in [
        changed,
        Requester::Client("ci".into()),
        Requester::Signal("SIGHUP"),
    ] {
        let mut stage = fallen(once(1));
        stage.input(wish(by));
        let id = stage.spawned();
        stage.says_ready(id);
        stage.wait(2_000);
        assert_eq!(stage.states(), ["ready"]);
        assert!(
            stage
                .events()
                .any(|event| matches!(event, FleetEvent::UpdateFinished(_)))
        );
    }
    let mut stage = fallen(once(1));
    let mut mended = once(1);
    mended.env.insert("NEW".into(), "1".into());
    stage.op(Command::TakeUp(vec![mended]));
    assert_eq!(stage.orders().len(), 1);
}

#[test]
fn a_reload_is_done_when_it_serves_and_has_failed_when_it_falls_again() {
    for strategy in [Strategy::Surge, Strategy::Replace] {
        let mut app = once(1);
        app.update.strategy = strategy;
        let mut stage = fallen(app.clone());
        let op = stage.op(reload(false));
        let id = stage.spawned();
        stage.says_ready(id);
        assert_eq!(stage.outcome(op), None);
        stage.wait(2_000);
        assert_eq!(stage.outcome(op), Some(Outcome::Done));
        assert_eq!(stage.states(), ["ready"]);

        let mut stage = fallen(app);
        let op = stage.op(reload(false));
        let id = stage.spawned();
        stage.exits(id, 1);
        assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
        stage.wait(600_000);
        assert!(stage.orders().is_empty(), "{strategy:?}: left at that");
        assert_eq!(stage.states(), ["stopped"]);
    }
}

#[test]
fn what_workers_ask_for_brings_up_nobody_who_fell() {
    let mut stage = fallen(once(2));
    stage.input(wish(worker(WorkerId(2))));
    assert_eq!(slots(&mut stage), [Slot(1)]);

    // A program that closes what it has and then crashes.
    let mut stage = Stage::serving(once(1));
    stage.input(wish(Requester::Socket("http".into())));
    let successor = stage.spawned();
    stage.exits(FIRST, 1);
    assert_eq!(stage.signals(successor), [15]);
    stage.exits(successor, 0);
    stage.wait(600_000);
    assert_eq!(
        (slots(&mut stage), stage.states()),
        (vec![], vec!["stopped".into()])
    );
}

#[test]
fn who_falls_beside_its_successor_is_succeeded() {
    let mut stage = Stage::serving(once(1));
    let op = stage.op(reload(false));
    let successor = stage.spawned();
    stage.exits(FIRST, 1);
    assert!(stage.signals(successor).is_empty() && stage.orders().is_empty());
    stage.says_ready(successor);
    stage.wait(2_000);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_rollback_brings_back_what_fell_once_it_was_replaced() {
    let mut app = once(2);
    app.update.on_failure = OnFailure::Rollback;
    let mut stage = Stage::serving(app);
    let op = stage.op(reload(false));
    let newcomer = stage.spawned();
    stage.says_ready(newcomer);
    stage.wait(2_000);
    stage.exits(FIRST, 0);
    let second = stage.spawned();
    stage.exits(newcomer, 1);
    assert_eq!(stage.signals(second), [15], "it is given up");
    let orders = stage.orders_only();
    let back: Vec<_> = orders
        .iter()
        .map(|it| (it.slot.0, it.generation.0))
        .collect();
    assert_eq!(back, [(0, 1)]);
    let old = orders[0].id;
    stage.news(old, crate::fleet::WorkerNews::Spawned { pid: 1 });
    stage.says_ready(old);
    stage.exits(second, 0);
    stage.wait(2_000);
    assert!(matches!(stage.outcome(op), Some(Outcome::Failed(_))));
    assert_eq!(stage.states(), ["ready", "ready"]);
}

#[test]
fn what_ended_well_stays_so_and_is_not_said_to_be_reloaded() {
    let mut app = definition("web", 2);
    app.stop_exit_codes = vec![7];
    let mut stage = Stage::serving(app);
    stage.exits(FIRST, 7);
    stage.input(wish(Requester::File("/srv/app.py".into())));
    let successor = stage.orders();
    assert_eq!(successor.len(), 1);
    assert_eq!(successor[0].slot, Slot(1));
    stage.exits(successor[0].id, 7);
    stage.exits(WorkerId(2), 7);
    assert_eq!(stage.states(), ["stopped", "stopped"]);
    assert_eq!(stage.refused(reload(false)), RefusalKind::WrongState);
    stage.op(crate::fleet::testing::start());
    assert_eq!(slots(&mut stage), [Slot(0)], "one after the other");
}
