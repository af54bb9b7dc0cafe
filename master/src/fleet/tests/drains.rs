//! How workers are made to go.

use std::time::Duration;

use ostler_bus::{WorkerId, vocab::control::Outcome};

use crate::{
    config::app::{AppDefinition, Rung},
    fleet::{
        Action, Notification, SignalTarget, WorkerNews,
        testing::{Stage, definition, kill, start, stop},
    },
};

/// INT, 3 s, TERM, 2 s, KILL, 1 s.
fn patient() -> AppDefinition {
    let mut app = definition("web", 1);
    let rung = |signal, seconds| Rung {
        signal,
        wait: Some(Duration::from_secs(seconds)),
    };
    app.kill_ladder = vec![rung(2, 3), rung(15, 2), rung(9, 1)];
    app
}

/// A worker that never took part, so that it is told by signals alone.
fn silent(app: AppDefinition) -> (Stage, WorkerId) {
    let mut stage = Stage::of(app);
    let id = stage.spawned();
    stage.wait(10_000);
    (stage, id)
}

#[test]
fn each_rung_comes_once_in_its_time() {
    let (mut stage, id) = silent(patient());
    let op = stage.op(stop());
    assert_eq!(
        (stage.signals(id), stage.states()),
        (vec![2], vec!["draining".to_owned()])
    );
    stage.wait(2_999);
    assert_eq!(stage.signals(id), [2]);
    stage.wait(1);
    assert_eq!(
        (stage.signals(id), stage.states()),
        (vec![2, 15], vec!["stopping".to_owned()])
    );
    stage.wait(2_000);
    assert_eq!(stage.signals(id), [2, 15, 9]);
    stage.wait(60_000);
    assert_eq!(stage.signals(id), [2, 15, 9], "and that was all");
    assert_eq!(stage.outcome(op), None);
    stage.exits(id, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
    assert_eq!(stage.states(), ["stopped"]);
}

#[test]
fn the_ladder_ends_with_the_worker() {
    let (mut stage, id) = silent(patient());
    stage.op(stop());
    stage.wait(1_000);
    stage.exits(id, 0);
    stage.wait(60_000);
    assert_eq!(stage.signals(id), [2]);
}

#[test]
fn one_on_the_bus_gets_the_message_instead_of_the_signal_and_is_killed_all_the_same() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(stop());
    let deadline = Some(Duration::from_secs(30));
    assert!(stage.actions.contains(&Action::Drain {
        id: WorkerId(1),
        reason: "stop".into(),
        deadline
    }));
    stage.wait(30_000);
    assert_eq!(stage.signals(WorkerId(1)), [0, 9]);
}

#[test]
fn one_whose_connection_is_gone_gets_the_signal() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.news(WorkerId(1), WorkerNews::BusClosed);
    stage.op(stop());
    assert_eq!(stage.signals(WorkerId(1)), [15]);
}

#[test]
fn being_told_several_times_over_is_being_told_once() {
    let (mut stage, id) = silent(patient());
    let ops = [stage.op(stop()), stage.op(stop()), stage.op(kill(false))];
    assert_eq!(stage.signals(id), [2]);
    stage.exits(id, 0);
    for op in ops {
        assert_eq!(stage.outcome(op), Some(Outcome::Done));
    }
}

#[test]
fn told_to_go_before_its_process_exists_it_is_called_off_or_hears_when_it_does() {
    let mut stage = Stage::of(patient());
    let id = stage.orders()[0].id;
    let op = stage.op(stop());
    assert!(stage.actions.contains(&Action::CallOff { id }));
    stage.wait(60_000);
    assert_eq!(stage.signals(id), [0; 0]);
    stage.news(id, WorkerNews::Spawned { pid: 1 });
    assert_eq!(stage.signals(id), [2]);
    stage.exits(id, 0);
    assert_eq!(stage.outcome(op), Some(Outcome::Done));
}

