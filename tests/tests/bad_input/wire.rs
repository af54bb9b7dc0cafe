//! Hostile bytes on the bus and on notify sockets.

use super::*;

#[tokio::test]
async fn oversized_frame_is_refused_before_it_is_read() {
    let (fleet, pids) = well().await;
    let before = resident_kib(fleet.process.id());
    let mut early = Peer::connect(fleet.socket()).await;
    // The length alone: nothing of the body was sent.
    early.send_bytes(&5000_u32.to_be_bytes()).await;
    assert!(early.closing().await.contains("5000"));
    for (kind, size) in [
        (kind::CONTROL, 70_000_u32),
        (kind::EMIT, 2 << 20),
        (kind::EMIT, u32::MAX),
    ] {
        let mut peer = Peer::client(fleet.socket()).await;
        let mut head = size.to_be_bytes().to_vec();
        head.extend([kind, 0]);
        peer.send_bytes(&head).await;
        let reason = peer.closing().await;
        assert!(reason.contains(&size.to_string()), "{reason}");
    }
    let grown = resident_kib(fleet.process.id()).saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB");
    let bus = fleet.connect(ConnectOptions::client("big")).await;
    let error = bus
        .emit_bytes("big", vec![0; (1 << 20) + 1])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("1048576"), "{error}");
    bus.bytes("big", &vec![0; 1 << 20]).acked().await.unwrap();
    still_well(&fleet, &pids).await;
}

fn resident_kib(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

#[tokio::test]
async fn garbage_on_the_socket_closes_that_connection_alone() {
    let (fleet, pids) = well().await;
    let noise: Vec<u8> = (0..20_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let garbage: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        &noise,
        &[0, 0, 0, 0, 0, 0, 0, 0],
        &frame(kind::HELLO, 0, b"{\"magic\":"),
        &frame(kind::CONTROL, 0, b"{}"),
    ];
    for bytes in garbage {
        let mut peer = Peer::connect(fleet.socket()).await;
        peer.send_bytes(bytes).await;
        let reason = peer.closing().await;
        assert!(reason.len() > 20, "{reason}");
        // The same after a good beginning: refused or closed, and nobody else notices.
        let mut peer = Peer::client(fleet.socket()).await;
        peer.send_bytes(bytes).await;
        peer.end().await;
        while peer.next().await.is_some() {}
    }
    still_well(&fleet, &pids).await;
    assert!(!fleet.process.stderr.text().contains("panicked"));
}

#[tokio::test]
async fn unknown_frame_is_refused_and_the_connection_lives() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut peer = Peer::client(fleet.socket()).await;
    let (unknown, ignorable) = (0x7e, 0x01);
    peer.send(unknown, ignorable, &json!({})).await;
    peer.send(unknown, 0, &json!({})).await;
    let refused = peer.next_of(kind::CONTROL).await;
    assert!(
        refused["op"]["Refused"]["reason"]
            .as_str()
            .is_some_and(|r| r.contains("126") || r.contains("7e")),
        "{refused}"
    );
    let nonsense = peer.control(9, &json!({ "Dance": {} })).await;
    assert!(nonsense.get("Refused").is_some(), "{nonsense}");
    let subscribe =
        json!({ "Subscribe": { "sub": 1, "pattern": "x", "reader": null, "options": {} } });
    let done = peer.control(10, &subscribe).await;
    assert!(done.get("Done").is_some(), "{done}");
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(1));
}

