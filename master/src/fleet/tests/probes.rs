//! Workers that are asked from outside.

use ostler_bus::WorkerId;

use crate::{
    config::app::{AppDefinition, Readiness},
    fleet::{
        Action, FleetEvent, WorkerNews,
        testing::{Stage, definition, probe},
    },
};

fn probed() -> AppDefinition {
    AppDefinition {
        ready: Readiness::Probe(probe(200, 1000)),
        ..definition("web", 1)
    }
}

/// The question asked since the last look, which must be of this worker.
fn asked(stage: &mut Stage, worker: WorkerId) -> Option<u64> {
    let asks: Vec<_> = std::mem::take(&mut stage.actions)
        .into_iter()
        .filter_map(|action| match action {
            Action::Probe(order) => Some((order.id, order.ask)),
            _ => None,
        })
        .collect();
    assert!(asks.len() <= 1, "one question at a time: {asks:?}");
    let (id, ask) = asks.first()?;
    assert_eq!(*id, worker);
    Some(*ask)
}

fn answers(stage: &mut Stage, id: WorkerId, ask: u64, answer: Result<(), &str>) {
    let answer = answer.map_err(str::to_owned);
    stage.news(id, WorkerNews::Probed { ask, answer });
}

#[test]
fn is_asked_at_once_and_after_each_bad_answer_until_it_is_good() {
    let mut stage = Stage::of(probed());
    let id = stage.orders()[0].id;
    assert_eq!(
        stage.fleet.next_deadline(),
        None,
        "there is nobody to ask yet"
    );
    stage.news(id, WorkerNews::Spawned { pid: 1000 });
    let first = asked(&mut stage, id).expect("asked at once");
    stage.wait(900);
    assert_eq!(asked(&mut stage, id), None, "it has not answered yet");
    answers(&mut stage, id, first, Err("refused"));
    let waits_for = stage.fleet.snapshot(stage.now).workers.remove(0).waits_for;
    let waits_for = waits_for.expect("an answer");
    assert!(
        waits_for.starts_with("an answer to ") && waits_for.ends_with(": refused"),
        "{waits_for}"
    );
    stage.wait(199);
    assert_eq!(asked(&mut stage, id), None);
    stage.wait(1);
    let second = asked(&mut stage, id).expect("asked again");
    answers(&mut stage, id, second, Ok(()));
    assert_eq!(stage.states(), ["ready"]);
    stage.wait(60_000);
    assert_eq!(asked(&mut stage, id), None, "it has been found ready");
}

#[test]
fn an_answer_to_a_question_of_long_ago_counts_for_nothing() {
    let mut stage = Stage::of(probed());
    let id = stage.spawned();
    let first = asked(&mut stage, id).expect("asked");
    answers(&mut stage, id, first, Err("refused"));
    stage.wait(200);
    answers(&mut stage, id, first, Ok(()));
    assert_eq!(stage.states(), ["starting"]);
}

#[test]
fn neither_its_word_nor_its_patience_makes_it_ready() {
    let mut stage = Stage::of(probed());
    let id = stage.spawned();
    stage.says_ready(id);
    assert_eq!(stage.states(), ["starting"]);
    let ask = asked(&mut stage, id).expect("asked");
    answers(&mut stage, id, ask, Err("status 503"));
    stage.wait(29_000);
    let ask = asked(&mut stage, id).expect("asked");
    answers(&mut stage, id, ask, Err("status 503"));
    stage.wait(1_000);
    assert_eq!(stage.states(), ["stopping"]);
    stage.exits(id, 0);
    let failed = stage
        .events()
        .any(|event| matches!(event, FleetEvent::WorkerExited(exit) if !exit.voluntary));
    assert!(failed, "it failed to start");
    let snapshot = stage.fleet.snapshot(stage.now);
    let exit = snapshot.workers[0].last_exit.clone().expect("an exit");
    assert!(
        exit.contains("to answer tcp(port 8100+slot): status 503"),
        "{exit}"
    );
}
