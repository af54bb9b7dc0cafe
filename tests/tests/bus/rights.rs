//! Who an event is from, and who may say what.

use super::*;

#[tokio::test]
async fn origin_names_the_sender() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let mut notes = fleet.hear::<Note>().await;
    let mut spawned = fleet.hear::<WorkerSpawned>().await;
    let slot = fleet.get("web", "/note/hello").await;
    assert!(slot["ok"].is_u64());
    let note = notes.next().await;
    let status = fleet.worker("web", note.event.number as u32).await;
    let expected = Origin::Worker {
        app: "web".into(),
        id: status.id.unwrap(),
        slot: status.slot,
        generation: status.generation,
        pid: status.pid.unwrap(),
    };
    assert_eq!(*note.origin, expected);
    let other = client(&fleet, "a name").await;
    other.emit(&rich()).await.unwrap();
    let (name, conn) = ("a name".into(), other.conn());
    assert_eq!(*notes.next().await.origin, Origin::Client { name, conn });
    fleet.ostler(["scale", "+1"]).success().await;
    assert_eq!(*spawned.next().await.origin, Origin::Master);
}

#[tokio::test]
async fn origin_cannot_be_forged() {
    let fleet = quiet().await;
    for kind in ["worker", "master"] {
        let mut peer = Peer::connect(fleet.socket()).await;
        peer.send(kind::HELLO, 0, &hello(kind)).await;
        let reason = peer.closing().await;
        assert!(reason.contains(kind), "{reason}");
    }
    let mut token = hello("worker");
    token["token"] = json!("guessed");
    let mut peer = Peer::connect(fleet.socket()).await;
    peer.send(kind::HELLO, 0, &token).await;
    peer.closing().await;
    let mut heard = fleet.hear_raw(">").await;
    let mut peer = Peer::client(fleet.socket()).await;
    let forged = json!({
        "topic": "a", "payload": 1, "seq": 7, "origin": "Master", "kind": "worker", "conn": 1,
    });
    peer.send(kind::EMIT, 0, &forged).await;
    let event = heard.next().await;
    assert!(
        matches!(&*event.origin, Origin::Client { name, .. } if name == "peer"),
        "{event:?}"
    );
    // What a sender likes to say beside an event arrives, and says nothing about who it is.
    let other = client(&fleet, "a name").await;
    let said = rich();
    let beside = other.event(&said).header("origin", "master");
    beside.send().await.expect("sent");
    let event = heard.next().await;
    assert_eq!(
        event.headers().iter().collect::<Vec<_>>(),
        [("origin", "master")]
    );
    assert!(
        matches!(&*event.origin, Origin::Client { name, .. } if name == "a name"),
        "{event:?}"
    );
}

/// Topics that only the master may publish on.
const MASTERS: [&str; 12] = [
    "worker.ready",
    "worker.exited",
    "worker.anything",
    "app.failed",
    "app.anything",
    "update.started",
    "config.changed",
    "bus.lagged",
    "_sys.worker.ready",
    "_anything",
    "masterStatus.report",
    "operation.finished",
];

fn denied(result: Result<u64, EmitError>, topic: &str) {
    match result {
        Err(EmitError::Refused {
            topic: named,
            refusal,
        }) => {
            assert_eq!((named.as_str(), refusal.kind), (topic, RefusalKind::Denied));
            assert!(
                refusal.reason.contains("master") || refusal.reason.contains("observer"),
                "{refusal:?}"
            );
        }
        other => panic!("{topic}: {other:?}"),
    }
}

#[tokio::test]
async fn masters_topics_are_denied_to_everyone_else() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let roles = [
        ConnectOptions::client("c"),
        ConnectOptions::observer("o"),
        ConnectOptions::operator("p"),
    ];
    let mut heard = fleet.hear_raw(">").await;
    for role in roles {
        let bus = fleet.connect(role).await;
        for topic in MASTERS {
            denied(bus.json(topic, &json!({})).acked().await, topic);
        }
        // The connection lives on.
        assert!(bus.request(&MasterStatus::default()).await.is_ok());
    }
    for topic in MASTERS {
        let told = fleet.get("web", &format!("/emit/{topic}")).await;
        let error = told["error"].as_str().unwrap_or_default();
        assert!(
            error.contains("may not publish") && error.contains("master"),
            "{told}"
        );
    }
    assert_eq!(fleet.get("web", "/emit/its.own").await["ok"], 2);
    assert_eq!(heard.up_to("its.own").await, []);
}

#[tokio::test]
async fn only_operators_command_the_fleet() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let before = fleet.worker("web", 0).await;
    for options in [ConnectOptions::client("c"), ConnectOptions::observer("o")] {
        let bus = fleet.connect(options).await;
        for topic in [
            "app.stop",
            "app.scale",
            "app.reload",
            "app.start",
            "master.kill",
        ] {
            let asked = bus.request_json(topic, "{}", PATIENCE).await;
            let Err(RequestError::Denied { reason, .. }) = &asked else {
                panic!("{topic}: {asked:?}");
            };
            assert!(reason.contains(topic), "{reason}");
        }
        let asked = bus.request(&AppStop { app: None }).await;
        assert!(
            matches!(asked, Err(RequestError::Denied { .. })),
            "{asked:?}"
        );
        // Nor do they answer for it.
        assert!(bus.serve::<MasterStatus>().await.is_err());
    }
    let restart = SystemRestartNeeded::default();
    let told = client(&fleet, "c").await.emit_acked(&restart).await;
    let told = told.unwrap_err().to_string();
    assert!(told.contains("only workers and operators"), "{told}");
    assert_eq!(fleet.worker("web", 0).await.id, before.id);
    let scale = ostler_bus::vocab::control::AppScale {
        app: "web".into(),
        to: ScaleTo::Exactly(2),
    };
    fleet.bus.request(&scale).await.unwrap();
    fleet.until_ready(2).await;
}

#[tokio::test]
async fn observers_hear_everything_and_say_nothing() {
    let fleet = quiet().await;
    let observer = fleet.connect(ConnectOptions::observer("eye")).await;
    let mut heard = Heard::raw(&observer, ">").await;
    denied(observer.json("its.own", &()).acked().await, "its.own");
    assert!(observer.serve::<Double>().await.is_err());
    fleet.bus.emit(&rich()).await.unwrap();
    assert_eq!(heard.next().await.topic.as_str(), "tests.note");
    let status = observer.request(&MasterStatus::default()).await.unwrap();
    assert_eq!(status.master.pid, fleet.process.id());
}

#[tokio::test]
async fn refused_topic_fails_later_emits_at_once() {
    let fleet = quiet().await;
    let mut problems = fleet.bus.problems();
    fleet.bus.emit_json("worker.mine", &()).await.unwrap();
    let problem = deadline("a problem", PATIENCE, problems.next())
        .await
        .unwrap();
    let Problem::Refused { topic, refusal } = problem else {
        panic!("{problem:?}");
    };
    assert_eq!(
        (topic.as_deref(), refusal.kind),
        (Some("worker.mine"), RefusalKind::Denied)
    );
    let again = fleet.bus.emit_json("worker.mine", &()).await;
    assert!(matches!(again, Err(EmitError::Refused { .. })), "{again:?}");
    assert_eq!(fleet.bus.json("mine.worker", &()).acked().await, Ok(0));
}
