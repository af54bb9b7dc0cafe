//! Deliveries a second, and the broker's processor time for each.

use ostler_tests::{
    bench::{
        Results,
        fleet::Process,
        peers::{
            conduct::{self, Outcome, Part, Party},
            goals::{Bound, Goals},
            line::Address,
            node,
            server::Server,
            wire::Wire,
        },
        roles::Role,
    },
    harness::PrivateDir,
};

use crate::{
    board::{Board, better},
    brokers::{Brokers, DBUS, MOSQUITTO, NATS, NODE, OTHER, OURS, REDIS, RELAY, ZEROMQ},
};

/// Ours, published by the client's `emit`; and read by its typed subscription.
const CLIENT: &str = "Ostler, client `emit`";
const CLIENTS: &str = "Ostler, client `emit` and typed subscription";
const NATS_CLIENT: &str = "NATS, `async-nats` publish";
const NATS_CLIENTS: &str = "NATS, `async-nats` publish and subscribe";

/// About how many deliveries a second each makes on a small machine: a turn is to take a third of a second.
const PACE: [(&str, f64); 13] = [
    (RELAY, 30e6),
    (OURS, 20e6),
    (OTHER, 20e6),
    (CLIENT, 12e6),
    (CLIENTS, 6e6),
    (NATS, 3.5e6),
    (NATS_CLIENT, 2.5e6),
    (NATS_CLIENTS, 1.5e6),
    (REDIS, 3e6),
    (MOSQUITTO, 0.6e6),
    (ZEROMQ, 3e6),
    (DBUS, 0.1e6),
    (NODE, 0.1e6),
];

/// The seconds a turn is to take.
const TURN: f64 = 0.35;

/// Who publishes, who reads, and how much.
#[derive(Clone, Copy)]
struct Load {
    readers: usize,
    payload: usize,
}

impl Load {
    fn events(self, name: &str) -> u64 {
        let pace = PACE.iter().find(|(known, _)| *known == name);
        let pace = pace.map_or(1e6, |(_, pace)| *pace) * TURN;
        // A kilobyte takes a few times as long.
        let pace = if self.payload > 256 { pace / 4.0 } else { pace };
        (pace / self.readers as f64) as u64
    }

    fn step(self) -> u64 {
        conduct::window(self.payload) / 8
    }
}

fn figures(outcome: Outcome) -> Vec<f64> {
    let millions = outcome.deliveries_per_second / 1e6;
    vec![
        millions,
        outcome.cpu_nanos_per_delivery,
        outcome.lost as f64,
    ]
}

/// One publisher, `load.readers` readers, all minimal clients.
pub(crate) fn fan_out(
    server: &Server,
    readers: usize,
    payload: usize,
    events: u64,
) -> Result<Outcome, String> {
    let load = Load { readers, payload };
    run(
        server.process,
        server.wire,
        (&server.publishers, &server.subscribers),
        load,
        events,
    )
}

fn run(
    process: Process,
    wire: Wire,
    (from, to): (&Address, &Address),
    load: Load,
    events: u64,
) -> Result<Outcome, String> {
    let (from, to) = (from.to_string(), to.to_string());
    let [payload, count, step] = [load.payload as u64, events, load.step()].map(|n| n.to_string());
    let mut parties = Vec::new();
    for _ in 0..load.readers {
        let args = [wire.name(), &to, &payload, &count, &step];
        parties.push(Party::start(Part::Reads, "read", &args)?);
    }
    let args = [wire.name(), &from, &payload, &count, &step];
    parties.push(Party::start(Part::Publishes, "publish", &args)?);
    conduct::run(parties, process, events, conduct::window(load.payload))
}

/// The relay is started for each run: it ends with its publisher.
fn through_relay(load: Load, events: u64) -> Result<Outcome, String> {
    let dir = PrivateDir::new();
    let socket = dir.at("relay").to_string_lossy().into_owned();
    let mut relay = Role::start("relay", &[&socket, &load.readers.to_string()])?;
    relay.line()?;
    let address = Address::Unix(socket);
    run(
        Process(relay.id()),
        Wire::Raw,
        (&address, &address),
        load,
        events,
    )
}

