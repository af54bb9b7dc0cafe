//! The bus of a running master, over real sockets: who hears what, in which order, from whom, and who may say it.

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Event, Origin,
    client::{Bus, ConnectOptions, Delivery, EmitError, Payload, Problem, RequestError},
    vocab::{
        control::{AppStop, ScaleTo},
        status::MasterStatus,
        update::SystemRestartNeeded,
        worker::WorkerSpawned,
    },
    wire::control::RefusalKind,
};
use ostler_tests::{
    harness::{
        Fleet, Heard, Lines, PATIENCE, Process, Programs, deadline, eventually,
        peer::{Peer, hello, kind},
    },
    words::{Double, Mood, Note},
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master whose app is parked: nobody is on the bus but who a test brings.
async fn quiet() -> Fleet {
    Fleet::start(PROGRAMS.habit(0, &["trivial"])).await
}

async fn client(fleet: &Fleet, name: &str) -> Bus {
    fleet.connect(ConnectOptions::client(name)).await
}

/// A note with something in each of its fields.
fn rich() -> Note {
    Note {
        text: "grüße \"und\" mehr".into(),
        number: u64::MAX,
        mood: Some(Mood::Coloured { rgb: [1, 2, 255] }),
        tags: BTreeMap::from([("a".into(), -1), ("b".into(), i32::MAX)]),
    }
}

/// Starts `ostler tail` and waits until its subscription stands.
async fn tail(fleet: &Fleet, pattern: &str, probe: &str) -> Process {
    let tail = fleet.ostler(["tail", pattern]).start();
    let mut shown = tail.stdout.clone();
    let stands = async {
        let wait = Duration::from_millis(100);
        let mut seen = false;
        while !seen {
            fleet.bus.emit_json(probe, &()).await.unwrap();
            let line = shown.wait_for_line(probe, PATIENCE);
            seen = tokio::time::timeout(wait, line).await.is_ok();
        }
    };
    deadline("the tail's subscription", PATIENCE, stands).await;
    tail
}

fn line(lines: &Lines, has: &str) -> Value {
    let all = lines.all();
    let line = all.iter().find(|line| line.contains(has));
    serde_json::from_str(line.expect("such a line")).expect("JSON")
}

#[tokio::test]
async fn event_from_a_worker_reaches_workers_and_clients() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let mut typed = fleet.hear::<Note>().await;
    let mut tail = tail(&fleet, "tests.>", "tests.probe").await;
    // Two subscriptions in each of two workers, this one, and the tail.
    assert_eq!(fleet.get("left", "/note/hello").await["ok"], 6);
    assert_eq!(typed.next().await.event, Note::new("hello", 0));
    for app in ["left", "right"] {
        fleet
            .said(format!("{app}.0 | heard {{\"text\":\"hello\""))
            .await;
    }
    tail.wait_for_line("tests.note", PATIENCE).await;
    let shown = line(&tail.stdout, "tests.note");
    assert_eq!(shown["payload"], json!(Note::new("hello", 0)));
    assert_eq!(shown["origin"]["Worker"]["app"], "left");
}