#[tokio::test]
async fn event_that_does_not_fit_its_type_is_refused_with_the_path() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut notes = fleet.hear::<Note>().await;
    let _answers = fleet.bus.serve::<Double>().await.unwrap();
    let note = |field: &str, value: Value| {
        let mut note = json!(Note::new("x", 1));
        note[field] = value;
        note.to_string()
    };
    let cases = [
        (note("number", json!(-1)), "number"),
        (note("number", json!("1")), "number"),
        (note("text", json!(null)), "text"),
        (note("mood", json!({ "Loud": 256 })), "mood"),
        (note("tags", json!({ "a": 1.5 })), "tags"),
        (json!({ "text": "x" }).to_string(), "number"),
    ];
    for (payload, path) in cases {
        fleet
            .ostler(["emit", "tests.note", &payload])
            .success()
            .await;
        let Delivery::Misfit { reason, topic, .. } = notes.delivery().await else {
            panic!("{payload} is no note");
        };
        assert!(
            reason.contains(path) && topic == "tests.note",
            "{path}: {reason}"
        );
    }
    fleet.bus.emit(&Note::new("fits", 2)).await.unwrap();
    assert_eq!(notes.next().await.event.number, 2);
    // Whoever asks is told, and whoever writes what is the master's.
    let ask = fleet
        .ostler(["request", "tests.double", "{\"number\":-1}"])
        .stdout("");
    ask.stderr_contains("number").fails_with(1).await;
    for payload in ["{\"app\":1}", "{\"ap\":\"web\"}", "[]"] {
        fleet
            .ostler(["emit", "workerRestartNeeded", payload])
            .stdout("")
            .fails_with(1)
            .await;
    }
    let output = fleet
        .ostler(["emit", "x", "{\"a\":}"])
        .stdout("")
        .fails_with(2)
        .await;
    assert!(
        output.stderr.contains("not JSON") && output.stderr.contains("column"),
        "{output:#?}"
    );
}

#[tokio::test]
async fn unusable_topic_is_refused_with_what_is_wrong() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let long = "x".repeat(256);
    for topic in ["", "a..b", ".a", "a b", "ä", "a.*", "a.>", "a/b", &long] {
        let output = fleet
            .ostler(["emit", topic, "1"])
            .stdout("")
            .fails_with(2)
            .await;
        assert!(output.stderr.starts_with("error: "), "{output:#?}");
    }
    for pattern in ["", "a.>.b", "a..b", "a*", &long] {
        let output = fleet
            .ostler(["tail", pattern])
            .stdout("")
            .fails_with(2)
            .await;
        assert!(output.stderr.starts_with("error: "), "{output:#?}");
    }
    // By the hub as well, for those who don't ask the client.
    let mut peer = Peer::client(fleet.socket()).await;
    peer.send(
        kind::EMIT,
        2,
        &json!({ "topic": "a..b", "payload": 1, "ref": 4 }),
    )
    .await;
    let refused = peer.next_of(kind::CONTROL).await;
    assert_eq!(refused["op"]["Refused"]["kind"], "BadTopic", "{refused}");
}

#[tokio::test]
async fn hostile_schema_is_refused() {
    let fleet = Fleet::start(PROGRAMS.habit(0, &["trivial"])).await;
    let mut peer = Peer::client(fleet.socket()).await;
    let mut schemas: Vec<Vec<u8>> = (0..=60).map(|byte| vec![byte; 12_000]).collect();
    schemas.extend([vec![], vec![255; 16], (0..=255).collect(), vec![20; 20_000]]);
    for (index, schema) in (1_u64..).zip(&schemas) {
        let announce =
            json!({ "Announce": { "index": index, "topic": "hostile", "schema": schema } });
        let answer = peer.control(index, &announce).await;
        assert!(
            answer.get("Refused").is_some(),
            "{:?}: {answer}",
            &schema[..schema.len().min(4)]
        );
    }
    fleet.status().await;
    assert_eq!(fleet.bus.json("hostile", &1).acked().await, Ok(0));
}

#[tokio::test]
async fn hostile_notify_datagrams_change_nothing() {
    let bystander = Cli::new("sleep").arg("60").start();
    let say = format!("{} say", PROGRAMS.misbehave);
    let script = format!(
        "{say} MAINPID={}; {say} MAINPID=-1 MAINPID=x; {say} $(head -c 60000 /dev/zero | tr '\\0' x); \
         {say} EXTEND_TIMEOUT_USEC=99999999999999999999; {say} =; {say} READY=2; {say} READY=1; exec {} trivial",
        bystander.id(),
        PROGRAMS.misbehave
    );
    let master = PROGRAMS.master().name("web").instances(1).ready("notify");
    let fleet = Fleet::ready(master.command(["bash", "-c", &script]), 1).await;
    fleet.ostler(["stop"]).success().await;
    fleet.ostler(["kill"]).success().await;
    assert_eq!(
        bystander.exit(),
        None,
        "a stranger is nobody's main process"
    );
}
