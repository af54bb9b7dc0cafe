//! Shared sockets: who serves them, who waits, and what becomes of them.

use super::*;

#[tokio::test]
async fn a_listener_that_a_worker_shuts_down_listens_again() {
    let app = habit!("web", "shut-listener").instances(1).listening();
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("it listens again").await;
}

#[tokio::test]
async fn who_shuts_a_listener_down_is_told_if_only_one_could_have() {
    let app = habit!("web", "shut-listener").instances(0).listening();
    let (master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1"]).success().await;
    let told = tail.next("app.listener_shut").await;
    assert_eq!(
        (&told["app"], &told["error"]),
        (&json!("web"), &Value::Null)
    );
    let shown = master.app("web").await;
    assert_eq!(told["socket"], shown["sockets"][0]["name"]);
    let pids = master.pids("web").await;
    let pid = pids.values().next().expect("a worker");
    assert_eq!(told["worker"]["pid"], json!(pid), "{told:#}");
    // There are two now.
    master.ostler(["scale", "2"]).success().await;
    let told = tail.next("app.listener_shut").await;
    assert_eq!(told["worker"], Value::Null, "{told:#}");
}

#[tokio::test]
async fn every_worker_serves_the_shared_socket() {
    let app = habit!("web", "notify 0 http version")
        .instances(4)
        .listening();
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    master.settled("web", "running").await;
    let pids: Vec<String> = master
        .pids("web")
        .await
        .values()
        .map(u64::to_string)
        .collect();
    let address = master.address("web").await;
    let end = Instant::now() + PATIENCE;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        assert!(Instant::now() < end, "{seen:?} answered of {pids:?}");
        let plan = ostler_tests::load::Plan::to(address)
            .by_field("pid")
            .requests(100);
        let tally = master.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        seen.extend(tally.by.into_keys());
    }
    assert!(
        seen.iter().all(|pid| pids.contains(pid)),
        "{seen:?} {pids:?}"
    );
}

#[tokio::test]
async fn port_zero_stays_the_same_over_crash_and_update() {
    let app = habit!("web", "notify 0 http version")
        .listening()
        .unwatched();
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let address = master.address("web").await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next("worker.exited").await;
    tail.next("worker.ready").await;
    master.ostler(["reload"]).success().await;
    assert_eq!(master.address("web").await, address);
    let tally = master.load("web").await.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

/// One request, over a connection made now and answered whenever.
async fn knock(address: std::net::SocketAddr) -> tokio::task::JoinHandle<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = tokio::net::TcpStream::connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a written request");
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}

