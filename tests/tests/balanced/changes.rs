//! Who is handed connections when workers leave, and when sockets are shared otherwise than before.

use ostler_tests::harness::{Exit, eventually};

use super::*;

/// From the moment on that a worker is told of as draining, also while a command beside it keeps it from hearing of that.
#[tokio::test]
async fn while_before_stop_runs_a_worker_gets_no_connections() {
    let waits = "touch begun; until [ -e go ]; do sleep 0.02; done";
    let app = web(2).set("before_stop", waits);
    let fleet = ready(&app, 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    // It has some of before, which it may finish.
    let mut before = Vec::new();
    for _ in 0..4 {
        before.push(knock(address, "/slow/1500").await);
    }
    let even = |status: &StatusReport| balance(status).workers.iter().all(|w| w.open == 2);
    fleet.until("two for each", even).await;
    let leaving = fleet.worker("web", 1).await;
    let scaling = tokio::spawn(fleet.ostler(["scale", "1"]).run());
    let id = leaving.id;
    let draining = move |status: &StatusReport| {
        let mut workers = status.workers.iter();
        workers.any(|worker| worker.id == id && worker.state == "draining")
    };
    let status = fleet.until("it to drain", draining).await;
    let takers = balance(&status).workers.iter().map(|worker| worker.id);
    assert_eq!(
        takers.collect::<Vec<_>>(),
        [fleet.worker("web", 0).await.id.expect("it lives")]
    );
    let begun = fleet.dir().at("begun");
    eventually("the command to begin", PATIENCE, || {
        begun.exists().then_some(())
    })
    .await;
    only_the_other_serves(&fleet, address).await;
    // A server of the SDK looks for another connection whenever one has ended.
    answered(before).await;
    only_the_other_serves(&fleet, address).await;
    fleet.dir().write("go", "");
    let scaled = scaling.await.expect("run");
    assert_eq!(scaled.exit, Exit::Code(0), "{scaled:#?}");
    fleet.until_ready(1).await;
}

async fn only_the_other_serves(fleet: &Fleet, address: SocketAddr) {
    let plan = to(address, "/").by_field("slot").requests(60);
    let tally = fleet.load_with(plan).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert_eq!(tally.by.keys().collect::<Vec<_>>(), ["0"], "{tally}");
}

/// The socket stays; what is new holds for workers that come then.
#[tokio::test]
async fn a_changed_file_has_a_socket_shared_otherwise_and_nothing_is_lost() {
    let socket = |more: Value| {
        let mut socket = json!({"address": "127.0.0.1:0"});
        let both = socket.as_object_mut().zip(more.as_object());
        let (socket_table, more) = both.expect("tables");
        socket_table.extend(more.clone());
        socket
    };
    let fleet = ready(&sdk(2, socket(json!({"mode": "shared"}))), 2).await;
    let address = fleet.address().await;
    let load = fleet.load_with(to(address, "/")).await;
    load.answers(40, PATIENCE).await.expect("answers");
    assert_eq!(socket_mode(&fleet).await, "shared");
    for (more, mode, most) in [
        (json!({"mode": "balanced"}), "balanced", None),
        (
            json!({"mode": "balanced", "max_connections": 7}),
            "balanced",
            Some(7),
        ),
        (json!({"mode": "shared"}), "shared", None),
        (json!({}), "balanced", None),
    ] {
        fleet.rewrite(&[sdk(2, socket(more))]);
        fleet.ostler(["reload", "--config"]).success().await;
        load.answers(40, PATIENCE).await.expect("answers");
        let takers = if mode == "balanced" { 2 } else { 0 };
        taking(&fleet, takers).await;
        let status = fleet.status().await;
        assert_eq!(super::socket(&status).mode, mode);
        for worker in &balance(&status).workers {
            assert_eq!(worker.max_connections, most);
        }
    }
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert_eq!(fleet.address().await, address);
}

async fn socket_mode(fleet: &Fleet) -> String {
    socket(&fleet.status().await).mode.clone()
}

#[tokio::test]
async fn what_each_slot_has_for_itself_is_its_own_workers() {
    let app = sdk(2, json!({"address": "127.0.0.1:0", "per_slot": true}));
    let fleet = ready(&app, 2).await;
    let status = fleet.status().await;
    let sockets = &status.apps[0].sockets;
    assert_eq!(sockets.len(), 2);
    for socket in sockets {
        let why = socket.why.as_deref();
        let own = "auto: each worker has a port of its own";
        assert_eq!((socket.mode.as_str(), why), ("shared", Some(own)));
        let address = socket.address.parse().expect("an address");
        let plan = to(address, "/").by_field("slot").requests(20);
        let tally = fleet.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        let slot = socket.slot.expect("a slot's").to_string();
        assert_eq!(tally.by.keys().collect::<Vec<_>>(), [&slot], "{tally}");
    }
    let status = fleet.status().await;
    assert!(status.apps[0].sockets.iter().all(|s| s.balance.is_none()));
}

/// Whoever accepted for them: afterwards they do.
#[tokio::test]
async fn workers_that_are_let_go_of_keep_their_sockets() {
    for mode in ["balanced", "shared"] {
        let at = |address: &str| json!({"address": address, "mode": mode});
        let listen = json!({"http": at("127.0.0.1:0"), "local": at("unix:web.sock")});
        let app = web(2).set("listen", listen);
        let fleet = ready(&app, 2).await;
        let address = fleet.address().await;
        answered(vec![knock(address, "/").await]).await;
        let workers = fleet.until_ready(2).await;
        fleet
            .ostler(["delete", "web", "--keep-running"])
            .success()
            .await;
        assert!(fleet.status().await.apps.is_empty());
        let plan = to(address, "/").requests(50);
        let tally = fleet.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{mode}: {tally}");
        assert!(fleet.dir().at("web.sock").exists(), "{mode}");
        for worker in &workers {
            signal(worker, Signal::KILL);
        }
    }
}
