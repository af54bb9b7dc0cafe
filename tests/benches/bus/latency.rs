//! One-way latency, and how long an answer takes.

use std::path::Path;

use ostler_tests::{
    bench::{
        Results,
        fleet::Fleet,
        peers::{
            ask::{self, Asker},
            goals::{Bound, Goals},
            latency::{self, Latency},
            line::Address,
            wire::Wire,
        },
        roles::Role,
    },
    harness::PrivateDir,
};

use crate::{
    board::Board,
    brokers::{Brokers, MOSQUITTO, NATS, OTHER, OURS, REDIS, RELAY, ZEROMQ},
};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const WORKER: &str = env!("CARGO_BIN_EXE_misbehave");

/// Events of a turn, one each millisecond.
const EVENTS: usize = 700;

fn figures(latency: Latency) -> Vec<f64> {
    vec![latency.p50, latency.p90, latency.p99]
}

/// 1 → 1 and 1 → 4 at 1,000 a second.
pub(crate) fn measure(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    for (readers, p50) in [(1, 1.25), (4, 1.5)] {
        let title = format!("One way, 1 → {readers}, 1,000 a second");
        let [half, most, nearly] = ["p50", "p90", "p99"].map(|p| format!("{title}: {p}"));
        let mut board = Board::new(&[(&half, "µs"), (&most, "µs"), (&nearly, "µs")]);
        board.add(RELAY, move || through_relay(readers).map(figures));
        let names = [OURS, OTHER, NATS, REDIS, MOSQUITTO, ZEROMQ];
        for (name, server) in brokers.of(&names) {
            // Fresh, as the relay is: where the system has put a process that has run for long decides over half of the figure.
            board.add(name, move || {
                let server = server.another()?;
                let (from, to) = (&server.publishers, &server.subscribers);
                latency::run(server.wire, from, to, readers, EVENTS).map(figures)
            });
        }
        let results = board.run(rounds);
        judge(&results, readers, p50, goals);
    }
    Ok(())
}

fn judge(results: &[Results], readers: usize, bound: f64, goals: &mut Goals) {
    let mut goal = |what: &str, bound, at: usize, other| {
        let what = format!("one way, 1 → {readers}: {what}");
        goals.add(
            &what,
            Bound::AtMost(bound),
            results[at].round_ratio(OURS, other),
        );
    };
    goal("p50 beside the raw relay", bound, 0, RELAY);
    goal("p50 beside Mosquitto", 1.0, 0, MOSQUITTO);
    goal("p50 beside Redis", 1.0, 0, REDIS);
    goal("p90 beside the raw relay", 1.5, 1, RELAY);
}

fn through_relay(readers: usize) -> Result<Latency, String> {
    let dir = PrivateDir::new();
    let socket = dir.at("relay").to_string_lossy().into_owned();
    let mut relay = Role::start("relay", &[&socket, &readers.to_string()])?;
    relay.line()?;
    let address = Address::Unix(socket);
    latency::run(Wire::Raw, &address, &address, readers, EVENTS)
}

/// Questions of a turn, one by one; and many at once.
const QUESTIONS: usize = 3000;
const MANY: usize = 20_000;

/// A master's status beside a value of Redis and bytes there and back, all answers of one size.
pub(crate) fn ask(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let command = [WORKER, "notify", "0"];
    let settings = "ready = \"notify\"";
    let mut fleet = runtime.block_on(Fleet::start(Path::new(OSTLER), &command, settings))?;
    runtime.block_on(fleet.scale_up(4))?;
    let hub = Address::Unix(fleet.socket().to_string_lossy().into_owned());
    let mut status = Asker::status(&hub)?;
    let (question, answer) = status.sizes()?;
    let dir = PrivateDir::new();
    let socket = dir.at("echo").to_string_lossy().into_owned();
    let sizes = [question, answer].map(|n| n.to_string());
    let mut echo = Role::start("echo", &[&socket, &sizes[0], &sizes[1]])?;
    echo.line()?;
    let mut raw = Asker::raw(&Address::Unix(socket), question, answer)?;
    let redis = brokers.of(&[REDIS]).next();
    let mut redis = redis
        .map(|(_, server)| Asker::redis(&server.subscribers, answer))
        .transpose()?;
    let title = format!("`masterStatus`: {question} bytes there, {answer} back");
    let [half, nearly] = ["p50", "p99"].map(|p| format!("{title}: {p}"));
    let rate = format!("{title}: {} at once", ask::IN_FLIGHT);
    let mut board = Board::new(&[(&half, "µs"), (&nearly, "µs"), (&rate, "thousand/s")]);
    board.add("there and back", || turn(&mut raw));
    board.add(OURS, || turn(&mut status));
    if let Some(redis) = &mut redis {
        board.add(REDIS, || turn(redis));
    }
    let results = board.run(rounds);
    let p50 = results[0].round_ratio(OURS, "there and back");
    goals.add(
        "`masterStatus`: p50 beside bytes there and back",
        Bound::AtMost(1.5),
        p50,
    );
    let rate = results[2].round_ratio(OURS, REDIS);
    goals.add(
        "`masterStatus`, 64 at once: beside Redis GET",
        Bound::AtLeast(1.0),
        rate,
    );
    Ok(())
}

fn turn(asker: &mut Asker) -> Result<Vec<f64>, String> {
    let latency = asker.one_by_one(QUESTIONS)?;
    let rate = asker.many(MANY)?;
    Ok(vec![latency.p50, latency.p99, rate / 1e3])
}