#[tokio::test]
async fn event_from_the_command_line_reaches_workers() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let payload = serde_json::to_string(&rich()).unwrap();
    fleet
        .ostler(["emit", "tests.note", &payload])
        .success()
        .await;
    for app in ["left", "right"] {
        let heard = fleet.said(format!("{app}.0 | heard")).await;
        assert!(
            heard.contains(&payload) && heard.contains("\"name\":\"cli\""),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn json_from_the_command_line_reaches_a_typed_subscriber() {
    let fleet = quiet().await;
    let mut notes = fleet.hear::<Note>().await;
    let payload = serde_json::to_string(&rich()).unwrap();
    fleet
        .ostler(["emit", "tests.note", &payload])
        .success()
        .await;
    assert_eq!(notes.next().await.event, rich());
    // And back: what was written as a type is shown as the JSON that serde_json makes of it.
    let wait = fleet.ostler(["wait", "tests.note"]).start();
    let heard = async { while fleet.bus.emit_acked(&rich()).await != Ok(2) {} };
    deadline("two readers", PATIENCE, heard).await;
    wait.wait(PATIENCE).await;
    let shown = line(&wait.stdout, "tests.note");
    assert_eq!(shown["payload"].to_string(), json!(rich()).to_string());
}

#[tokio::test]
async fn json_typed_and_bytes_payloads_arrive_as_sent() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let mut heard = fleet.hear_raw(">").await;
    let json = "{ \"b\" : 1.50,\"a\":[ ] }";
    other.json_text("as.json", json).send().await.unwrap();
    other.emit(&rich()).await.unwrap();
    other
        .emit_bytes("as.bytes", vec![0, 255, b'\n'])
        .await
        .unwrap();
    let Payload::Json(text) = heard.next().await.event else {
        panic!("not JSON");
    };
    assert_eq!(text, json.as_bytes());
    let typed = heard.next().await.event;
    let Payload::Postcard { bytes, schema } = &typed else {
        panic!("not a type: {typed:?}");
    };
    assert_eq!(*schema, ostler_bus::TypeSchema::of::<Note>());
    assert_eq!(bytes[..6], b"\x12gr\xc3\xbc\xc3"[..6]);
    assert_eq!(
        typed.to_json().unwrap(),
        serde_json::to_string(&rich()).unwrap()
    );
    let bytes = heard.next().await.event;
    assert!(
        matches!(&bytes, Payload::Bytes(b) if b[..] == [0, 255, b'\n']),
        "{bytes:?}"
    );
}

#[tokio::test]
async fn lifecycle_events_reach_workers() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet.ostler(["scale", "right", "2"]).success().await;
    fleet.ostler(["reload", "right"]).success().await;
    fleet.ostler(["stop", "right"]).success().await;
    let topics = [
        "app.resized",
        "worker.spawned",
        "worker.online",
        "worker.ready",
        "update.started",
        "update.progress",
        "worker.draining",
        "worker.exited",
        "update.finished",
    ];
    for topic in topics {
        let star = format!("left.0 | star {topic}");
        fleet.said(move |line: &str| line == star).await;
    }
}

#[tokio::test]
async fn star_hears_every_topic() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut star = fleet.hear_raw("*").await;
    let mut all = fleet.hear_raw(">").await;
    let other = client(&fleet, "other").await;
    for topic in ["a", "a.b", "a.b.c.d-e_f", "to.worker.99.hint"] {
        other.emit_json(topic, &topic).await.unwrap();
    }
    // A worker's `_sys` requests, and its drain, are among what happens now.
    fleet.ostler(["scale", "2"]).success().await;
    fleet.ostler(["scale", "1"]).success().await;
    other.emit_json("barrier", &()).await.unwrap();
    let heard = star.up_to("barrier").await;
    assert_eq!(heard, all.up_to("barrier").await);
    let count = |topic: &str| heard.iter().filter(|(heard, _)| heard == topic).count();
    for topic in [
        "a",
        "a.b",
        "a.b.c.d-e_f",
        "to.worker.99.hint",
        "worker.spawned",
        "worker.ready",
    ] {
        assert_eq!(count(topic), 1, "{topic}: {heard:?}");
    }
    assert!(
        heard.iter().all(|(topic, _)| !topic.starts_with('_')),
        "{heard:?}"
    );
}

#[tokio::test]
async fn named_and_star_subscription_each_get_it_once() {
    let fleet = quiet().await;
    let mut named = fleet.hear_raw("a.b").await;
    let mut star = fleet.hear_raw("*").await;
    let mut pattern = fleet.hear_raw("a.*").await;
    assert_eq!(
        client(&fleet, "other").await.json("a.b", &7).acked().await,
        Ok(3)
    );
    fleet.bus.emit_json("a.b", &8).await.unwrap();
    for heard in [&mut named, &mut star, &mut pattern] {
        for number in [7, 8] {
            assert_eq!(
                heard.next().await.event.to_json().unwrap(),
                number.to_string()
            );
        }
    }
}

