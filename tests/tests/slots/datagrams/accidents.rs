//! Workers that die or stand still, and slots that go with datagrams waiting.

use super::*;

/// A worker of a slot, and clients of that slot.
async fn stopped(fleet: &Fleet, slot: u32) -> (WorkerStatus, Vec<Client>) {
    let mut its = Vec::new();
    for mut client in clients(60, address(fleet).await).await {
        if client.ask().await.slot == u64::from(slot) {
            its.push(client);
        }
    }
    assert!(its.len() > 1, "clients of each slot");
    let worker = fleet.worker("web", slot).await;
    stop(&worker).await;
    (worker, its)
}

/// Each asks so often, without an answer.
async fn send(clients: &mut [Client], times: u64) {
    for client in clients {
        for _ in 0..times {
            client.send().await;
        }
    }
}

/// All that was asked is answered once, in its order, by this slot; by which workers.
async fn answered_by(clients: &[Client], times: u64, slot: u64) -> BTreeSet<u64> {
    let mut workers = BTreeSet::new();
    for client in clients {
        for number in 2..2 + times {
            let answer = client.answer().await;
            assert_eq!((answer.slot, answer.number), (slot, number));
            workers.insert(answer.worker);
        }
    }
    workers
}

#[tokio::test]
async fn what_waits_when_a_worker_dies_is_its_successors() {
    for mode in ["slot", "sticky"] {
        let slots = if mode == "slot" { 3 } else { 1 };
        let fleet = answering(&dns(slots, mode), slots as usize).await;
        let (worker, mut clients) = stopped(&fleet, 0).await;
        send(&mut clients, 3).await;
        signal(&worker, Signal::KILL);
        let workers = answered_by(&clients, 3, 0).await;
        assert!(
            workers.iter().all(|id| *id > worker.id.expect("one").0),
            "{mode}"
        );
    }
}

/// What a worker has taken when it is killed is lost, and nothing else.
#[tokio::test]
async fn kills_lose_only_what_was_being_served() {
    const KILLS: u64 = 10;
    let fleet = answering(&dns(3, "slot"), 3).await;
    let load = Load::start(12, address(&fleet).await).await;
    for kill in 0..KILLS {
        load.goes_on().await;
        let workers = fleet.until_ready(3).await;
        signal(&workers[(kill * 7 % 3) as usize], Signal::KILL);
    }
    let load = load.stop().await;
    assert!(load.lost() <= KILLS, "{load:?}");
}

#[tokio::test]
async fn one_that_stands_still_loses_its_flows_before_it_loses_datagrams() {
    let fleet = answering(&dns(3, "slot"), 3).await;
    chosen(&fleet, &[0, 1, 2]).await;
    let (worker, mut its) = stopped(&fleet, 1).await;
    let mut other = its.pop().expect("two");
    send(&mut its[..1], 1).await;
    fleet
        .until("it to wait", |status| waiting(status, 1) > 0)
        .await;
    let SocketQueue { waiting, room, .. } = queue(&fleet.status().await, 1);
    let (few, many) = (room / waiting / 4, room / waiting * 5 / 8);
    send(&mut its[..1], few.into()).await;
    let load = Load::start(12, address(&fleet).await).await;
    load.goes_on().await;
    assert_eq!(left_out(&fleet.status().await, 1), None);
    send(&mut its[..1], (many - few).into()).await;
    let out = |status: &StatusReport| left_out(status, 1) == Some("its queue is long");
    fleet.until("it to be left out", out).await;
    assert_ne!(other.ask().await.slot, 1);
    load.goes_on().await;
    let queue = queue(&fleet.status().await, 1);
    assert!(queue.waiting > queue.room / 2, "{queue:?}");
    assert_eq!(queue.dropped, 0);
    signal(&worker, Signal::CONT);
    chosen(&fleet, &[0, 1, 2]).await;
    assert_eq!(other.ask().await.slot, 1, "it is back");
    let load = load.stop().await;
    assert_eq!(load.lost(), 0, "{load:?}");
    for _ in 0..=many {
        its[0].answer().await;
    }
    let status = fleet.status().await;
    let share = share(&status, 1).expect("its share");
    assert!(
        share.times_long > 0 && share.longest > queue.room / 2,
        "{share:?}"
    );
}

