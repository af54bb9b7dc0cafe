//! The clients in Python and Node, written from the protocol's page alone, against the real master: typed events both
//! ways, requests both ways, refusals, escapes, limits, connections that are lost, and workers that drain.
//!
//! Needs both interpreters: run `tests/interop/setup.sh`, then `cargo test -p ostler-tests --features interop --test languages`.

#[path = "languages/alone.rs"]
mod alone;
#[path = "languages/back.rs"]
mod back;
#[path = "languages/proxied.rs"]
mod proxied;
#[path = "languages/scripted.rs"]
mod scripted;
#[path = "languages/sockets.rs"]
mod sockets;
#[path = "languages/within.rs"]
mod within;

use std::collections::BTreeMap;

use ostler_bus::{
    client::{ConnectOptions, Delivery, RequestError},
    vocab::worker::WorkerDraining,
};
use ostler_tests::{
    harness::{Agent, Cut, Fleet, Language, PATIENCE, Programs, deadline},
    load::{Load, Plan},
    words::{Double, Doubled, Mood, Note},
};
use serde_json::{Value, json};

use back::{
    a_worker_is_itself_again_by_its_token, what_is_missed_is_told_exactly,
    what_waits_for_a_connection_is_bounded, what_was_asked_is_answered_while_draining,
};
use scripted::{
    a_held_topic_waits, a_worker_comes_back_by_path_with_its_token, who_was_replaced_stays_away,
    windows_are_told_what_was_taken,
};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master whose app is parked: nobody is on the bus but who a test brings.
async fn quiet() -> Fleet {
    Fleet::start(PROGRAMS.habit(0, &["trivial"])).await
}

/// What JSON has to escape, and what it has not; what is long in UTF-8, and in UTF-16.
const TEXT: &str = "\u{0} \t\r\n \u{1f} \" \\ / \u{7f} ü € 𝄞 \u{2028}\u{2029} \u{feff} \u{fffd}";

/// A note with something in each of its fields, in numbers that every language keeps.
fn rich() -> Note {
    Note {
        text: TEXT.into(),
        number: (1 << 53) - 1,
        mood: Some(Mood::Coloured { rgb: [1, 2, 255] }),
        tags: BTreeMap::from([("ä.b\"c".into(), i32::MIN), (String::new(), i32::MAX)]),
    }
}

async fn typed_events_go_both_ways(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    agent
        .done(json!({"do": "subscribe", "pattern": "tests.*"}))
        .await;
    fleet.bus.emit_acked(&rich()).await.unwrap();
    let got = agent
        .done(json!({"do": "next", "pattern": "tests.*"}))
        .await;
    assert_eq!(
        (&got["topic"], &got["payload"]),
        (&json!("tests.note"), &json!(rich()))
    );
    assert_eq!(got["origin"]["Client"]["name"], "test");
    let mut notes = fleet.hear::<Note>().await;
    // What it got it sends: nothing was changed on the way. And `mood` may be left out.
    let again =
        json!({"do": "emit", "topic": "tests.note", "payload": got["payload"], "ack": true});
    assert_eq!(agent.done(again).await, 2);
    let heard = notes.next().await;
    assert_eq!(heard.event, rich());
    let bare = json!({"text": "", "number": 0, "tags": {}});
    agent
        .done(json!({"do": "emit", "topic": "tests.note", "payload": bare}))
        .await;
    assert_eq!(notes.next().await.event, Note::new("", 0));
}

async fn bytes_and_retained_values_are_what_they_were(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    let mut raw = fleet.hear_raw("raw.>").await;
    let all: Vec<u8> = (0..=255).collect();
    let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
    agent
        .done(json!({"do": "emit", "topic": "raw.kept", "hex": hex, "retain": true, "ack": true}))
        .await;
    let got = raw.next().await.event;
    assert!(
        matches!(&got, ostler_bus::client::Payload::Bytes(b) if b[..] == all[..]),
        "{got:?}"
    );
    agent
        .done(json!({"do": "subscribe", "pattern": "raw.kept"}))
        .await;
    let kept = agent
        .done(json!({"do": "next", "pattern": "raw.kept"}))
        .await;
    assert_eq!(
        (&kept["payload"], &kept["retained"]),
        (&json!({"hex": hex}), &json!(true))
    );
}

