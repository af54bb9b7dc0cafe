//! One order for everybody: many publish, some of them over connections that are cut; many listen, over connections that
//! hold, that are cut, and that come and go.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, future::join_all};
use ostler_bus::{
    Bus, Delivery, Limits,
    client::{Disconnected, Payload, Subscription},
    hub::{Action, ControlTopics, HistoryRule, HubOptions, Rules, Topics},
};

use crate::cutting::{Bench, Cutting, eager, settle, within};

const PUBLISHERS: u32 = 6;
const EACH: u32 = 240;
/// By each publisher in turn: with a history, without one, in the control lane.
const TOPICS: [&str; 3] = ["kept.x", "plain.x", "urgent.x"];
const PATTERNS: [&str; 3] = ["kept.*", "plain.*", "urgent.*"];
const KEPT: usize = 0;
/// After everything else on each topic.
const LAST: &[u8] = b"last";

/// What came, by sequence number, and what was told as missed.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    events: Vec<(u64, Vec<u8>)>,
    missed: u64,
    again: u64,
}

impl Heard {
    fn take(&mut self, delivery: Delivery<Payload>) {
        match delivery {
            Delivery::Event(received) => match received.event {
                Payload::Bytes(bytes) => self.events.push((received.seq, bytes.to_vec())),
                other => panic!("{other:?}"),
            },
            Delivery::Lagged { missed } => panic!("{missed} lagged in a queue with room for all"),
            Delivery::Reconnected { missed } => {
                self.again += 1;
                self.missed += missed.expect("the hub knows this client");
            }
            other => panic!("{other:?}"),
        }
    }

    fn is_over(&self) -> bool {
        self.events.last().is_some_and(|(_, bytes)| bytes == LAST)
    }

    /// It heard what `all` did but for what it was told to have missed; in that order, under those numbers.
    fn agrees_with(&self, all: &Self, context: &str) {
        assert!(self.events.is_sorted_by(|a, b| a.0 < b.0), "{context}");
        let by_seq: BTreeMap<u64, &[u8]> = all.events.iter().map(|(n, b)| (*n, &b[..])).collect();
        for (seq, bytes) in &self.events {
            assert_eq!(by_seq.get(seq), Some(&&bytes[..]), "{context}: {seq}");
        }
        let told = self.events.len() as u64 + self.missed;
        assert_eq!(told, all.events.len() as u64, "{context}");
    }
}

/// Hears everything up to the end of its client.
async fn hear(mut events: Subscription<Payload>) -> Heard {
    let mut heard = Heard::default();
    loop {
        match within(events.next()).await.expect("an end is told") {
            Delivery::Disconnected(why) => {
                assert_eq!(why, Disconnected::Drained);
                return heard;
            }
            delivery => heard.take(delivery),
        }
    }
}

async fn listen(bus: &Bus) -> Vec<tokio::task::JoinHandle<Heard>> {
    let mut heard = Vec::new();
    for pattern in PATTERNS {
        let events = within(bus.subscription(pattern).raw()).await;
        heard.push(tokio::spawn(hear(events.expect("subscribed"))));
    }
    heard
}

/// Connections that come with the whole history, hear something, and go without a word; the last stays to the end.
async fn come_and_go(bench: &Bench, seed: u64) -> Vec<Heard> {
    let mut all = Vec::new();
    for visit in 1.. {
        let bus = bench.client().await;
        let events = within(bus.subscription("kept.*").history(1 << 20).raw()).await;
        let mut events = events.expect("subscribed");
        let mut heard = Heard::default();
        let enough = if visit < 8 {
            visit * 40 + seed as usize
        } else {
            usize::MAX
        };
        while heard.events.len() < enough && !heard.is_over() {
            heard.take(within(events.next()).await.expect("more"));
        }
        let is_over = heard.is_over();
        all.push(heard);
        if is_over {
            break;
        }
    }
    all
}