/// There is nobody else: more comes than there is room for.
#[tokio::test]
async fn what_the_kernel_drops_is_shown_in_every_mode() {
    for mode in ["slot", "sticky", "shared"] {
        let fleet = answering(&dns(1, mode), 1).await;
        let (worker, mut clients) = stopped(&fleet, 0).await;
        let queue = |status: &StatusReport| sockets(status)[0].queue.expect("told");
        let mut sent = 0;
        while queue(&fleet.status().await).dropped == 0 {
            send(&mut clients[..1], 50).await;
            sent += 50;
            assert!(sent < 100_000, "{mode}");
        }
        signal(&worker, Signal::CONT);
        let dry = |status: &StatusReport| queue(status).waiting == 0;
        let mut dry = std::pin::pin!(fleet.until("all to be taken", dry));
        let mut answered = 0;
        // Read meanwhile, or answers would be dropped for want of room here.
        loop {
            tokio::select! {
                biased;
                _ = clients[0].answer() => answered += 1,
                _ = &mut dry => break,
            }
        }
        let last = clients[0].send().await;
        while clients[0].answer().await.number != last {
            answered += 1;
        }
        let rest = sent - answered;
        let so = |status: &StatusReport| u64::from(queue(status).dropped) == rest;
        fleet.until("the rest to be counted", so).await;
        let table = fleet.ostler(["sockets"]).success().await.stdout;
        assert!(table.contains(&format!("  {rest}  ")), "{table}");
    }
}

/// The worker of slot 1 stands still with datagrams waiting, and then the app is made smaller.
async fn left_over() -> (Fleet, Vec<Client>) {
    // Any other signal would wake it.
    let app = dns(2, "slot").set("kill_ladder", json!(["KILL"]));
    let fleet = answering(&app, 2).await;
    let (_, mut clients) = stopped(&fleet, 1).await;
    send(&mut clients, 2).await;
    fleet.ostler(["scale", "1"]).success().await;
    fleet.until_ready(1).await;
    (fleet, clients)
}

#[tokio::test]
async fn what_waits_for_a_slot_that_goes_is_answered_if_it_comes_back() {
    let (fleet, clients) = left_over().await;
    let status = fleet.status().await;
    assert_eq!(sockets(&status).len(), 2, "it is kept for what waits");
    assert_eq!(left_out(&status, 1), Some("the app has fewer workers now"));
    let mut other = self::clients(1, address(&fleet).await).await;
    assert_eq!(slots_of(&mut other).await, [0]);
    fleet.ostler(["scale", "2"]).success().await;
    answered_by(&clients, 2, 1).await;
}

#[tokio::test]
async fn what_nobody_comes_back_for_is_counted_and_told() {
    let (fleet, clients) = left_over().await;
    let mut lost = fleet.hear::<ConnectionsLost>().await;
    let told = lost.next().await.event;
    assert_eq!((told.app.as_str(), told.slot.0), ("web", 1));
    let sent = 2 * clients.len() as u32;
    assert_eq!((told.socket.as_str(), told.connections), ("dns", sent));
    let logged = format!("{sent} datagrams waited at its socket \"dns\"");
    fleet.logged(logged.as_str()).await;
    let one = |status: &StatusReport| sockets(status).len() == 1;
    fleet.until("the socket to be gone", one).await;
}

/// Leaves a process behind in slot 4, once, that is to outlive the worker; it has the sockets that the worker has inherited.
const LEAVES_ONE: &str = r#"
    if [ "$OSTLER_SLOT" = 4 ] && mkdir "$2" 2> /dev/null; then
        env -u OSTLER_WORKER_ID setsid -f sh -c \
            'echo "left behind: $$"; exec sleep 60 < /dev/null > /dev/null 2>&1'
    fi
    exec "$1" version
"#;

