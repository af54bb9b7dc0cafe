//! What operators ask for.

use ostler_bus::{
    Slot, WorkerId,
    vocab::control::{AppStop, Outcome, RefusalKind, ScaleTo},
};

use crate::fleet::{
    Action, Command, FleetEvent, Input, WorkerNews,
    testing::{Stage, definition, kill, reload, scale, start, stop},
};

/// Lets every worker that is on its way out exit.
fn let_go(stage: &mut Stage) {
    for worker in stage.fleet.snapshot(stage.now).workers {
        if let (true, Some(id)) = (worker.closing, worker.id) {
            stage.exits(id, 0);
        }
    }
}

/// Lets every worker that is ordered start and say that it is ready, until none is ordered any more.
fn let_come(stage: &mut Stage) {
    loop {
        let orders = stage.orders();
        if orders.is_empty() {
            return;
        }
        for order in orders {
            stage.news(order.id, WorkerNews::Spawned { pid: 1 });
            stage.says_ready(order.id);
        }
    }
}

#[test]
fn scaling_up_fills_the_lowest_slots_and_down_drains_the_highest_first() {
    let mut stage = Stage::serving(definition("web", 4));
    let up = stage.op(scale(ScaleTo::Exactly(8)));
    assert_eq!(stage.outcome(up), None, "not before they serve");
    let_come(&mut stage);
    assert_eq!(stage.states(), ["ready"; 8]);
    let down = stage.op(scale(ScaleTo::Exactly(2)));
    let told: Vec<Slot> = stage
        .events()
        .filter_map(|event| match event {
            FleetEvent::WorkerDraining(event) => Some(event.worker.slot),
            _ => None,
        })
        .collect();
    assert_eq!(told, [7, 6, 5, 4, 3, 2].map(Slot));
    let_go(&mut stage);
    assert_eq!(stage.outcome(down), Some(Outcome::Done));
    assert_eq!(stage.states(), ["ready"; 2]);
}

#[test]
fn sizes_are_relative_too_never_below_none_and_the_same_again_is_done_at_once() {
    let mut stage = Stage::serving(definition("web", 2));
    let same = stage.op(scale(ScaleTo::Exactly(2)));
    assert_eq!(stage.outcome(same), Some(Outcome::Done));
    assert_eq!(
        stage.refused(scale(ScaleTo::More(u32::MAX))),
        RefusalKind::Invalid
    );
    stage.op(scale(ScaleTo::More(1)));
    assert_eq!(stage.app().instances, 3);
    stage.op(scale(ScaleTo::Fewer(5)));
    assert_eq!(stage.app().instances, 0);
    let_go(&mut stage);
    assert_eq!(stage.app().state, "stopped");
}

#[test]
fn a_later_size_overtakes_an_earlier_one() {
    let mut stage = Stage::serving(definition("web", 1));
    let first = stage.op(scale(ScaleTo::Exactly(4)));
    stage.op(scale(ScaleTo::Exactly(2)));
    assert!(matches!(stage.outcome(first), Some(Outcome::Superseded(_))));
}

#[test]
fn names_that_are_not_there_are_refused() {
    let mut stage = Stage::serving(definition("web", 1));
    let nobody = Command::Stop(AppStop {
        app: Some("no.body".into()),
    });
    assert_eq!(stage.refused(nobody), RefusalKind::UnknownName);
    assert_eq!(stage.states(), ["ready"]);
}

#[test]
fn a_stop_during_the_start_wins() {
    let mut stage = Stage::of(definition("web", 3));
    let start = stage.op(start());
    let first = stage.spawned();
    stage.says_ready(first);
    stage.spawned();
    let stop = stage.op(stop());
    assert!(matches!(stage.outcome(start), Some(Outcome::Superseded(_))));
    let_go(&mut stage);
    assert_eq!(stage.outcome(stop), Some(Outcome::Done));
    stage.wait(600_000);
    assert!(stage.orders().is_empty(), "nothing starts after a stop");
    assert_eq!(stage.states(), ["stopped"; 3]);
}

#[test]
fn a_start_after_a_stop_starts_each_slot_when_its_old_worker_has_gone() {
    let mut stage = Stage::serving(definition("web", 1));
    let stopped = stage.op(stop());
    let started = stage.op(start());
    assert!(matches!(
        stage.outcome(stopped),
        Some(Outcome::Superseded(_))
    ));
    assert!(
        stage.orders().is_empty(),
        "the old one still holds the slot"
    );
    stage.exits(WorkerId(1), 1);
    let orders = stage.orders();
    assert_eq!(orders[0].generation.0, 2, "a start reads everything anew");
    stage.news(orders[0].id, WorkerNews::Spawned { pid: 1 });
    stage.says_ready(orders[0].id);
    assert_eq!(stage.outcome(started), Some(Outcome::Done));
}

#[test]
fn a_stopped_app_is_not_reloaded_and_scales_without_starting() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(stop());
    let_go(&mut stage);
    assert_eq!(stage.refused(reload(false)), RefusalKind::WrongState);
    let op = stage.op(scale(ScaleTo::More(1)));
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert!(stage.orders().is_empty());
}

#[test]
fn ending_the_master_tells_all_and_is_done_once_when_all_are_gone() {
    let mut stage = Stage::serving(definition("web", 3));
    let op = stage.op(kill(false));
    assert_eq!(stage.refused(start()), RefusalKind::Stopping);
    stage.exits(WorkerId(1), 0);
    stage.exits(WorkerId(2), 1);
    assert_eq!(stage.outcome(op), None);
    stage.exits(WorkerId(3), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    let done = stage
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Done { .. }));
    assert_eq!(done.collect::<Vec<_>>(), [&Action::Done { code: 0 }]);
    assert_eq!(stage.actions.last(), Some(&Action::Done { code: 0 }));
    stage.actions.clear();
    assert_eq!(stage.refused(kill(true)), RefusalKind::Stopping);
    stage.input(Input::Define(definition("late", 2)));
    assert!(stage.orders().is_empty());
}

#[test]
fn asked_a_second_time_with_force_everything_is_killed_at_once() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(kill(false));
    stage.op(kill(true));
    assert_eq!(
        (stage.signals(WorkerId(1)), stage.signals(WorkerId(2))),
        (vec![0, 9], vec![0, 9])
    );
    let_go(&mut stage);
    assert_eq!(stage.actions.last(), Some(&Action::Done { code: 1 }));
}

#[test]
fn a_master_without_workers_ends_at_once() {
    let mut stage = Stage::of(definition("web", 0));
    stage.op(kill(false));
    assert_eq!(stage.actions.last(), Some(&Action::Done { code: 0 }));
}

#[test]
fn a_command_for_all_apps_ends_when_the_last_of_them_is_done() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.input(Input::Define(definition("api", 1)));
    let_come(&mut stage);
    let op = stage.op(stop());
    stage.exits(WorkerId(1), 0);
    assert_eq!(stage.outcome(op), None);
    stage.exits(WorkerId(2), 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}