/// Publisher and readers through a library, or the readers minimal.
fn through_library(
    server: &Server,
    publisher: &str,
    reader: Option<&str>,
    load: Load,
    events: u64,
) -> Result<Outcome, String> {
    let (from, to) = (
        server.publishers.to_string(),
        server.subscribers.to_string(),
    );
    let [payload, count, step] = [load.payload as u64, events, load.step()].map(|n| n.to_string());
    let path = to.trim_start_matches("unix:");
    let mut parties = Vec::new();
    for _ in 0..load.readers {
        let (role, args) = match reader {
            Some("typed") => ("reader", vec!["typed", path, &count]),
            Some(role) => (role, vec![&to[..], &count]),
            None => (
                "read",
                vec![server.wire.name(), &to, &payload, &count, &step],
            ),
        };
        parties.push(Party::start(Part::Reads, role, &args)?);
    }
    parties.push(Party::start(Part::Publishes, publisher, &[&from, &count])?);
    conduct::run(
        parties,
        server.process,
        events,
        conduct::window(load.payload),
    )
}

/// Everybody publishes, and everybody hears everybody.
fn all_to_all(server: &Server, members: usize, load: Load, events: u64) -> Result<Outcome, String> {
    if server.publishers != server.subscribers {
        return Err("publishers connect elsewhere".into());
    }
    let to = server.subscribers.to_string();
    let [payload, count, step, members_too] =
        [load.payload as u64, events, load.step(), members as u64].map(|n| n.to_string());
    let args = [
        server.wire.name(),
        &to,
        &payload,
        &count,
        &step,
        &members_too,
    ];
    let parties: Result<Vec<Party>, String> = (0..members)
        .map(|_| Party::start(Part::Both, "member", &args))
        .collect();
    conduct::run(
        parties?,
        server.process,
        events,
        conduct::window(load.payload),
    )
}

fn board<'a>(title: &str) -> Board<'a> {
    let cpu = format!("{title}: broker's processor time for one delivery");
    let lost = format!("{title}: lost");
    Board::new(&[(title, "M deliveries/s"), (&cpu, "ns"), (&lost, "events")])
}

/// All workloads.
pub(crate) fn measure(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    small(brokers, rounds, goals);
    for (readers, payload) in [(16, 64), (4, 1024), (16, 1024)] {
        fans(brokers, rounds, goals, Load { readers, payload });
    }
    everybody(brokers, rounds, goals);
    Ok(())
}

/// Adds relay and brokers.
fn add_fans<'a>(board: &mut Board<'a>, brokers: &'a Brokers, names: &'a [&str], load: Load) {
    board.add(RELAY, move || {
        through_relay(load, load.events(RELAY)).map(figures)
    });
    for (name, server) in brokers.of(names) {
        let events = load.events(name);
        board.add(name, move || {
            fan_out(server, load.readers, load.payload, events).map(figures)
        });
    }
}