#[tokio::test]
async fn emitter_hears_itself_once() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet.get("left", "/note/mine").await;
    fleet.get("right", "/note/theirs").await;
    fleet.bus.emit(&Note::new("last", 0)).await.unwrap();
    let said = |app: &str| {
        let lines = fleet.process.stdout.all();
        let prefix = format!("{app}.0 | heard ");
        let heard = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
        let text = |line: &str| line.split('"').nth(3).map(str::to_owned);
        heard.filter_map(text).collect::<Vec<_>>()
    };
    for app in ["left", "right"] {
        fleet
            .said(format!("{app}.0 | heard {{\"text\":\"last\""))
            .await;
        assert_eq!(said(app), ["mine", "theirs", "last"]);
    }
}

#[tokio::test]
async fn every_subscriber_sees_one_order() {
    const EACH: u64 = 300;
    let fleet = quiet().await;
    let mut readers = Vec::new();
    for reader in 0..4 {
        let bus = client(&fleet, &format!("reader{reader}")).await;
        readers.push(Heard::raw(&bus, "order.>").await);
    }
    let mut writers = Vec::new();
    for writer in 0..4 {
        let bus = client(&fleet, &format!("writer{writer}")).await;
        writers.push(tokio::spawn(async move {
            for number in 0..EACH {
                bus.emit_json(&format!("order.w{writer}"), &number)
                    .await
                    .unwrap();
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            bus.drain(PATIENCE).await.unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    fleet.bus.emit_json("order.end", &()).await.unwrap();
    let first = readers[0].up_to("order.end").await;
    assert_eq!(first.len() as u64, 4 * EACH);
    for reader in &mut readers[1..] {
        assert_eq!(reader.up_to("order.end").await, first);
    }
}

#[tokio::test]
async fn subscription_is_active_when_subscribe_returns() {
    let fleet = quiet().await;
    let (reader, writer) = (
        client(&fleet, "reader").await,
        client(&fleet, "writer").await,
    );
    for round in 0..200_u64 {
        let mut heard = Heard::raw(&reader, "round").await;
        assert_eq!(
            writer.json("round", &round).acked().await,
            Ok(1),
            "round {round}"
        );
        assert_eq!(
            heard.next().await.event.to_json().unwrap(),
            round.to_string()
        );
        drop(heard);
        assert_eq!(
            reader.json("round", &round).acked().await,
            Ok(0),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn dropped_subscription_hears_nothing_more() {
    let fleet = quiet().await;
    let kept = fleet.hear_raw("x").await;
    let dropped = fleet.hear_raw("x").await;
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(2));
    drop(dropped);
    assert_eq!(fleet.bus.json("x", &2).acked().await, Ok(1));
    drop(kept);
    assert_eq!(fleet.bus.json("x", &3).acked().await, Ok(0));
}

/// Until an event on `topic` matches nothing: the hub hears of an end as soon as it looks.
async fn nobody_hears(fleet: &Fleet, topic: &str) {
    let nobody = async { while fleet.bus.json(topic, &()).acked().await != Ok(0) {} };
    deadline("the last subscription to go", PATIENCE, nobody).await;
}

#[tokio::test]
async fn dropped_client_leaves_no_subscription() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let heard = (Heard::raw(&other, "x").await, Heard::raw(&other, "x").await);
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(2));
    drop((other, heard));
    nobody_hears(&fleet, "x").await;
    let tail = tail(&fleet, "y", "y").await;
    tail.signal(Signal::KILL);
    nobody_hears(&fleet, "y").await;
}

#[tokio::test]
async fn acked_emit_tells_how_many_matched() {
    let fleet = quiet().await;
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(0));
    let _one = fleet.hear::<Note>().await;
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(1));
    let other = client(&fleet, "other").await;
    let _two = (
        Heard::raw(&other, "tests.*").await,
        Heard::raw(&other, ">").await,
    );
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(3));
    let note = fleet.ostler(["emit", "nobody.hears", "1"]).success().await;
    assert!(
        !note.stderr.contains("nobody"),
        "the other's > does: {note:?}"
    );
}

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

/// A master with SDK workers that treat questions in this way.
async fn answering(how: &str, workers: u32) -> Fleet {
    let master = PROGRAMS.sdk(workers);
    master.dir().write("serve", how);
    Fleet::ready(master, workers as usize).await
}

#[tokio::test]
async fn request_is_answered_to_its_asker() {
    let fleet = answering("answer", 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let asker = client(&fleet, "asker").await;
    let answer = asker.request(&Double { number: 21 }).await.unwrap();
    assert_eq!((answer.number, answer.slot), (42, 0));
    fleet
        .said(format!(
            "asked by {{\"Client\":{{\"name\":\"asker\",\"conn\":{}}}}}",
            asker.conn()
        ))
        .await;
    let request = fleet.ostler(["request", "tests.double", "{\"number\":4294967295}"]);
    let reply = request.success().await;
    assert_eq!(
        reply.json(),
        json!({ "number": 8_589_934_590_u64, "slot": 0 })
    );
    fleet.bus.emit_json("barrier", &()).await.unwrap();
    assert_eq!(heard.up_to("barrier").await, []);
}

#[tokio::test]
async fn request_without_responder_says_so() {
    let fleet = quiet().await;
    let asked = fleet.bus.request(&Double { number: 1 }).await;
    assert!(
        matches!(asked, Err(RequestError::NoResponders { .. })),
        "{asked:?}"
    );
    let request = fleet.ostler(["request", "tests.double", "{\"number\":1}"]);
    request
        .stderr_contains("nobody answers")
        .fails_with(4)
        .await;
}

#[tokio::test]
async fn request_times_out_and_leaves_nothing() {
    let fleet = answering("silent", 1).await;
    let wait = Duration::from_millis(300);
    for _ in 0..3 {
        let asked = fleet.bus.request_within(&Double { number: 1 }, wait).await;
        assert!(
            matches!(asked, Err(RequestError::TimedOut { .. })),
            "{asked:?}"
        );
    }
    // Whoever should have answered goes: what it owes is told as declined, what timed out before is not told twice.
    let asked = fleet.bus.request_within(&Double { number: 2 }, PATIENCE);
    let (asked, stopped) = tokio::join!(asked, async {
        let four = || (fleet.process.stdout.text().matches("asked by").count() == 4).then_some(());
        eventually("the fourth question", PATIENCE, four).await;
        fleet.ostler(["stop"]).success().await
    });
    assert!(
        matches!(asked, Err(RequestError::Declined { .. })),
        "{asked:?} {stopped:?}"
    );
    assert!(fleet.bus.request(&MasterStatus::default()).await.is_ok());
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

#[tokio::test]
async fn late_subscriber_gets_the_retained_value() {
    let fleet = quiet().await;
    for number in [1, 2] {
        fleet
            .bus
            .event(&Note::new("kept", number))
            .retained()
            .acked()
            .await
            .unwrap();
    }
    let mut late = Heard::<Note>::on(&client(&fleet, "late").await).await;
    let kept = late.next().await;
    assert_eq!((kept.event.number, kept.is_retained()), (2, true));
    fleet.bus.emit(&Note::new("live", 3)).await.unwrap();
    let live = late.next().await;
    assert_eq!((live.event.number, live.is_retained()), (3, false));
}

/// Another type on the topic of [`Note`].
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(topic = "tests.note")]
struct Stranger {
    number: String,
}

#[tokio::test]
async fn second_type_on_a_topic_is_told_with_both_spelled_out() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let mut reader = fleet.hear::<Note>().await;
    let mut raw = fleet.hear_raw("tests.note").await;
    fleet.bus.emit_acked(&rich()).await.unwrap();
    assert_eq!(reader.next().await.event, rich());
    let emitted = other
        .emit_acked(&Stranger {
            number: "one".into(),
        })
        .await;
    let told = match emitted {
        Err(error) => error.to_string(),
        Ok(_) => match reader.delivery().await {
            Delivery::Misfit { reason, missed, .. } => format!("{missed}: {reason}"),
            other => panic!("{other:?}"),
        },
    };
    assert!(told.contains("Stranger") && told.contains("Note"), "{told}");
    fleet.bus.emit(&Note::new("still there", 1)).await.unwrap();
    assert_eq!(reader.next().await.event.text, "still there");
    assert_eq!(
        raw.next().await.event.to_json().unwrap(),
        serde_json::to_string(&rich()).unwrap()
    );
}

/// Emits numbered events of 1 KiB, acknowledged in batches, so that a reader that reads is never left behind.
async fn flood(fleet: &Fleet, count: u64, reader: &mut Heard<Payload>) {
    let text = "x".repeat(1000);
    for number in 0..count {
        let payload = json!([number, text]);
        match number % 500 {
            499 => drop(fleet.bus.json("flood", &payload).acked().await.unwrap()),
            _ => fleet.bus.emit_json("flood", &payload).await.unwrap(),
        }
        let heard = reader.next().await.event.to_json().unwrap();
        assert!(heard.starts_with(&format!("[{number},")), "{heard}");
    }
}

fn resident_mib(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / (1 << 20)
}

#[tokio::test]
async fn stopped_subscriber_lags_and_harms_nobody() {
    const COUNT: u64 = 20_000;
    let fleet = quiet().await;
    let mut tail = tail(&fleet, "flood.>", "flood.probe").await;
    let also = tail_of_flood(&fleet).await;
    also.signal(Signal::STOP);
    let before = resident_mib(fleet.process.id());
    let mut reader = fleet.hear_raw("flood").await;
    flood(&fleet, COUNT, &mut reader).await;
    // 8 MiB for the stopped one, and what the allocator makes of it.
    let grown = resident_mib(fleet.process.id()) - before;
    assert!(grown < 40, "{grown} MiB");
    also.signal(Signal::CONT);
    fleet.bus.emit_json("flood.end", &()).await.unwrap();
    tail.wait_for_line("flood.end", PATIENCE).await;
    fleet.bus.emit_json("flood", &json!(["end"])).await.unwrap();
    also.stdout
        .clone()
        .wait_for_line("[\"end\"]", PATIENCE)
        .await;
    let lines = also
        .stdout
        .all()
        .into_iter()
        .map(|l| serde_json::from_str::<Value>(&l).unwrap());
    let (lost, events): (Vec<_>, Vec<_>) = lines.partition(|line| line.get("lagged").is_some());
    let lost: u64 = lost
        .iter()
        .map(|line| line["lagged"].as_u64().unwrap())
        .sum();
    let numbered = events
        .iter()
        .filter(|line| line["payload"][0].is_u64())
        .count() as u64;
    assert!(lost > 0);
    assert_eq!(numbered + lost, COUNT, "each event is shown or counted");
}

/// A tail of the topic `flood` alone.
async fn tail_of_flood(fleet: &Fleet) -> Process {
    let mut tail = fleet.ostler(["tail", "flood"]).start();
    let stands = async { while fleet.bus.json("flood", &()).acked().await != Ok(1) {} };
    deadline("the tail's subscription", PATIENCE, stands).await;
    // It has read the hub's answer, too: stopped before, it would give the hub up when it goes on.
    tail.wait_for_line("\"flood\"", PATIENCE).await;
    tail
}

#[tokio::test]
async fn dead_subscriber_costs_the_others_nothing() {
    let fleet = quiet().await;
    let dying = tail_of_flood(&fleet).await;
    let mut reader = fleet.hear_raw("flood").await;
    flood(&fleet, 1000, &mut reader).await;
    dying.signal(Signal::KILL);
    flood(&fleet, 5000, &mut reader).await;
    nobody_hears_but_one(&fleet).await;
}

async fn nobody_hears_but_one(fleet: &Fleet) {
    let one = async { while fleet.bus.json("flood", &()).acked().await != Ok(1) {} };
    deadline("the dead one's subscription to go", PATIENCE, one).await;
}

#[tokio::test]
async fn flooded_bus_delays_neither_control_nor_supervision() {
    let fleet = Fleet::ready(PROGRAMS.habit(1, &["trivial"]), 1).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let flooder = client(&fleet, "flooder").await;
    let _slow = Heard::raw(&client(&fleet, "slow").await, "flood").await;
    let flooding = std::thread::spawn(move || {
        while !*stopped.borrow() {
            // What there is no room for is not what is tested.
            let _full = flooder.json("flood", &"x".repeat(100)).try_send();
        }
    });
    let began = std::time::Instant::now();
    for _ in 0..20 {
        fleet.status().await;
    }
    let old = fleet.worker("web", 0).await;
    let pid = rustix::process::Pid::from_raw(old.pid.unwrap() as i32).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    let newer = |s: &ostler_bus::vocab::status::StatusReport| {
        s.workers.iter().any(|w| w.id > old.id && w.pid.is_some())
    };
    fleet.until("a successor", newer).await;
    let took = began.elapsed();
    stop.send_replace(true);
    flooding.join().unwrap();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn loss_of_the_master_is_told_in_band() {
    let fleet = answering("silent", 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let asked = fleet.bus.request_within(&Double { number: 1 }, PATIENCE);
    let (asked, ()) = tokio::join!(asked, async {
        fleet.said("asked by").await;
        fleet.process.signal(Signal::KILL);
    });
    assert!(
        matches!(asked, Err(RequestError::Disconnected(_))),
        "{asked:?}"
    );
    loop {
        match heard.delivery().await {
            Delivery::Disconnected(why) => {
                break assert!(why.to_string().contains("lost"), "{why}");
            }
            Delivery::Event(_)
            | Delivery::Lagged { .. }
            | Delivery::Misfit { .. }
            | Delivery::Reconnected { .. } => {}
        }
    }
    let emitted = fleet.bus.emit(&rich()).await;
    assert!(
        matches!(emitted, Err(EmitError::Disconnected(_))),
        "{emitted:?}"
    );
    assert!(fleet.bus.subscribe_raw("x").await.is_err());
}

#[tokio::test]
async fn drain_before_exit_loses_no_event() {
    const COUNT: u64 = 10_000;
    let fleet = quiet().await;
    let mut heard = fleet.hear_raw(">").await;
    let socket = fleet.socket();
    // A runtime of its own that ends at once afterwards, as a short program's does.
    let program = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let transport = ostler_bus::transport::UnixTransport::new(socket);
            let bus = Bus::connect(transport, ConnectOptions::client("brief"))
                .await
                .unwrap();
            for number in 0..COUNT {
                bus.emit_json("brief", &number).await.unwrap();
            }
            bus.drain(PATIENCE).await.unwrap();
        });
    });
    for number in 0..COUNT {
        assert_eq!(
            heard.next().await.event.to_json().unwrap(),
            number.to_string()
        );
    }
    program.join().unwrap();
}