async fn publish(bus: &Bus, by: u32) {
    for n in 0..EACH {
        let topic = TOPICS[(n % 3) as usize];
        let payload = format!("{by}:{n}");
        let taken = within(bus.bytes(topic, payload.as_bytes()).acked()).await;
        taken.unwrap_or_else(|e| panic!("{by}: {e}"));
    }
}

fn options() -> HubOptions {
    HubOptions {
        name: "bench".into(),
        limits: Limits {
            control_frames: 1 << 16,
            ..Limits::default()
        },
        rules: Rules {
            control_lane: vec![ControlTopics {
                action: Action::Emit,
                topics: vec![Topics::matching("urgent.*")],
            }],
            ..Rules::allow_all()
        },
        history: vec![HistoryRule::last("kept.*", 1 << 20)],
        builtins: Vec::new(),
    }
}

#[tokio::test]
async fn everybody_hears_one_order() {
    let bench = Bench::with(options());
    let calm = [bench.client().await, bench.client().await];
    let mut steady = Vec::new();
    for bus in &calm {
        steady.push(listen(bus).await);
    }
    // Half of those who publish, and all of these who listen, are cut off again and again.
    let ways = |from: u64, n: u64, most: u64| {
        let way = |seed: u64| Cutting::new(bench.way(), seed * 7919, most);
        (from..from + n).map(way).collect::<Vec<_>>()
    };
    let (talking, listening) = (ways(1, 3, 3_000), ways(100, 5, 9_000));
    let mut publishers = Vec::new();
    for way in &talking {
        let bus = within(Bus::connect(way.clone(), eager())).await;
        publishers.push(bus.expect("welcome"));
        publishers.push(bench.client().await);
    }
    assert_eq!(publishers.len() as u32, PUBLISHERS);
    let mut frail = Vec::new();
    for way in &listening {
        let bus = within(Bus::connect(way.clone(), eager())).await;
        let bus = bus.expect("welcome");
        let heard = listen(&bus).await;
        frail.push((bus, heard));
    }
    let talk = async {
        join_all(publishers.iter().zip(0..).map(|(bus, by)| publish(bus, by))).await;
        for way in talking.iter().chain(&listening) {
            way.mend();
        }
        for (bus, _) in &frail {
            settle(bus).await;
        }
        for topic in TOPICS {
            let taken = within(calm[0].bytes(topic, LAST).acked()).await;
            taken.expect("taken");
        }
    };
    let visitors = join_all((0..3).map(|seed| come_and_go(&bench, seed)));
    let ((), visitors) = futures::join!(talk, visitors);
    for bus in &calm {
        within(bus.drain(Duration::from_secs(20)))
            .await
            .expect("drained");
    }
    let mut all: Vec<Vec<Heard>> = Vec::new();
    for heard in steady {
        let heard = join_all(heard).await.into_iter().map(Result::unwrap);
        all.push(heard.collect());
    }
    assert_eq!(all[0], all[1], "two who were never cut off");
    let all = &all[0];
    let each = u64::from(PUBLISHERS * EACH / 3) + 1;
    for heard in all {
        assert_eq!((heard.events.len() as u64, heard.missed), (each, 0));
    }
    let mut again = 0;
    for (at, (bus, heard)) in frail.into_iter().enumerate() {
        within(bus.drain(Duration::from_secs(20)))
            .await
            .expect("drained");
        for (topic, heard) in heard.into_iter().enumerate() {
            let heard = within(heard).await.expect("no panic");
            heard.agrees_with(&all[topic], &format!("{at}, {}", TOPICS[topic]));
            // Its history reaches back to the beginning.
            assert!(topic != KEPT || heard.missed == 0, "{}", heard.missed);
            again += heard.again;
        }
    }
    assert!(again > 30, "they came back {again} times");
    for heard in visitors.into_iter().flatten() {
        let part = &all[KEPT].events[..heard.events.len()];
        assert_eq!(heard.events, part, "from the first on, nothing left out");
    }
}