#[test]
fn a_start_that_is_called_off_is_no_failure_and_the_next_is_as_good_as_the_first() {
    let mut stage = Stage::of(patient());
    let id = stage.orders()[0].id;
    let stopped = stage.op(stop());
    let error = "called off".to_owned();
    stage.news(id, WorkerNews::SpawnFailed { error });
    assert_eq!(stage.outcome(stopped), Some(Outcome::Done));
    assert_eq!(
        (stage.states(), stage.app().state.as_str()),
        (vec!["stopped".to_owned()], "stopped")
    );
    let op = stage.op(start());
    let next = stage.spawned();
    stage.wait(10_000);
    assert_eq!(
        (next, stage.outcome(op)),
        (WorkerId(2), Some(Outcome::Done))
    );
    let workers = stage.fleet.snapshot(stage.now).workers;
    assert_eq!((workers[0].failures, workers[0].restarts), (0, 0));
}

#[test]
fn a_forced_end_calls_starts_off_too() {
    let mut stage = Stage::of(patient());
    let id = stage.orders()[0].id;
    stage.op(kill(true));
    assert!(stage.actions.contains(&Action::CallOff { id }));
}

#[test]
fn polite_signals_go_to_the_main_process_and_kill_to_all() {
    let (mut stage, id) = silent(patient());
    stage.news(id, WorkerNews::Notified(Notification::MainPid(4711)));
    stage.op(stop());
    stage.wait(10_000);
    let targets: Vec<SignalTarget> = stage
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Signal { target, .. } => Some(*target),
            _ => None,
        })
        .collect();
    assert_eq!(
        targets,
        [
            SignalTarget::Main(4711),
            SignalTarget::Main(4711),
            SignalTarget::Group
        ]
    );
}

#[test]
fn a_ladder_that_would_end_in_waiting_ends_in_kill() {
    let mut app = patient();
    app.kill_ladder.pop();
    let (mut stage, id) = silent(app.clone());
    stage.op(stop());
    stage.wait(5_000);
    assert_eq!(stage.signals(id), [2, 15, 9]);
    app.kill_ladder.clear();
    let (mut stage, id) = silent(app);
    stage.op(stop());
    assert_eq!(stage.signals(id), [9]);
}

#[test]
fn a_worker_can_ask_for_more_time_to_finish() {
    let (mut stage, id) = silent(patient());
    stage.op(stop());
    stage.wait(2_000);
    stage.news(
        id,
        WorkerNews::Notified(Notification::ExtendTimeout(Duration::from_secs(60))),
    );
    stage.wait(59_999);
    assert_eq!(stage.signals(id), [2]);
    stage.wait(1);
    assert_eq!(stage.signals(id), [2, 15]);
}

#[test]
fn a_message_says_what_the_first_signal_would_and_the_rest_is_the_ladder() {
    let mut app = patient();
    app.stop.message = Some("shutdown".into());
    let (mut stage, id) = silent(app.clone());
    stage.op(stop());
    assert!(stage.actions.contains(&Action::StopMessage {
        id,
        signal: 2,
        target: SignalTarget::Leader
    }));
    assert_eq!(stage.signals(id), Vec::<i32>::new());
    stage.wait(5_000);
    assert_eq!(stage.signals(id), [15, 9]);
    // One on the bus is asked there.
    let mut stage = Stage::serving(app);
    stage.op(stop());
    assert_eq!(stage.signals(WorkerId(1)), [0]);
}

#[test]
fn with_kill_group_every_signal_is_for_all() {
    let mut app = patient();
    app.stop.kill_group = true;
    let (mut stage, id) = silent(app);
    stage.news(id, WorkerNews::Notified(Notification::MainPid(77)));
    stage.op(stop());
    stage.wait(5_000);
    let targets: Vec<SignalTarget> = stage
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Signal { target, .. } => Some(*target),
            _ => None,
        })
        .collect();
    assert_eq!(targets, [SignalTarget::Group; 3]);
}