#[tokio::test]
async fn a_process_that_keeps_the_socket_of_a_slot_that_goes_does_no_harm() {
    let dir = PrivateDir::new();
    let once = dir.at("once").display().to_string();
    let script = dir.write("script", LEAVES_ONE).display().to_string();
    let words = ["sh", &script, env!("CARGO_BIN_EXE_sdk_worker"), &once];
    let socket = json!({"address": "udp:127.0.0.1:0", "mode": "slot"});
    let app = settled(App::new("web", words), 5, "slot").set("listen", json!({ "dns": socket }));
    let fleet = answering(&app, 5).await;
    chosen(&fleet, &[0, 1, 2, 3, 4]).await;
    let line = fleet.said("left behind: ").await;
    let orphan: i32 = line
        .rsplit(' ')
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    let mut clients = clients(60, address(&fleet).await).await;
    let before = slots_of(&mut clients).await;
    assert!(before.contains(&4), "{before:?}");
    for _ in 0..2 {
        fleet.ostler(["scale", "4"]).success().await;
        let four = |status: &StatusReport| sockets(status).len() == 4;
        fleet.until("the socket to be gone", four).await;
        let table = fleet.ostler(["sockets"]).success().await.stdout;
        assert_eq!(table.matches("  64 buckets").count(), 4, "{table}");
        for (slot, before) in slots_of(&mut clients).await.iter().zip(&before) {
            assert!(slot == before || *before == 4);
        }
        let held = std::fs::read_link(format!("/proc/{orphan}/fd/3"));
        let held = held.expect("it runs").display().to_string();
        assert!(held.starts_with("socket:"), "{held}");
        fleet.ostler(["scale", "5"]).success().await;
        chosen(&fleet, &[0, 1, 2, 3, 4]).await;
        assert_eq!(slots_of(&mut clients).await, before);
    }
    let orphan = Pid::from_raw(orphan).expect("a pid");
    kill_process(orphan, Signal::KILL).expect("it runs");
}

#[tokio::test]
async fn an_app_that_has_gone_leaves_its_address_free() {
    let fleet = answering(&dns(3, "slot"), 3).await;
    let address = address(&fleet).await;
    fleet.ostler(["scale", "2"]).success().await;
    fleet.rewrite(&[App::new("other", ["sleep", "60"])]);
    fleet.ostler(["reload", "--config"]).success().await;
    let gone = |status: &StatusReport| status.apps.iter().all(|app| app.name != "web");
    fleet.until("the app to have gone", gone).await;
    std::net::UdpSocket::bind(address).expect("the port is free");
}

/// Nobody goes on looking at what waits for it.
#[tokio::test]
async fn so_does_one_whose_worker_died_while_its_queue_ran_dry() {
    let fleet = answering(&dns(2, "slot"), 2).await;
    let address = address(&fleet).await;
    let (worker, mut clients) = stopped(&fleet, 1).await;
    send(&mut clients, 2).await;
    fleet.ostler(["scale", "1", "--no-wait"]).success().await;
    let id = worker.id;
    let there = move |status: &StatusReport| {
        let state = status.workers.iter().find(|its| its.id == id);
        state.map(|worker| worker.state == "draining")
    };
    let leaves = move |status: &StatusReport| there(status) == Some(true);
    fleet.until("it to leave", leaves).await;
    signal(&worker, Signal::KILL);
    let gone = move |status: &StatusReport| there(status).is_none();
    fleet.until("it to have gone", gone).await;
    fleet.ostler(["delete", "web"]).success().await;
    std::net::UdpSocket::bind(address).expect("the port is free");
}

#[tokio::test]
async fn an_app_that_nobody_asks_costs_no_wake_ups() {
    let fleet = answering(&dns(3, "slot"), 3).await;
    let (worker, mut clients) = stopped(&fleet, 0).await;
    falls_asleep(fleet.process.id(), "slots").await;
    // Also while something waits where nobody takes it.
    send(&mut clients, 1).await;
    falls_asleep(fleet.process.id(), "slots").await;
    signal(&worker, Signal::CONT);
    answered_by(&clients, 1, 0).await;
}
