//! What a draining worker still holds, for whoever waits for it.

use ostler_bus::vocab::{
    update::{Drainer, UpdateProgress},
    worker::WorkerExited,
};
use ostler_tests::{
    habit,
    harness::{Heard, Web, deadline},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

async fn what_is_left_is_shown(mode: &str) {
    let app = chat(1, mode).set("kill_ladder", ["TERM:8s", "KILL"].as_slice());
    let fleet = ready(app, 1).await;
    let address = fleet.address().await;
    let mut progress = fleet.hear::<UpdateProgress>().await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    // One that is kept and idle, three requests on one connection, and a WebSocket whose client never answers.
    let mut kept = Web::connect(address).await;
    kept.ask("/").await;
    let asks = h2::over(address).await;
    let slow = [(); 3].map(|()| {
        let mut asks = asks.clone();
        tokio::spawn(async move { h2::ask(&mut asks, "/slow/4000").await })
    });
    let _deaf = ws::open(address).await;
    let first = fleet.worker("chat", 0).await.id;
    fleet.ostler(["reload", "--no-wait"]).success().await;
    let drains = |event: &UpdateProgress| -> Option<(u64, u64)> {
        let drains = |drainer: &&Drainer| Some(drainer.worker) == first;
        let drainer = event.draining.iter().find(drains)?;
        Some((drainer.held?, drainer.held_requests?))
    };
    let all = |event: &UpdateProgress| drains(event) == Some((3, 4));
    progress.until(all).await;
    let listed = fleet.ostler(["ls"]).success().await.stdout;
    assert!(
        listed.contains("holds 3 connections, 4 requests"),
        "{listed}"
    );
    // By the lame-duck rule.
    assert_eq!(kept.closed().await, "");
    progress.until(|event| drains(event) == Some((2, 4))).await;
    for slow in slow {
        let answer = deadline("an answer", PATIENCE, slow).await;
        assert!(answer.expect("no panic").is_some(), "it is finished");
    }
    progress.until(|event| drains(event) == Some((1, 1))).await;
    let exited = exits.until(|exited| Some(exited.worker.id) == first).await;
    let exited = exited.event;
    assert_eq!(exited.status, ExitStatus::Code(0), "by itself: {exited:?}");
    assert_eq!((exited.held, exited.held_requests), (Some(1), Some(1)));
    let told = async {
        loop {
            let told = fleet.ostler(["why", "chat:0"]).success().await.stdout;
            if told.contains("it still held, as it last told: 1 connection, 1 request") {
                return;
            }
        }
    };
    deadline("the story", PATIENCE, told).await;
}

#[tokio::test]
async fn what_is_left_is_shown_until_the_deadline_cuts_it() {
    what_is_left_is_shown("auto").await;
}

#[tokio::test]
async fn so_it_is_where_workers_share_a_socket() {
    what_is_left_is_shown("shared").await;
}

#[tokio::test]
async fn so_it_is_where_slots_have_sockets() {
    what_is_left_is_shown("slot").await;
}

#[tokio::test]
async fn so_it_is_where_clients_stick_to_a_slot() {
    what_is_left_is_shown("sticky").await;
}

/// Its worker is told to go only after nobody has come for a while, and that is of its time.
#[tokio::test]
async fn a_worker_whose_slot_goes_has_ended_before_it_would_be_killed() {
    let socket = json!({"address": "0.0.0.0:0", "mode": "slot"});
    let app = chat(2, "slot")
        .set("listen", json!({ "http": socket }))
        .set("kill_ladder", ["TERM:3s", "KILL"].as_slice());
    let fleet = ready(app, 2).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let address = fleet.address().await;
    // By chance at either slot.
    let mut deaf = Vec::new();
    for _ in 0..16 {
        deaf.push(ws::open(address).await);
    }
    fleet.ostler(["scale", "1"]).success().await;
    let exited = exits.next().await.event;
    assert_eq!(exited.status, ExitStatus::Code(0), "by itself: {exited:?}");
    assert!(exited.held.is_some_and(|held| held > 0), "{exited:?}");
}

/// One worker of a program that knows nothing of Ostler but how to find its socket.
async fn silent(mode: &str, ladder: &[&str]) -> Fleet {
    let socket = json!({"address": "127.0.0.1:0", "mode": mode});
    let app = habit!("web", "notify 0 http version")
        .instances(1)
        .set("listen", json!({ "http": socket }))
        .set("kill_ladder", ladder)
        .unwatched();
    Fleet::ready(ostler!().with("version", "1").apps(&[app]), 1).await
}

/// Waits until the master has counted so many connections of the worker that drains; it has told of no requests.
async fn counted(progress: &mut Heard<UpdateProgress>, connections: u64) {
    let so_many = |event: &UpdateProgress| {
        let mut drainers = event.draining.iter();
        drainers.any(|it| (it.held, it.held_requests) == (Some(connections), None))
    };
    progress.until(so_many).await;
}

/// A request that is not all there until this test says so.
struct Begun(TcpStream);

impl Begun {
    async fn at(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a listener");
        let head = b"GET / HTTP/1.1\r\nhost: it\r\n";
        stream.write_all(head).await.expect("a server");
        Self(stream)
    }

    async fn finish(mut self) {
        self.0.write_all(b"\r\n").await.expect("it is open");
        let mut answer = String::new();
        let read = self.0.read_to_string(&mut answer);
        deadline("an answer", PATIENCE, read).await.expect("whole");
        let served = answer.starts_with("HTTP/1.1 200") && answer.contains("\"version\":\"1\"");
        assert!(served, "{answer}");
    }
}

/// Waits until the worker has so many connections, or its socket's queue would count.
async fn served(fleet: &Fleet, connections: usize) {
    let pid = fleet.worker("web", 0).await.pid.expect("a process");
    let has = || {
        let open = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        // A thread for each, beside the one that waits for signals and the one that accepts.
        (open.count() >= connections + 2).then_some(())
    };
    ostler_tests::harness::eventually("connections to be served", PATIENCE, has).await;
}

async fn is_counted(mode: &str) {
    let fleet = silent(mode, &["TERM:60s", "KILL"]).await;
    let address = fleet.address().await;
    let mut progress = fleet.hear::<UpdateProgress>().await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let (first, second) = (Begun::at(address).await, Begun::at(address).await);
    served(&fleet, 2).await;
    fleet.ostler(["reload", "--no-wait"]).success().await;
    counted(&mut progress, 2).await;
    let listed = fleet.ostler(["ls"]).success().await.stdout;
    assert!(listed.contains("holds 2 connections"), "{listed}");
    first.finish().await;
    counted(&mut progress, 1).await;
    second.finish().await;
    let exited = exits.next().await.event;
    assert_eq!(exited.status, ExitStatus::Code(0), "by itself: {exited:?}");
    // It has finished what was last counted.
    assert_eq!((exited.held, exited.held_requests), (None, None));
}

#[tokio::test]
async fn what_a_program_does_not_tell_is_counted_where_workers_share_a_socket() {
    is_counted("shared").await;
}

#[tokio::test]
async fn what_a_program_does_not_tell_is_counted_where_the_master_would_hand_over() {
    is_counted("balanced").await;
}

#[tokio::test]
async fn what_a_program_does_not_tell_is_counted_where_slots_have_sockets() {
    is_counted("slot").await;
}

#[tokio::test]
async fn what_a_program_does_not_tell_is_counted_where_clients_stick_to_a_slot() {
    is_counted("sticky").await;
}

#[tokio::test]
async fn what_was_last_counted_is_told_of_one_that_is_killed() {
    let fleet = silent("auto", &["TERM:6s", "KILL"]).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let mut progress = fleet.hear::<UpdateProgress>().await;
    let _cut = Begun::at(fleet.address().await).await;
    served(&fleet, 1).await;
    fleet.ostler(["reload", "--no-wait"]).success().await;
    counted(&mut progress, 1).await;
    let exited = exits.next().await.event;
    assert_eq!(exited.status, ExitStatus::Signal("SIGKILL".into()));
    assert_eq!((exited.held, exited.held_requests), (Some(1), None));
    let told = async {
        loop {
            let told = fleet.ostler(["why", "web:0"]).success().await.stdout;
            if told.contains("it still held, when it was last counted: 1 connection") {
                return;
            }
        }
    };
    deadline("the story", PATIENCE, told).await;
}
