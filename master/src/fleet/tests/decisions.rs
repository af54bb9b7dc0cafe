//! What a worker was started for, and what is decided about its end, told with the events themselves.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::{
        control::ScaleTo,
        worker::{Next, WorkerExited},
    },
};

use crate::{
    config::app::life::Restart,
    fleet::{
        FleetEvent, WorkerNews,
        testing::{Stage, definition, reload, scale, start, stop},
    },
};

fn exits(stage: &Stage) -> Vec<WorkerExited> {
    let exit = |event: &FleetEvent| match event {
        FleetEvent::WorkerExited(exit) => Some(exit.clone()),
        _ => None,
    };
    stage.events().filter_map(exit).collect()
}

fn last(stage: &Stage) -> WorkerExited {
    exits(stage).pop().expect("an exit")
}

/// The one worker ordered since the last look, whose process runs now, and what for.
fn spawned(stage: &mut Stage) -> (WorkerId, String) {
    let id = stage.spawned();
    let trigger = |event: &FleetEvent| match event {
        FleetEvent::WorkerSpawned(event) => Some(event.trigger.clone()),
        _ => None,
    };
    let trigger = stage.events().find_map(trigger);
    (id, trigger.expect("told"))
}

#[test]
fn a_crash_after_a_good_while_an_early_one_and_one_too_many() {
    let mut app = definition("web", 1);
    app.max_restarts = 2;
    app.life.retry_failed = Some(Duration::from_secs(300));
    let mut stage = Stage::serving(app);
    stage.wait(10_000);
    stage.exits(WorkerId(1), 1);
    let exit = last(&stage);
    assert_eq!((exit.next, exit.cause), (Next::AtOnce, None));
    assert!(exit.because.is_some_and(|why| why.contains("min_uptime")));
    assert_eq!(exit.trigger, "first start");
    let (second, trigger) = spawned(&mut stage);
    assert_eq!(trigger, "after the end of worker 1");
    stage.exits(second, 1);
    let exit = last(&stage);
    let Next::After { ms } = exit.next else {
        panic!("{exit:?}");
    };
    assert!((100..=120).contains(&ms), "{ms}");
    assert!(
        exit.because
            .is_some_and(|why| why.starts_with("failure 1 of 2 within 10m"))
    );
    stage.wait(ms + 1);
    let (third, _) = spawned(&mut stage);
    stage.exits(third, 1);
    let exit = last(&stage);
    let again_ms = Some(300_000);
    assert_eq!(
        (exit.next, exit.trigger.as_str()),
        (Next::GivenUp { again_ms }, "after the end of worker 2")
    );
    stage.wait(300_001);
    let (_, trigger) = spawned(&mut stage);
    assert_eq!(
        trigger,
        "tried again after a rest (retry_failed), worker 3 was the last"
    );
}

#[test]
fn an_update_names_its_reason_on_both_sides() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(reload(false));
    let (id, trigger) = spawned(&mut stage);
    assert_eq!(trigger, "update to generation 2: reload");
    stage.says_ready(id);
    stage.wait(5_000);
    stage.exits(WorkerId(1), 0);
    let exit = last(&stage);
    assert_eq!(exit.cause.as_deref(), Some("update: reload"));
    assert_eq!(exit.next, Next::Succeeded { by: Some(id) });
}

#[test]
fn a_successor_that_is_no_good_leaves_the_slot_to_its_predecessor() {
    let mut stage = Stage::serving(definition("web", 1));
    stage.op(reload(false));
    let id = stage.spawned();
    stage.exits(id, 1);
    let exit = last(&stage);
    let by = Some(WorkerId(1));
    assert_eq!((exit.worker.id, exit.next), (id, Next::Succeeded { by }));
    assert!(
        exit.because
            .is_some_and(|why| why.contains("the update is given up"))
    );
    // Told before what came of it.
    let events: Vec<_> = stage.events().collect();
    let at = |is: fn(&FleetEvent) -> bool| events.iter().position(|event| is(event));
    let exited = at(|event| matches!(event, FleetEvent::WorkerExited(_)));
    assert!(exited < at(|event| matches!(event, FleetEvent::UpdateAborted(_))) && exited.is_some());
}

#[test]
fn who_is_sent_away_is_followed_by_nobody_unless_somebody_is_wanted_again() {
    let mut stage = Stage::serving(definition("web", 2));
    stage.op(scale(ScaleTo::Exactly(1)));
    stage.exits(WorkerId(2), 0);
    let exit = last(&stage);
    assert_eq!(
        (exit.cause.as_deref(), exit.next),
        (Some("scale"), Next::Nothing)
    );
    stage.op(stop());
    stage.op(start());
    stage.exits(WorkerId(1), 0);
    let exit = last(&stage);
    assert_eq!(exit.cause.as_deref(), Some("stop"));
    assert_eq!(exit.next, Next::AtOnce);
    assert_eq!(spawned(&mut stage).1, "start");
}

#[test]
fn an_end_for_good_says_which_rule_made_it_so() {
    let mut app = definition("web", 1);
    app.stop_exit_codes = vec![3];
    app.life.restart = Restart::Never;
    let because = |code: i32| {
        let mut stage = Stage::serving(app.clone());
        stage.exits(WorkerId(1), code);
        let exit = last(&stage);
        (exit.next, exit.because.expect("a reason"))
    };
    assert_eq!(
        because(3),
        (
            Next::Ended { well: true },
            "3 is one of stop_exit_codes".into()
        )
    );
    assert_eq!(
        because(4),
        (Next::Ended { well: false }, "restart is \"never\"".into())
    );
}

#[test]
fn what_could_not_be_started_still_says_what_for() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.orders()[0].id;
    let error = "no such file".into();
    stage.news(id, WorkerNews::SpawnFailed { error });
    assert_eq!(last(&stage).trigger, "first start");
    assert!(matches!(last(&stage).next, Next::After { .. }));
}