#[tokio::test]
async fn json_client_exchanges_events_with_typed_ones() {
    let fleet = answering("answer", 1).await;
    let mut notes = fleet.hear::<Note>().await;
    let mut peer = Peer::client(fleet.socket()).await;
    let subscribe = json!({ "Subscribe": { "sub": 1, "pattern": "tests.note", "reader": null, "options": {} } });
    let done = peer.control(1, &subscribe).await;
    assert!(done.get("Done").is_some(), "{done}");
    fleet.bus.emit(&rich()).await.unwrap();
    let event = peer.next_of(kind::RUN).await;
    assert_eq!(
        (&event["payload"], &event["topic"]),
        (&json!(rich()), &json!("tests.note"))
    );
    assert_eq!(notes.next().await.event, rich());
    let emit = json!({ "topic": "tests.note", "payload": rich(), "ref": 2 });
    peer.send(kind::EMIT, 2, &emit).await;
    assert_eq!(notes.next().await.event, rich());
    let request = json!({ "ref": 3, "topic": "tests.double", "payload": { "number": 4 } });
    peer.send(kind::REQUEST, 0, &request).await;
    let answer = peer.next_of(kind::ANSWER).await;
    assert_eq!(
        (&answer["ref"], &answer["payload"]["number"]),
        (&json!(3), &json!(8))
    );
}