#[tokio::test]
async fn socket_accepts_before_the_first_worker_is_ready() {
    let slow = format!(
        "until [ -e go ]; do sleep 0.02; done; exec {} notify 0 http version",
        env!("CARGO_BIN_EXE_misbehave")
    );
    let app = script("web", &slow).listening().set("ready", "notify");
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    let mut tail = master.tail().await;
    let answer = knock(master.address("web").await).await;
    assert_eq!(master.app("web").await["ready"], 0);
    master.dir().write("go", "");
    tail.next("worker.ready").await;
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    assert!(
        answer
            .expect("in time")
            .expect("read")
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn connections_wait_while_every_worker_is_down() {
    let backoff = json!({"first": "700ms", "max": "1s"});
    let app = habit!("web", "notify 0 http version")
        .instances(2)
        .listening()
        .set("backoff", backoff);
    let (master, mut tail) = {
        let master = ostler!().with("version", "1").apps(&[app]).start().await;
        let tail = master.tail().await;
        (master, tail)
    };
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let address = master.address("web").await;
    for pid in master.pids("web").await.values() {
        master.signal(*pid, Signal::KILL);
    }
    tail.next_many("worker.exited", 2).await;
    let answers = [knock(address).await, knock(address).await];
    assert_eq!(
        tail.story("web", &["exited", "ready"])
            .last()
            .map(|s| &s[..6]),
        Some("exited")
    );
    for answer in answers {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        assert!(
            answer
                .expect("in time")
                .expect("read")
                .starts_with("HTTP/1.1 200")
        );
    }
}

#[tokio::test]
async fn unix_socket_is_served_and_removed_at_the_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = talker("web", "serve").set("listen", json!({"http": "unix:web.sock"}));
    let builder = ostler!().apps(&[app]);
    let path = builder.dir().at("web.sock");
    // A dead master's: bound, and nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let mut master = builder.start().await;
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("served");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("in time")
        .expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_in_the_way_of_a_unix_socket_is_kept_and_told() {
    let app = talker("web", "serve").set("listen", "unix:web.sock");
    let mut master = ostler!().apps(&[app]).with("web.sock", "precious").spawn();
    let exit = master.process.wait(PATIENCE).await;
    assert_ne!(exit, Exit::Code(0));
    master.wait_for_log("web.sock").await;
    let path = master.dir().at("web.sock");
    assert_eq!(fs::read_to_string(path).expect("a file"), "precious");
}

#[tokio::test]
async fn several_named_sockets_arrive_in_order() {
    let listen = json!({"web": "127.0.0.1:0", "admin": "unix:admin.sock", "more": "127.0.0.1:0"});
    let app = habit!("web", "print-env given").set("listen", listen);
    let master = ostler!().apps(&[app]).start().await;
    let given = printed(&master, "given").await;
    assert_eq!(given["env"]["LISTEN_FDS"], "3");
    // A table of names has no order of its own: whatever it is, status, names and descriptors agree.
    let names = given["env"]["LISTEN_FDNAMES"].as_str().expect("names");
    let shown = master.app("web").await;
    let sockets = shown["sockets"].as_array().expect("sockets");
    let shown: Vec<_> = sockets
        .iter()
        .filter_map(|socket| socket["name"].as_str())
        .collect();
    assert_eq!(names, shown.join(":"));
    assert_eq!(
        names
            .split(':')
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3
    );
    // The two on port 0 have ports of their own.
    let port = |name: &str| -> u16 {
        let socket = sockets.iter().find(|socket| socket["name"] == name);
        let address = socket.and_then(|socket| socket["address"].as_str());
        let address: std::net::SocketAddr = address.expect("shown").parse().expect("of TCP");
        address.port()
    };
    let (web, more) = (port("web"), port("more"));
    assert!(web != 0 && more != 0 && web != more, "{web} {more}");
}

#[tokio::test]
async fn sockets_are_inherited_blocking_unless_asked_otherwise() {
    let listen = json!({
        "plain": "127.0.0.1:0",
        "quick": {"address": "127.0.0.1:0", "nonblocking": true, "mode": "shared"},
    });
    let app = habit!("web", "print-env given").set("listen", listen);
    let master = ostler!().apps(&[app]).start().await;
    let given = printed(&master, "given").await;
    let names = given["env"]["LISTEN_FDNAMES"].as_str().expect("names");
    let mut seen = Vec::new();
    for (name, number) in names.split(':').zip(3..) {
        let flags = given["fds"][number.to_string()]["flags"].as_str();
        let flags = u32::from_str_radix(flags.expect("flags"), 8).expect("octal");
        seen.push((name, flags & rustix::fs::OFlags::NONBLOCK.bits() != 0));
    }
    seen.sort_unstable();
    assert_eq!(seen, [("plain", false), ("quick", true)]);
}

#[tokio::test]
async fn worker_that_binds_the_declared_port_itself_gets_a_hint() {
    let app = script(
        "web",
        "echo 'Error: listen EADDRINUSE: address already in use' >&2; exit 1",
    )
    .listening()
    .set("max_restarts", 1)
    .instances(0);
    let (mut master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1"]).fails_with(1).await;
    let hint = tail.next("worker.exited").await["hint"].take();
    assert!(
        hint.as_str()
            .is_some_and(|hint| hint.contains("LISTEN_FDS")),
        "{hint:#}"
    );
    master.wait_for_log("hint: ").await;
}

#[tokio::test]
async fn a_listener_that_cannot_be_opened_again_is_tried_until_it_can() {
    let shuts = "mkdir once && mv sockets away && exec \"$MISBEHAVE\" shut-listener unix; exec \"$MISBEHAVE\" trivial";
    let builder = ostler!();
    let folder = builder.dir().make("sockets");
    let app = script("web", shuts)
        .set(
            "listen",
            format!("unix:{}", folder.join("web.sock").display()),
        )
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .instances(0);
    let mut master = builder.apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.ostler(["scale", "1"]).success().await;
    let line = master.wait_for_log("can't be opened again").await;
    assert!(line.contains("tried again"), "{line}");
    fs::rename(master.dir().at("away"), &folder).expect("a folder");
    let line = master.wait_for_log("listens again").await;
    assert!(line.contains("tries in vain"), "{line}");
    let told = tail.next_many("app.listener_shut", 2).await;
    assert!(
        told[0]["error"].is_string() && told[0]["worker"].is_object(),
        "{told:#?}"
    );
    // Who has done it was told, and others may have it by now.
    assert!(
        told[1]["error"].is_null() && told[1]["worker"].is_null(),
        "{told:#?}"
    );
    std::os::unix::net::UnixStream::connect(folder.join("web.sock")).expect("it listens");
    // On another socket than the one that the worker has.
    let line = master.wait_for_log("update to generation ").await;
    assert!(line.contains("the socket \"http\" was shut down"), "{line}");
}

#[tokio::test]
async fn workers_that_shut_a_unix_listener_down_again_and_again_are_not_replaced_for_ever() {
    let app = habit!("web", "notify 0 shut-listener unix")
        .unwatched()
        .set("canary_healthy", "0s")
        .set("listen", "unix:web.sock");
    let master = ostler!().apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.ostler(["reload"]).success().await;
    let suspended = tail.next("update.suspended").await;
    let why = suspended["reason"].as_str().expect("a reason");
    assert!(why.contains("each new generation shut the socket"), "{why}");
    assert!(!master.pids("web").await.is_empty());
}
