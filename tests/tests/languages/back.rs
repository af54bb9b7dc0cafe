//! What clients in other languages lose when their connection breaks, and who they are when they come back: against the
//! real master.

use ostler_bus::Origin;
use ostler_tests::harness::{Agent, Cut, Fleet, Language, PATIENCE, deadline};
use rustix::{
    net::Shutdown,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use serde_json::json;

use super::PROGRAMS;

/// A master that keeps three of each topic `kept.*`, and its app is parked.
async fn with_history() -> Fleet {
    let command = PROGRAMS.misbehave;
    let history = "[[bus.history]]\npattern = \"kept.>\"\nmessages = 3\n";
    let app = format!("[app.web]\ncommand = [{command:?}, \"trivial\"]\ninstances = 0\n");
    Fleet::start(PROGRAMS.master().file(&format!("{history}{app}"))).await
}

/// Publishes a number on a topic, and waits until the hub has it.
async fn publish(fleet: &Fleet, topic: &str, number: i64) {
    let sent = fleet.bus.json(topic, &number).acked().await;
    sent.unwrap_or_else(|error| panic!("{error}"));
}

/// Reads numbers and losses: `n` for a number, `-n` for so many lost.
async fn read(agent: &mut Agent, pattern: &str, count: usize) -> Vec<i64> {
    let mut got = Vec::new();
    for _ in 0..count {
        let next = agent.done(json!({"do": "next", "pattern": pattern})).await;
        let lost = next["lost"].as_i64().map(|lost| -lost);
        got.push(lost.or(next["payload"].as_i64()).unwrap_or(i64::MIN));
    }
    got
}

/// Over several broken connections: what a history reaches is brought, and what none does is counted, each exactly.
pub(crate) async fn what_is_missed_is_told_exactly(language: Language) {
    let fleet = with_history().await;
    let way = Cut::before(&fleet.socket());
    let mut agent = Agent::start(language, way.path()).await;
    for pattern in ["kept.a", "plain.a", "*.a"] {
        agent
            .done(json!({"do": "subscribe", "pattern": pattern}))
            .await;
    }
    publish(&fleet, "kept.a", 1).await;
    publish(&fleet, "plain.a", 2).await;
    assert_eq!(read(&mut agent, "kept.a", 1).await, [1]);
    assert_eq!(read(&mut agent, "plain.a", 1).await, [2]);
    assert_eq!(read(&mut agent, "*.a", 2).await, [1, 2]);
    // Each time: how many come on a topic with a history of three, and on one without.
    for (first, kept, plain) in [(10, 2, 4), (20, 5, 0), (30, 0, 0), (40, 3, 1)] {
        let before = way.so_far();
        way.cut();
        // Once it has tried in vain to come back, the connection is behind it.
        way.connections(before + 1).await;
        for number in first..first + kept {
            publish(&fleet, "kept.a", number).await;
        }
        for number in 0..plain {
            publish(&fleet, "plain.a", number).await;
        }
        way.mend();
        agent.done(json!({"do": "flush"})).await;
        let last = first + 9;
        publish(&fleet, "kept.a", last).await;
        publish(&fleet, "plain.a", last).await;
        let unreached = (kept - 3).max(0);
        let reached = first + unreached..first + kept;
        let lost = |lost: i64| (lost > 0).then_some(-lost).into_iter();
        for (pattern, missed, last) in [
            ("kept.a", lost(unreached), vec![last]),
            ("plain.a", lost(plain), vec![last]),
            ("*.a", lost(unreached + plain), vec![last, last]),
        ] {
            let brought = reached.clone().filter(|_| pattern != "plain.a");
            let expected: Vec<i64> = missed.chain(brought).chain(last).collect();
            let got = read(&mut agent, pattern, expected.len()).await;
            assert_eq!(got, expected, "{pattern}, from {first}");
        }
    }
}

/// Without a connection events wait, as many as have room; the others are refused, and what waits comes later, in order.
pub(crate) async fn what_waits_for_a_connection_is_bounded(language: Language) {
    const ROOM: usize = 3;
    let fleet = with_history().await;
    let way = Cut::before(&fleet.socket());
    let mut agent = Agent::start(language, way.path()).await;
    let mut heard = fleet.hear_raw("large").await;
    let before = way.so_far();
    way.cut();
    way.connections(before + 1).await;
    // With what surrounds it, four of these are more than 4 MiB.
    let emit = |number: usize| {
        let text = number.to_string().repeat((1 << 20) - 2);
        json!({"do": "emit", "topic": "large", "payload": text})
    };
    for number in 0..ROOM {
        agent.done(emit(number)).await;
    }
    let told = agent.told(emit(ROOM)).await;
    assert_eq!(told["error"], "Full", "{told}");
    assert!(
        told["reason"].as_str().unwrap().contains("emit less"),
        "{told}"
    );
    way.mend();
    for number in 0..ROOM {
        let text = heard.next().await.event.to_json().unwrap();
        assert!(
            text.starts_with(&format!("\"{number}")),
            "not the one emitted as {number}"
        );
    }
}

/// An app of one worker that answers `tests.who` and `tests.slow`.
async fn serving(language: Language) -> Fleet {
    let agent = language.agent();
    let mut words = vec![agent.get_program().to_str().unwrap().to_owned()];
    words.extend(agent.get_args().map(|arg| arg.to_str().unwrap().to_owned()));
    words.push("serving".into());
    let file = format!(
        "[app.web]\ncommand = {words:?}\ninstances = 1\nready = \"sdk\"\nmin_healthy = \"0s\"\n"
    );
    Fleet::ready(PROGRAMS.master().file(&file), 1).await
}

/// Ends the connection that a process holds as the descriptor its environment names, without its doing.
fn break_inherited(pid: u32) {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environ = String::from_utf8_lossy(&environ);
    let named = environ
        .split('\0')
        .find_map(|var| var.strip_prefix("OSTLER_BUS_FD="));
    let number = named.expect("a worker").parse().unwrap();
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let socket = pidfd_getfd(process, number, PidfdGetfdFlags::empty()).unwrap();
    rustix::net::shutdown(socket, Shutdown::Both).unwrap();
}

/// By the path, with its token, through a real master: it is the same worker to everybody, and is told to go there.
pub(crate) async fn a_worker_is_itself_again_by_its_token(language: Language) {
    let fleet = serving(language).await;
    let mut seen = fleet.hear_raw("tests.seen").await;
    let worker = fleet.worker("web", 0).await;
    for _ in 0..2 {
        break_inherited(worker.pid.unwrap());
        let asked = async {
            while fleet
                .bus
                .request_json("tests.who", "null", PATIENCE)
                .await
                .is_err()
            {}
        };
        deadline("the worker to be back", PATIENCE, asked).await;
        let origin = seen.next().await.origin;
        let Origin::Worker { id, pid, .. } = &*origin else {
            panic!("it came back as {origin:?}")
        };
        assert_eq!((Some(*id), Some(*pid)), (worker.id, worker.pid));
    }
    fleet
        .ostler(["reload"])
        .within(3 * PATIENCE)
        .success()
        .await;
    fleet.said("draining: update").await;
    assert_eq!(fleet.worker("web", 0).await.restarts, 0);
    fleet.ostler(["stop"]).within(3 * PATIENCE).success().await;
}

/// What was asked before a worker was told to go is answered before it has gone.
pub(crate) async fn what_was_asked_is_answered_while_draining(language: Language) {
    let fleet = serving(language).await;
    let asked = fleet
        .bus
        .request_json("tests.slow", "{\"seconds\": 1.5}", PATIENCE);
    let stopped = async {
        fleet.said("asked").await;
        fleet.ostler(["stop"]).within(3 * PATIENCE).success().await;
    };
    let (answer, ()) = tokio::join!(asked, stopped);
    assert_eq!(answer.unwrap(), "\"late\"");
    fleet.said("draining: stop").await;
}