#[tokio::test]
async fn every_broadcast_is_logged_at_debug() {
    let master = PROGRAMS.sdk(1).env("OSTLER_LOG", "info,ostler::bus=debug");
    let fleet = Fleet::ready(master, 1).await;
    fleet.get("web", "/note/logged").await;
    let line = fleet.logged("tests.note").await;
    assert!(
        line.contains("\"text\":\"logged\"") && line.contains("DEBUG"),
        "{line}"
    );
    assert!(line.contains("web"), "the origin: {line}");
    fleet.logged("worker.ready").await;
    fleet
        .bus
        .emit_json("just.json", &json!({ "a": [1] }))
        .await
        .unwrap();
    fleet.logged("{\"a\":[1]}").await;
}

#[tokio::test]
async fn log_tap_subscribes_only_while_enabled() {
    let fleet = quiet().await;
    assert_eq!(fleet.bus.json("fresh.topic", &1).acked().await, Ok(0));
    let master = PROGRAMS
        .habit(0, &["trivial"])
        .env("OSTLER_LOG", "ostler::bus=debug");
    let tapped = Fleet::start(master).await;
    assert_eq!(tapped.bus.json("fresh.topic", &1).acked().await, Ok(1));
    tapped.logged("fresh.topic").await;
    assert!(!fleet.process.stderr.text().contains("fresh.topic"));
}

