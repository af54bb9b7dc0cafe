//! Clients that say nothing, or something else; workers that die, hang, change, or don't take part.

use std::time::{Duration, Instant};

use super::*;

/// What comes back on a connection that says this and is closed by the other side; when.
async fn closed(address: SocketAddr, says: &[u8]) -> Instant {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(says).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // It may be reset, as there is something that nobody has read.
    let _end = read.expect("closed in time");
    assert_eq!(answer, b"");
    Instant::now()
}

#[tokio::test]
async fn who_says_nothing_holds_up_nobody_and_is_sent_away_in_time() {
    let fleet = ready(&web(2), 2).await;
    let address = fleet.address().await;
    let begun = Instant::now();
    let silent: Vec<JoinHandle<Instant>> = (0..50)
        .map(|number| {
            let says: &[u8] = if number % 2 == 0 { b"" } else { b"PROXY TCP4 " };
            tokio::spawn(closed(address, says))
        })
        .collect();
    let all = |status: &StatusReport| proxied(status).is_some_and(|it| it.awaited == 50);
    fleet.until("them to be waited for", all).await;
    slots_of(100, address).await;
    let served = begun.elapsed();
    for end in silent {
        let waited = end.await.expect("closed") - begun;
        assert!(waited >= Duration::from_secs(5), "{waited:?}");
        assert!(waited > served, "{waited:?} {served:?}");
    }
    let late = |status: &StatusReport| proxied(status).is_some_and(|it| it.late == 50);
    let status = fleet.until("them to be counted", late).await;
    assert_eq!(proxied(&status).map(|it| it.awaited), Some(0));
    fleet.logged("its header had not come after 5 s").await;
}

#[tokio::test]
async fn who_says_something_else_is_refused_counted_and_told_once() {
    let fleet = ready(&web(1), 1).await;
    let address = fleet.address().await;
    for _ in 0..3 {
        closed(address, REQUEST).await;
    }
    closed(
        address,
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\nGET / HTTP/1.1\r\n\r\n",
    )
    .await;
    let all = |status: &StatusReport| proxied(status).is_some_and(|it| it.malformed == 4);
    fleet.until("them to be counted", all).await;
    fleet
        .logged("doesn't begin with a header of the PROXY protocol")
        .await;
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    assert!(table.contains("4 refused"), "{table}");
    slots_of(4, address).await;
}

#[tokio::test]
async fn what_waits_for_a_worker_that_hangs_comes_to_its_successor_and_others_are_served() {
    let fleet = ready(&web(2), 2).await;
    let address = fleet.address().await;
    let before = slots_of(100, address).await;
    let hangs = fleet.worker("web", 1).await;
    signal(&hangs, Signal::STOP);
    let mut waiting = Vec::new();
    // More than are on their way to a worker.
    for number in before.keys().filter(|number| before[number] == 1).take(12) {
        waiting.push(knock(*number, address).await);
    }
    for number in before.keys().filter(|number| before[number] == 0) {
        assert_eq!(answered(knock(*number, address).await).await, 0);
    }
    let some = |status: &StatusReport| balance(status).is_some_and(|it| it.waiting == 8);
    fleet.until("them to wait", some).await;
    signal(&hangs, Signal::KILL);
    for answer in waiting {
        assert_eq!(answered(answer).await, 1);
    }
}

#[tokio::test]
async fn what_waits_for_a_slot_that_goes_comes_to_others() {
    let fleet = ready(&web(2).set("kill_ladder", json!(["KILL"])), 2).await;
    let address = fleet.address().await;
    let before = slots_of(60, address).await;
    signal(&fleet.worker("web", 1).await, Signal::STOP);
    let mut waiting = Vec::new();
    for number in before.keys().filter(|number| before[number] == 1).take(12) {
        waiting.push(knock(*number, address).await);
    }
    fleet.ostler(["scale", "1"]).success().await;
    for answer in waiting {
        assert_eq!(answered(answer).await, 0);
    }
}

#[tokio::test]
async fn workers_that_accept_for_themselves_are_told_of() {
    let app = ostler_tests::habit!("web", "notify 0 http version")
        .set(
            "listen",
            json!({"http": {"address": "127.0.0.1:0", "mode": "sticky", "proxy_protocol": "keep"}}),
        )
        .unwatched();
    let fleet = Fleet::ready(master(&app), 1).await;
    fleet
        .logged(
            "so it shares the socket instead: it gets any client's connections, with their headers",
        )
        .await;
    let status = fleet.status().await;
    assert_eq!(socket(&status).mode, "shared");
    let why = socket(&status).why.as_deref();
    assert!(why.is_some_and(|why| why.starts_with("sticky by the PROXY protocol, but")));
}

/// They accept for themselves then, and take the headers off.
#[tokio::test]
async fn workers_without_a_master_serve_on() {
    let fleet = ready(&web(2), 2).await;
    let address = fleet.address().await;
    let workers = fleet.until_ready(2).await;
    slots_of(4, address).await;
    fleet
        .ostler(["delete", "web", "--keep-running"])
        .success()
        .await;
    slots_of(40, address).await;
    let own = [b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", REQUEST].concat();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    for byte in own.chunks(1) {
        stream.write_all(byte).await.expect("sent");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    closed(address, REQUEST).await;
    for worker in &workers {
        signal(worker, Signal::KILL);
    }
}

#[tokio::test]
async fn a_socket_does_not_become_one_with_headers_while_it_is_open() {
    let address = free_port();
    let with = |mut options: Value| {
        options["address"] = address.to_string().into();
        at(1, options)
    };
    let first = with(json!({"mode": "sticky", "proxy_protocol": "strip"}));
    let fleet = ready(&first, 1).await;
    for options in [
        json!({"mode": "sticky", "proxy_protocol": "keep"}),
        json!({"mode": "balanced"}),
        json!({"mode": "sticky"}),
    ] {
        fleet.rewrite(&[with(options)]);
        let refused = fleet.ostler(["reload", "--config"]).fails_with(1).await;
        assert!(refused.stderr.contains("bound"), "{}", refused.stderr);
    }
    slots_of(4, address).await;
}
