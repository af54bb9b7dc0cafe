//! Whether some cost others something: a client that needs conversion, a subscriber that takes nothing.

use ostler_bus::wire::control::OverflowPolicy;
use ostler_tests::bench::peers::{
    conduct::{self, Part, Party},
    goals::{Bound, Goals},
    line::Address,
};

use crate::{board::Board, brokers::Brokers};

/// Events of a turn with a typed publisher: about a second, so that what conversion may save up is a small part of it.
const TYPED: u64 = 4_000_000;

/// Events of a turn with fifteen readers.
const WIDE: u64 = 800_000;

/// Typed events to four minimal readers, while somebody else listens as well.
fn typed(brokers: &Brokers, beside: Option<&str>) -> Result<Vec<f64>, String> {
    let server = brokers.hub();
    let to = server.subscribers.to_string();
    let [count, step] = [TYPED, 4096].map(|n| n.to_string());
    let mut parties = Vec::new();
    for _ in 0..4 {
        let args = ["ostler", &to, "64", &count, &step];
        parties.push(Party::start(Part::Reads, "read", &args)?);
    }
    if let Some(codec) = beside {
        parties.push(Party::start(Part::Bystands, "listen", &[&to, codec])?);
    }
    parties.push(Party::start(Part::Publishes, "emit", &[&to, &count])?);
    let outcome = conduct::run(parties, server.process, TYPED, conduct::window(64))?;
    let millions = outcome.deliveries_per_second / 1e6;
    Ok(vec![millions, outcome.cpu_nanos_per_delivery])
}

/// A JSON client on a typed topic, beside a client that takes events as they are.
pub(crate) fn json(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    let title = "1 → 4, typed, and one that hears them as well";
    let mut board = Board::new(&[
        (title, "M deliveries/s to the four"),
        ("The same: hub's processor time for one of these", "ns"),
    ]);
    const PLAIN: &str = "as they are";
    const JSON: &str = "as JSON";
    board.add("nobody", || typed(brokers, None));
    board.add(PLAIN, || typed(brokers, Some("postcard")));
    board.add(JSON, || typed(brokers, Some("json")));
    let results = board.run(rounds);
    let beside = results[0].round_ratio(JSON, PLAIN);
    goals.add(
        "typed clients' rate with a JSON client beside a plain one",
        Bound::AtLeast(0.95),
        beside,
    );
    Ok(())
}

/// Sixteen subscribers: fifteen for whom the publisher waits, and one who reads as it comes, or takes nothing.
fn wide(
    to: &Address,
    brokers: &Brokers,
    stalled: Option<OverflowPolicy>,
) -> Result<Vec<f64>, String> {
    let to = to.to_string();
    let [count, step] = [WIDE, 4096].map(|n| n.to_string());
    let args = ["ostler", &to, "64", &count, &step];
    let mut parties = Vec::new();
    for _ in 0..15 {
        parties.push(Party::start(Part::Reads, "read", &args)?);
    }
    parties.push(match stalled {
        Some(policy) => {
            let policy = serde_json::to_string(&policy).map_err(|e| e.to_string())?;
            Party::start(Part::Bystands, "stall", &[&to, &policy])?
        }
        None => Party::start(Part::Bystands, "listen", &[&to, "postcard"])?,
    });
    parties.push(Party::start(Part::Publishes, "publish", &args)?);
    let outcome = conduct::run(parties, brokers.hub().process, WIDE, conduct::window(64))?;
    Ok(vec![
        outcome.deliveries_per_second / 1e6,
        outcome.lost as f64,
    ])
}

/// The policies under which somebody who takes nothing must cost the others nothing.
const POLICIES: [(&str, OverflowPolicy); 4] = [
    ("DropOldest", OverflowPolicy::DropOldest),
    ("DropNewest", OverflowPolicy::DropNewest),
    ("KeepLatest", OverflowPolicy::KeepLatest),
    ("Disconnect", OverflowPolicy::Disconnect),
];

/// A stalled subscriber among sixteen.
pub(crate) fn stalled(brokers: &Brokers, rounds: usize, goals: &mut Goals) -> Result<(), String> {
    let title = "1 → 16, 64 bytes, of whom one takes nothing";
    let mut board = Board::new(&[
        (title, "M deliveries/s to the 15"),
        ("The same: lost", "events"),
    ]);
    const NOBODY: &str = "all sixteen read";
    let to = &brokers.hub().subscribers;
    board.add(NOBODY, move || wide(to, brokers, None));
    for (name, policy) in POLICIES {
        board.add(name, move || wide(to, brokers, Some(policy)));
    }
    let results = board.run(rounds);
    for (name, _) in POLICIES {
        let kept = results[0].round_ratio(name, NOBODY);
        let what = format!("a stalled subscriber among 16, {name}: the others' rate");
        goals.add(&what, Bound::AtLeast(0.95), kept);
    }
    Ok(())
}