#[tokio::test]
async fn log_tap_escapes_hostile_strings() {
    let hostile = "\u{1b}[2J\n2026 ERROR forged \u{202e}\u{9b}";
    for format in ["human", "json"] {
        let master = PROGRAMS
            .habit(0, &["trivial"])
            .arg(format!("--log-format={format}"));
        let fleet = Fleet::start(master.env("OSTLER_LOG", "ostler::bus=debug")).await;
        let other = client(&fleet, "na\u{1b}[1mme").await;
        other.emit_json("a.hostile.one", &hostile).await.unwrap();
        let line = fleet.logged("a.hostile.one").await;
        assert!(line.contains("ERROR forged"), "one line: {line:?}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{line:?}");
        let shown = fleet
            .ostler(["emit", "x", "--wait", "a.hostile.two"])
            .start();
        let heard = async { while other.json("a.hostile.two", &hostile).acked().await != Ok(2) {} };
        deadline("the waiting command", PATIENCE, heard).await;
        shown.wait(PATIENCE).await;
        let event = line_of(&shown);
        assert_eq!(event["payload"], hostile);
        assert!(
            !shown
                .stdout
                .text()
                .contains(['\u{1b}', '\u{202e}', '\u{9b}'])
        );
    }
}

fn line_of(process: &Process) -> Value {
    line(&process.stdout, "\"topic\"")
}

#[tokio::test]
async fn unknown_protocol_version_is_refused_with_a_reason() {
    let fleet = quiet().await;
    let wrong = [
        ("proto", json!([99, 99]), "99"),
        ("codecs", json!(["smoke"]), "smoke"),
        ("magic", json!("nats"), "magic"),
        ("kind", json!("king"), "king"),
    ];
    for (field, value, named) in wrong {
        let mut hello = hello("client");
        hello[field] = value;
        let mut peer = Peer::connect(fleet.socket()).await;
        peer.send(kind::HELLO, 0, &hello).await;
        let reason = peer.closing().await;
        assert!(reason.contains(named), "{field}: {reason}");
    }
    fleet.status().await;
}

#[tokio::test]
async fn silence_before_hello_is_ended_with_a_reason() {
    let fleet = quiet().await;
    let mut silent = Peer::connect(fleet.socket()).await;
    let mut half = Peer::connect(fleet.socket()).await;
    half.send_bytes(&[0, 0, 1]).await;
    for peer in [&mut silent, &mut half] {
        let reason = peer.closing().await;
        assert!(reason.to_lowercase().contains("hello"), "{reason}");
    }
}
