//! Operations followed over a real hub, with a master that says what a test wants.

use std::future::{pending, ready};

use ostler_bus::{
    Generation, Limits, Slot, WorkerId,
    client::ConnectOptions,
    hub::{Hub, HubOptions, Notices, Principal},
    vocab::{
        control::OperationFinished,
        rules::{builtins, fleet_rules},
        update::{UpdateFinished, UpdateProgress, UpdateStarted, UpdateStep},
    },
};

use super::*;
use crate::cli::progress::Doing;

const PATIENCE: Duration = Duration::from_secs(20);
const OP: OpId = OpId(9);

struct World {
    hub: Hub,
    master: Bus,
    cli: Bus,
    _notices: Notices,
}

async fn world() -> World {
    let (hub, _notices) = Hub::start(HubOptions {
        name: "test".into(),
        limits: Limits::default(),
        rules: fleet_rules(),
        builtins: builtins(),
        history: Vec::new(),
    })
    .unwrap();
    let operator = Principal::Operator { name: "cli".into() };
    let master = hub.attach_memory(Principal::Master).unwrap();
    let cli = hub.attach_memory(operator).unwrap();
    World {
        master: Bus::connect(master, ConnectOptions::client("master"))
            .await
            .unwrap(),
        cli: Bus::connect(cli, ConnectOptions::operator("cli"))
            .await
            .unwrap(),
        hub,
        _notices,
    }
}

/// Follows a reload, and gives how it ended and what was shown meanwhile.
async fn follow(
    watch: Watch,
    bus: &Bus,
    interrupted: impl Future<Output = ()>,
) -> (Result<End, Waited>, Vec<String>) {
    let mut out = Vec::new();
    let mut live = Live::lines(&mut out);
    let progress = Progress::new(Doing::Reload, OP, None);
    let end = watch.follow(bus, (OP, progress), &mut live, interrupted);
    let end = tokio::time::timeout(PATIENCE, end).await.unwrap();
    drop(live);
    let shown = String::from_utf8(out).unwrap();
    (end, shown.lines().map(ToOwned::to_owned).collect())
}

async fn end(master: &Bus, op: OpId) {
    let outcome = Outcome::Done;
    master
        .emit(&OperationFinished { op, outcome })
        .await
        .unwrap();
}

#[tokio::test]
async fn steps_of_different_types_are_told_in_order_and_none_after_the_end() {
    let world = world().await;
    let watch = Watch::begin(&world.cli).await.unwrap();
    let (app, generation) = ("web".to_owned(), Generation(2));
    let started = UpdateStarted {
        app: app.clone(),
        generation,
        total: 100,
        reason: "r".into(),
        ops: vec![OP],
    };
    end(&world.master, OpId(8)).await;
    world.master.emit(&started).await.unwrap();
    for done in 1..=100 {
        let progress = UpdateProgress {
            app: app.clone(),
            generation,
            slot: Slot(done - 1),
            worker: WorkerId(7),
            step: UpdateStep::Replaced,
            done,
            total: 100,
            rollback: false,
            draining: Vec::new(),
        };
        world.master.emit(&progress).await.unwrap();
    }
    let took_ms = 5;
    let finished = UpdateFinished {
        app,
        generation,
        took_ms,
    };
    world.master.emit(&finished).await.unwrap();
    end(&world.master, OP).await;
    // It comes after the end, and is none of this operation's.
    world.master.emit(&started).await.unwrap();
    let (ended, shown) = follow(watch, &world.cli, pending()).await;
    assert!(
        matches!(ended, Ok(End::Outcome(Outcome::Done))),
        "{ended:?}"
    );
    assert_eq!(shown.len(), 102, "{shown:#?}");
    assert_eq!(shown[0], "web: generation 2 replaces 100 workers: r");
    for (done, line) in (1..=100).zip(&shown[1..]) {
        assert!(
            line.ends_with(&format!("({done} of 100 replaced)")),
            "{line}"
        );
    }
    assert_eq!(shown[101], "web: generation 2 serves after 5ms");
}

#[tokio::test]
async fn a_master_that_goes_is_an_end_of_its_own() {
    let world = world().await;
    let watch = Watch::begin(&world.cli).await.unwrap();
    world.hub.shutdown().await;
    let (ended, _) = follow(watch, &world.cli, pending()).await;
    assert!(matches!(ended, Ok(End::Gone(_))), "{ended:?}");
}

#[tokio::test]
async fn an_interrupt_ends_the_wait_and_nothing_else() {
    let world = world().await;
    let watch = Watch::begin(&world.cli).await.unwrap();
    let (ended, _) = follow(watch, &world.cli, ready(())).await;
    assert!(matches!(ended, Err(Waited::Interrupted)), "{ended:?}");
    assert_eq!(
        *world.cli.state().borrow(),
        ostler_bus::client::ConnectionState::Connected
    );
}
