//! Connections: how fast they come, and what they hold.

use ostler_tests::bench::peers::{
    crowd::{connects, idle},
    goals::{Bound, Goals},
};

use crate::{
    board::Board,
    brokers::{Brokers, MOSQUITTO, NATS, OTHER, OURS, REDIS},
};

/// Connections of a turn.
const CONNECTS: usize = 2000;

/// Idle connections.
const CROWD: usize = 10_000;

/// Both.
pub(crate) fn measure(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    let mut board = Board::new(&[("Connections, one by one", "thousand/s")]);
    let names = [OURS, OTHER, MOSQUITTO, NATS];
    for (name, server) in brokers.of(&names) {
        board.add(name, move || Ok(vec![connects(server, CONNECTS)? / 1e3]));
    }
    let results = board.run(rounds);
    let beside = results[0].round_ratio(OURS, MOSQUITTO);
    goals.add("connects/s beside Mosquitto", Bound::AtLeast(1.5), beside);
    println!("**{CROWD} idle connections, one in ten with a subscription**\n");
    println!("| | resident before, MiB | KiB for each connection |\n|---|---:|---:|");
    for name in [OURS, MOSQUITTO, NATS, REDIS] {
        let Some(server) = brokers.another(name) else {
            continue;
        };
        match idle(&server, CROWD) {
            Ok(crowd) => {
                let (before, each) = (crowd.idle / 1048576.0, crowd.each / 1024.0);
                println!("| {name} | {before:.2} | {each:.2} |");
                if name == OURS {
                    goals.add("idle hub, MiB", Bound::AtMost(6.0), Some(before));
                    goals.add(
                        "KiB per idle connection, of 10,000",
                        Bound::AtMost(4.0),
                        Some(each),
                    );
                }
            }
            Err(why) => eprintln!("left out: {name}: {why}"),
        }
    }
    println!();
    Ok(())
}