async fn misfits_tell_the_path(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    let mut notes = fleet.hear::<Note>().await;
    let wrong =
        json!({"text": "", "number": 0, "mood": {"Coloured": {"rgb": [1, 2, 300]}}, "tags": {}});
    let count = agent
        .done(json!({"do": "emit", "topic": "tests.note", "payload": wrong, "ack": true}))
        .await;
    assert_eq!(count, 1, "it matched, and is told to its reader alone");
    let Delivery::Misfit { reason, .. } = notes.delivery().await else {
        panic!("no misfit")
    };
    assert!(
        reason.contains("mood") && reason.contains("rgb[2]"),
        "{reason}"
    );
    // A built-in topic has a type, and what doesn't fit is refused.
    let wrong = json!({"app": "web", "reazon": "?"});
    let told = agent
        .told(json!({"do": "emit", "topic": "workerRestartNeeded", "payload": wrong, "ack": true}))
        .await;
    assert_eq!(told["refused"], "Misfit", "{told}");
    assert!(
        told["reason"].as_str().unwrap().contains("reazon"),
        "{told}"
    );
}

async fn questions_and_answers_that_do_not_fit_tell_the_path(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    let rust = fleet.connect(ConnectOptions::client("rust")).await;
    let _calls = rust.serve::<Double>().await.unwrap();
    let wrong = json!({"do": "request", "topic": "tests.double", "payload": {"number": -1}});
    let told = agent.told(wrong).await;
    assert_eq!(told["refused"], "Misfit", "{told}");
    assert!(
        told["reason"].as_str().unwrap().contains("$.number"),
        "{told}"
    );
    drop(rust);
    // It answers with what it was asked, which is no `Doubled`.
    agent
        .done(json!({"do": "serve", "pattern": "tests.double", "how": "echo"}))
        .await;
    let asked = async {
        loop {
            match fleet.bus.request(&Double { number: 1 }).await {
                Err(RequestError::Misfit { reason, .. }) => break reason,
                Err(RequestError::Declined { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let reason = deadline("the agent to be asked", PATIENCE, asked).await;
    assert!(reason.contains("$.number"), "{reason}");
}

async fn refusals_have_kind_and_reason(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    let cases = [
        (
            json!({"do": "emit", "topic": "worker.ready", "payload": {}, "ack": true}),
            "Denied",
            "only the master",
        ),
        (
            json!({"do": "emit", "topic": "a..b", "payload": 1, "ack": true}),
            "BadTopic",
            "a..b",
        ),
        (
            json!({"do": "subscribe", "pattern": "a.>.b"}),
            "BadTopic",
            "a.>.b",
        ),
        (
            json!({"do": "request", "topic": "nobody.home"}),
            "NoResponders",
            "nobody.home",
        ),
        (
            json!({"do": "request_many", "topic": "nobody.home"}),
            "NoResponders",
            "nobody.home",
        ),
        (
            json!({"do": "request_many", "topic": "masterStatus", "payload": {}}),
            "Denied",
            "control plane",
        ),
    ];
    for (what, kind, word) in cases {
        let told = agent.told(what).await;
        assert_eq!(told["refused"], kind, "{told}");
        assert!(told["reason"].as_str().unwrap().contains(word), "{told}");
    }
    agent
        .done(json!({"do": "serve", "pattern": "never", "how": "silent"}))
        .await;
    let told = agent
        .told(json!({"do": "request", "topic": "never", "timeout": 0.2}))
        .await;
    assert_eq!(told["refused"], "TimedOut", "{told}");
}

async fn requests_go_both_ways(language: Language) {
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    agent
        .done(json!({"do": "serve", "pattern": "tests.double", "how": "double"}))
        .await;
    let doubled = fleet.bus.request(&Double { number: 21 }).await.unwrap();
    assert_eq!(
        doubled,
        Doubled {
            number: 42,
            slot: 7
        }
    );
    let status = agent
        .done(json!({"do": "request", "topic": "masterStatus", "payload": {}}))
        .await;
    assert_eq!(status["master"]["title"], "web");
    // Itself is as good as anybody; a mistake of its own is told, and ends nothing.
    agent
        .done(json!({"do": "serve", "pattern": "tests.fail", "how": "fail"}))
        .await;
    for _ in 0..2 {
        let told = agent
            .told(json!({"do": "request", "topic": "tests.fail"}))
            .await;
        assert_eq!(told["refused"], "Declined", "{told}");
        assert!(
            told["reason"]
                .as_str()
                .unwrap()
                .contains("Error: on purpose"),
            "{told}"
        );
    }
    let asked = json!({"do": "request", "topic": "tests.double", "payload": {"number": 4}});
    assert_eq!(agent.done(asked).await, json!({"number": 8, "slot": 7}));
}

/// One of Rust, one that dies, and one each of both languages.
async fn everybody_is_asked(language: Language) {
    let fleet = quiet().await;
    let mut asker = Agent::start(language, fleet.socket()).await;
    let rust = fleet.connect(ConnectOptions::client("rust")).await;
    let mut calls = rust.serve::<Double>().await.unwrap();
    tokio::spawn(async move {
        while let Some(call) = calls.next().await {
            let number = u64::from(call.request().number) * 2;
            let _gone = call.reply(&Doubled { number, slot: 1 }).await;
        }
    });
    let mut others = Vec::new();
    for (language, how) in [
        (Language::Python, "echo"),
        (Language::Node, "echo"),
        (language, "die"),
    ] {
        let mut agent = Agent::start(language, fleet.socket()).await;
        agent
            .done(json!({"do": "serve", "pattern": "tests.double", "how": how}))
            .await;
        others.push(agent);
    }
    let ask = json!({"do": "request_many", "topic": "tests.double", "payload": {"number": 4},
        "headers": {"traceparent": "00-1-2-01", "ü": ""}});
    let told = asker.told(ask.clone()).await;
    assert_eq!(told["refused"], "Malformed", "{told}");
    let mut ask = ask;
    ask["headers"] = json!({"traceparent": "00-1-2-01", "k": TEXT});
    let answers = asker.done(ask.clone()).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 3, "{answers:#?}");
    let echoed = json!({"by": "echo", "asked": {"number": 4}, "headers": ask["headers"]});
    let echoes = answers.iter().filter(|a| a["payload"] == echoed);
    let named = echoes.filter(|a| a["headers"] == json!({"answered-by": "echo"}));
    assert_eq!(named.count(), 2, "{answers:#?}");
    let typed = answers
        .iter()
        .find(|a| a["origin"]["Client"]["name"] == "rust");
    assert_eq!(typed.unwrap()["payload"], json!({"number": 8, "slot": 1}));
    ask["limit"] = json!(1);
    assert_eq!(asker.done(ask).await.as_array().unwrap().len(), 1);
}

async fn many_events_come_in_order_and_losses_are_counted(language: Language) {
    const COUNT: u64 = 50_000;
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    let numbers = json!({"do": "subscribe", "pattern": "numbers"});
    agent.done(numbers).await;
    for number in 0..COUNT {
        fleet.bus.emit_json("numbers", &number).await.unwrap();
    }
    let got = agent
        .done(json!({"do": "numbers", "pattern": "numbers", "until": COUNT - 1}))
        .await;
    assert_eq!(got, json!({"got": COUNT, "lost": 0, "in_order": true}));
    // And the other way, heard in Rust.
    let mut heard = fleet.hear_raw("back").await;
    agent
        .ask(json!({"do": "emit_numbers", "topic": "back", "first": 0, "count": COUNT}))
        .await;
    for number in 0..COUNT {
        let event = heard.next().await.event;
        assert_eq!(event.to_json().unwrap(), number.to_string());
    }
    assert_eq!(agent.answer().await, json!({"ok": null}));
}

/// The reader of the agent doesn't read while more comes than may wait: what is lost is told, and no more is.
async fn a_slow_reader_is_told_what_it_lost(language: Language) {
    const COUNT: u64 = 80_000;
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    agent
        .done(json!({"do": "subscribe", "pattern": "numbers"}))
        .await;
    for number in 0..=COUNT {
        let event = fleet.bus.json("numbers", &number);
        // Now and then the hub is waited for, as long as a busy machine takes.
        match number % 2_000 {
            0 => assert_eq!(event.acked().await, Ok(1)),
            _ => event.send().await.unwrap(),
        }
    }
    // It has all of it behind it when this comes back.
    agent.done(json!({"do": "flush"})).await;
    let got = agent
        .done(json!({"do": "numbers", "pattern": "numbers", "until": COUNT}))
        .await;
    let (read, lost) = (got["got"].as_u64().unwrap(), got["lost"].as_u64().unwrap());
    assert_eq!(
        (read + lost, &got["in_order"]),
        (COUNT + 1, &json!(true)),
        "{got}"
    );
    assert!(lost > 0 && read > 0, "{got}");
}

async fn payloads_of_the_largest_size_pass_and_larger_ones_are_refused(language: Language) {
    const MOST: usize = 1 << 20;
    let fleet = quiet().await;
    let mut agent = Agent::start(language, fleet.socket()).await;
    agent
        .done(json!({"do": "subscribe", "pattern": "large.>"}))
        .await;
    let mut heard = fleet.hear_raw("large.text").await;
    // With its quotes, exactly as large as may be.
    let text = |times: usize| json!({"do": "emit_text", "topic": "large.text", "text": "x", "times": times});
    assert_eq!(agent.done(text(MOST - 2)).await, 2);
    assert_eq!(heard.next().await.event.to_json().unwrap().len(), MOST);
    let back = agent
        .done(json!({"do": "next", "pattern": "large.>"}))
        .await;
    assert_eq!(back["payload"].as_str().unwrap().len(), MOST - 2);
    for times in [MOST - 1, MOST + 5_000] {
        let told = agent.told(text(times)).await;
        assert_eq!(told["refused"], "Limit", "{told}");
    }
    // Bytes that grow on their way into JSON: base64, and escapes.
    fleet
        .bus
        .emit_bytes("large.bytes", vec![0xff; MOST])
        .await
        .unwrap();
    let bytes = agent
        .done(json!({"do": "next", "pattern": "large.>"}))
        .await;
    assert_eq!(bytes["payload"]["hex"].as_str().unwrap().len(), 2 * MOST);
    agent
        .done(json!({"do": "subscribe", "pattern": "tests.note"}))
        .await;
    let dense = Note::new(&"\u{1}".repeat(MOST / 2), 1);
    fleet.bus.emit(&dense).await.unwrap();
    let note = agent
        .done(json!({"do": "next", "pattern": "tests.note"}))
        .await;
    assert_eq!(note["payload"], json!(dense));
}

async fn a_lost_connection_is_made_again(language: Language) {
    let fleet = quiet().await;
    let way = Cut::before(&fleet.socket());
    let mut agent = Agent::start(language, way.path()).await;
    let other = fleet.connect(ConnectOptions::client("other")).await;
    agent
        .done(json!({"do": "subscribe", "pattern": "numbers"}))
        .await;
    agent
        .done(json!({"do": "serve", "pattern": "tests.double", "how": "double"}))
        .await;
    agent
        .done(json!({"do": "serve", "pattern": "never", "how": "silent"}))
        .await;
    let mut back = fleet.hear_raw("back").await;
    other.emit_json("numbers", &1).await.unwrap();
    let next = json!({"do": "next", "pattern": "numbers"});
    assert_eq!(agent.done(next.clone()).await["payload"], 1);
    // What was asked fails; what is said meanwhile waits.
    agent.ask(json!({"do": "request", "topic": "never"})).await;
    let asked = async {
        while other
            .request_json("never", "1", PATIENCE / 100)
            .await
            .is_ok()
        {}
    };
    deadline("the question to be under way", PATIENCE, asked).await;
    way.cut();
    let told = agent.answer().await;
    assert_eq!(told["error"], "Disconnected", "{told}");
    agent
        .done(json!({"do": "emit_numbers", "topic": "back", "first": 5, "count": 3}))
        .await;
    way.connections(3).await;
    let nobody = other.request(&Double { number: 1 }).await;
    assert!(
        matches!(nobody, Err(RequestError::NoResponders { .. })),
        "{nobody:?}"
    );
    // A subscription that is asked for now comes to be with the connection.
    agent
        .ask(json!({"do": "subscribe", "pattern": "later"}))
        .await;
    way.mend();
    assert_eq!(agent.answer().await, json!({"ok": null}));
    other.emit_json("later", &9).await.unwrap();
    let later = json!({"do": "next", "pattern": "later"});
    assert_eq!(agent.done(later).await["payload"], 9);
    for number in 5..8 {
        assert_eq!(
            back.next().await.event.to_json().unwrap(),
            number.to_string()
        );
    }
    // Nothing was lost, and nothing is told.
    other.emit_json("numbers", &2).await.unwrap();
    assert_eq!(agent.done(next).await["payload"], 2);
    assert_eq!(
        other.request(&Double { number: 3 }).await.unwrap().number,
        6
    );
    // What was unsubscribed stays so.
    agent
        .done(json!({"do": "unsubscribe", "pattern": "tests.double"}))
        .await;
    let nobody = other.request(&Double { number: 1 }).await;
    assert!(
        matches!(nobody, Err(RequestError::NoResponders { .. })),
        "{nobody:?}"
    );
}

/// Three rolling updates of the example worker, under load of HTTP and of questions: nothing is lost of either but what
/// was asked of a worker that had gone by then, which is told.
async fn updates_of_workers_lose_no_request(language: Language) {
    let words = language.example_worker();
    let file = format!(
        "[app.web]\ncommand = {words:?}\ninstances = 2\nlisten = {{ http = \"127.0.0.1:0\" }}\n\
         ready = \"sdk\"\nmin_healthy = \"200ms\"\n"
    );
    let fleet = Fleet::ready(PROGRAMS.master().file(&file), 2).await;
    let mut visits = fleet.hear_raw("visits.seen").await;
    let plan = Plan::to(fleet.address().await).check(|answer| {
        let body: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        body["worker"]
            .is_u64()
            .then_some(())
            .ok_or("no worker".into())
    });
    let load = Load::start(plan.by_field("generation")).unwrap();
    load.answers(50, 3 * PATIENCE).await.unwrap();
    for _ in 0..3 {
        fleet
            .ostler(["reload"])
            .within(3 * PATIENCE)
            .success()
            .await;
        fleet.said("draining: update").await;
        load.answers(50, 3 * PATIENCE).await.unwrap();
        let doubled = fleet
            .bus
            .request_json("visits.double", "{\"number\": 4}", PATIENCE)
            .await;
        assert!(doubled.unwrap().starts_with("{\"number\":8,"));
    }
    let tally = load.stop().await;
    eprintln!("{language:?}: {tally}");
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    assert_eq!(tally.by.len(), 4, "{tally}");
    let seen = visits.next().await;
    let seen: Value = serde_json::from_str(&seen.event.to_json().unwrap()).unwrap();
    assert_eq!(seen["path"], "/");
    // By their own word, in time, and without a crash.
    let workers = fleet.until_ready(2).await;
    assert!(
        workers
            .iter()
            .all(|w| w.restarts == 0 && w.generation.0 == 4),
        "{workers:#?}"
    );
    fleet.ostler(["stop"]).within(3 * PATIENCE).success().await;
}

/// They count what they serve, and say so: whoever has served enough is replaced, and loses nothing.
async fn workers_count_what_they_serve(language: Language) {
    let words = language.example_worker();
    let file = format!(
        "[app.web]\ncommand = {words:?}\ninstances = 1\nlisten = {{ http = \"127.0.0.1:0\" }}\n\
         ready = \"sdk\"\nmin_healthy = \"200ms\"\nmax_requests = 20\n"
    );
    let fleet = Fleet::ready(PROGRAMS.master().file(&file), 1).await;
    assert_eq!(fleet.status().await.workers[0].requests, Some(0));
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let load = Load::start(Plan::to(fleet.address().await)).unwrap();
    let reason = draining.next().await.event.reason;
    assert!(
        reason.ends_with(" requests served (max_requests)"),
        "{reason}"
    );
    let tally = load.stop().await;
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    fleet.ostler(["stop"]).within(3 * PATIENCE).success().await;
}

/// Where being ready is not theirs to say, they count all the same.
#[tokio::test]
async fn a_python_worker_that_never_says_that_it_is_ready_counts_what_it_serves() {
    let script = "import sys; sys.path.insert(0, sys.argv[1])\n\
                  from ostler import Worker\n\
                  worker = Worker()\n\
                  for _ in range(5):\n    with worker.count_request():\n        pass\n\
                  worker.draining.wait()\n\
                  worker.close()\n";
    let python = Language::Python;
    let words = [
        python.interpreter().to_owned(),
        "-c".to_owned(),
        script.to_owned(),
        python.client().display().to_string(),
    ];
    let file = format!(
        "[app.web]\ncommand = {words:?}\ninstances = 1\nready = \"delay(0s)\"\n\
         min_healthy = \"0s\"\nmax_requests = 1000\n"
    );
    let fleet = Fleet::ready(PROGRAMS.master().file(&file), 1).await;
    fleet
        .until("the count", |status| {
            status
                .workers
                .iter()
                .any(|worker| worker.requests == Some(5))
        })
        .await;
    fleet.ostler(["stop"]).within(3 * PATIENCE).success().await;
}

/// Each of these, in each language.
macro_rules! in_both {
    ($($name:ident)*) => {
        mod python {
            $(#[tokio::test] async fn $name() { super::$name(super::Language::Python).await; })*
        }
        mod node {
            $(#[tokio::test] async fn $name() { super::$name(super::Language::Node).await; })*
        }
    };
}

in_both! {
    typed_events_go_both_ways
    bytes_and_retained_values_are_what_they_were
    misfits_tell_the_path
    refusals_have_kind_and_reason
    requests_go_both_ways
    everybody_is_asked
    many_events_come_in_order_and_losses_are_counted
    a_slow_reader_is_told_what_it_lost
    payloads_of_the_largest_size_pass_and_larger_ones_are_refused
    a_lost_connection_is_made_again
    what_is_missed_is_told_exactly
    what_waits_for_a_connection_is_bounded
    a_worker_is_itself_again_by_its_token
    what_was_asked_is_answered_while_draining
    questions_and_answers_that_do_not_fit_tell_the_path
    a_worker_comes_back_by_path_with_its_token
    who_was_replaced_stays_away
    windows_are_told_what_was_taken
    a_held_topic_waits
    updates_of_workers_lose_no_request
    workers_count_what_they_serve
}
