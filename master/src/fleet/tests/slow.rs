//! Workers that are slow to say that they are ready, or never do.

use std::time::Duration;

use crate::{
    config::app::Readiness,
    fleet::{
        Action, FleetEvent, Notification, WorkerNews,
        testing::{Stage, definition},
    },
};

/// The warnings since the last look.
fn warnings(stage: &mut Stage) -> Vec<String> {
    let warning = |action| match action {
        Action::Warn(text) => Some(text),
        _ => None,
    };
    std::mem::take(&mut stage.actions)
        .into_iter()
        .filter_map(warning)
        .collect()
}

fn waits_for(stage: &Stage) -> Option<String> {
    let mut workers = stage.fleet.snapshot(stage.now).workers;
    workers.remove(0).waits_for
}

#[test]
fn a_worker_that_connects_and_says_no_word_is_warned_of_once_and_named_when_it_is_late() {
    let mut stage = Stage::of(definition("web", 1));
    let id = stage.spawned();
    assert_eq!(waits_for(&stage), None, "it may be assumed ready");
    stage.news(id, WorkerNews::BusConnected);
    assert!(waits_for(&stage).unwrap().contains("the SDK's ready()"));
    stage.wait(4_999);
    assert_eq!(warnings(&mut stage), Vec::<String>::new());
    stage.wait(1);
    let warned = warnings(&mut stage);
    assert_eq!(warned.len(), 1);
    for words in [
        "web.0 is not ready after 5s",
        "READY=1 on NOTIFY_SOCKET or the SDK's ready()",
        "it has 30s in all (start_timeout)",
        "worker 1",
    ] {
        assert!(warned[0].contains(words), "{words}: {warned:?}");
    }
    stage.wait(25_000);
    assert_eq!(warnings(&mut stage), Vec::<String>::new(), "once");
    assert_eq!(waits_for(&stage), None, "it is on its way out");
    stage.exits(id, 0);
    let last_exit = stage.fleet.snapshot(stage.now).workers.remove(0).last_exit;
    let last_exit = last_exit.unwrap();
    assert!(
        last_exit.contains("(READY=1 on NOTIFY_SOCKET, or the SDK's ready())"),
        "{last_exit}"
    );
}

#[test]
fn who_is_ready_in_time_or_is_not_waited_for_is_not_warned_of() {
    let mut auto = Stage::of(definition("web", 1));
    let id = auto.spawned();
    auto.news(id, WorkerNews::BusConnected);
    auto.wait(4_000);
    auto.says_ready(id);
    let mut silent = Stage::of(definition("web", 1));
    silent.spawned();
    let mut delay = definition("web", 1);
    delay.ready = Readiness::Delay(Duration::from_secs(60));
    let mut delayed = Stage::of(delay);
    delayed.spawned();
    let mut hasty = definition("web", 1);
    hasty.start_timeout = Duration::from_secs(3);
    hasty.ready = Readiness::Notify;
    let mut hasty = Stage::of(hasty);
    let id = hasty.spawned();
    hasty.news(id, WorkerNews::Notified(Notification::Status("x".into())));
    for stage in [&mut auto, &mut silent, &mut delayed, &mut hasty] {
        stage.wait(20_000);
        assert_eq!(warnings(stage), Vec::<String>::new());
    }
}

#[test]
fn notify_and_sdk_name_the_word_that_counts() {
    for (ready, words) in [
        (Readiness::Notify, "it waits for READY=1 on NOTIFY_SOCKET;"),
        (Readiness::Sdk, "it waits for the SDK's ready();"),
    ] {
        let mut app = definition("web", 1);
        app.ready = ready;
        let mut stage = Stage::of(app);
        stage.spawned();
        stage.wait(5_000);
        let spawned = stage
            .events()
            .filter(|event| matches!(event, FleetEvent::WorkerSpawned(_)));
        assert_eq!(spawned.count(), 1);
        let warned = warnings(&mut stage);
        assert!(warned[0].contains(words), "{warned:?}");
    }
}