/// 1 → 4 at 64 bytes: with everybody.
fn small(brokers: &Brokers, rounds: usize, goals: &mut Goals) {
    let load = Load {
        readers: 4,
        payload: 64,
    };
    let mut board = board("1 → 4, 64 bytes");
    let names = [OURS, OTHER, NATS, REDIS, MOSQUITTO, ZEROMQ, DBUS];
    add_fans(&mut board, brokers, &names, load);
    for (name, server) in brokers.of(&[OURS]) {
        debug_assert_eq!(name, OURS);
        board.add(CLIENT, move || {
            through_library(server, "emit", None, load, load.events(CLIENT)).map(figures)
        });
        board.add(CLIENTS, move || {
            through_library(server, "emit", Some("typed"), load, load.events(CLIENTS)).map(figures)
        });
    }
    if cfg!(feature = "async-nats") {
        for (_, server) in brokers.of(&[NATS]) {
            board.add(NATS_CLIENT, move || {
                let events = load.events(NATS_CLIENT);
                through_library(server, "nats-publish", None, load, events).map(figures)
            });
            board.add(NATS_CLIENTS, move || {
                let (events, reader) = (load.events(NATS_CLIENTS), Some("nats-subscribe"));
                through_library(server, "nats-publish", reader, load, events).map(figures)
            });
        }
    } else {
        eprintln!("left out: async-nats: build with --features async-nats");
    }
    board.add(NODE, move || {
        node::run(load.readers, load.events(NODE), load.payload).map(figures)
    });
    let results = board.run(rounds);
    let (rate, cpu) = (&results[0], &results[1]);
    against_better(
        goals,
        "1 → 4, 64 B: beside the better of NATS and Redis",
        rate,
        3.0,
    );
    let mut goal = |what: &str, bound, figure| goals.add(what, bound, figure);
    goal(
        "1 → 4, 64 B, client `emit`: beside `async-nats`",
        Bound::AtLeast(3.0),
        rate.round_ratio(CLIENT, NATS_CLIENT),
    );
    goal(
        "the same, read by the libraries too",
        Bound::AtLeast(3.0),
        rate.round_ratio(CLIENTS, NATS_CLIENTS),
    );
    goal(
        "1 → 4, 64 B: beside Node's cluster channel",
        Bound::AtLeast(100.0),
        rate.round_ratio(OURS, NODE),
    );
    goal(
        "hub's CPU per delivery beside NATS",
        Bound::AtMost(0.125),
        cpu.round_ratio(OURS, NATS),
    );
    goal(
        "hub's CPU per delivery beside Redis",
        Bound::AtMost(0.125),
        cpu.round_ratio(OURS, REDIS),
    );
    goal(
        "hub's CPU per delivery beside the raw relay",
        Bound::AtMost(1.75),
        cpu.round_ratio(OURS, RELAY),
    );
}

fn against_better(goals: &mut Goals, what: &str, rate: &Results, bound: f64) {
    let better = better(rate, [NATS, REDIS]);
    let figure = better.and_then(|better| rate.round_ratio(OURS, better));
    goals.add(what, Bound::AtLeast(bound), figure);
}

/// One to many.
fn fans(brokers: &Brokers, rounds: usize, goals: &mut Goals, load: Load) {
    let Load { readers, payload } = load;
    let title = format!("1 → {readers}, {payload} bytes");
    let mut board = board(&title);
    let names = [OURS, OTHER, NATS, REDIS, ZEROMQ];
    add_fans(&mut board, brokers, &names, load);
    let results = board.run(rounds);
    let rate = &results[0];
    let beside_relay = rate.round_ratio(OURS, RELAY);
    if payload < 1024 {
        let what = format!("{title}: beside the better of NATS and Redis");
        against_better(goals, &what, rate, 3.5);
        goals.add(
            &format!("{title}: beside the raw relay"),
            Bound::AtLeast(0.45),
            beside_relay,
        );
    } else {
        let beside_redis = rate.round_ratio(OURS, REDIS);
        goals.add(
            &format!("{title}: beside Redis"),
            Bound::AtLeast(2.0),
            beside_redis,
        );
        goals.add(
            &format!("{title}: beside the raw relay"),
            Bound::AtLeast(0.7),
            beside_relay,
        );
    }
}

/// Eight workers, all to all.
fn everybody(brokers: &Brokers, rounds: usize, goals: &mut Goals) {
    const MEMBERS: usize = 8;
    let load = Load {
        readers: MEMBERS,
        payload: 64,
    };
    let mut board = board("8 workers, all to all, 64 bytes");
    let names = [OURS, OTHER, NATS, REDIS];
    for (name, server) in brokers.of(&names) {
        let events = load.events(name) / MEMBERS as u64;
        board.add(name, move || {
            all_to_all(server, MEMBERS, load, events).map(figures)
        });
    }
    let results = board.run(rounds);
    let beside = results[0].round_ratio(OURS, NATS);
    goals.add(
        "8 workers, all to all: beside NATS",
        Bound::AtLeast(4.0),
        beside,
    );
}
