//! Connections cut at any byte: nothing that was acknowledged is lost, taken twice, or out of order.

use std::collections::HashMap;

use bytes::BytesMut;
use ostler_bus::{
    Bus,
    wire::{
        FrameType,
        codec::{decode, encode},
        control::{ClientControl, ClientOp, HubControl, HubOp},
        data, flags, frame,
        hello::Codec,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::scripted::{Again, Door, LIVELY, eager, within};

const EMITTERS: u64 = 4;
const EACH: u64 = 400;

/// Numbers that look random, and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % (most + 1)
    }
}

/// A hub that keeps to what the protocol says of reliable events, and whose connections don't last.
#[derive(Default)]
struct Frail {
    /// Per client: the last reference taken.
    last: HashMap<String, u64>,
    taken: Vec<Vec<u8>>,
    connections: u32,
}

impl Frail {
    /// One connection, which ends after so many bytes either way.
    async fn serve(&mut self, door: &mut Door, dice: &mut Dice) {
        let mut hub = door.arrival().await;
        let hello = hub.hello().await;
        let instance = hello.instance.expect("an identity");
        hub.frame(FrameType::Welcome, 0, LIVELY.as_bytes()).await;
        self.connections += 1;
        let (mut stream, mut received) = hub.into_parts();
        let mut budget = dice.up_to(6000);
        let mut answers = BytesMut::new();
        while budget > 0 {
            let most = usize::try_from(budget.min(1 + dice.up_to(700))).expect("small");
            let mut piece = vec![0; most];
            match within(stream.read(&mut piece)).await {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    received.extend_from_slice(&piece[..n]);
                    budget -= n as u64;
                }
            }
            while let Some(whole) = frame::take(&mut received, 1 << 20).expect("whole frames") {
                if let Some(r#ref) = self.take(&instance, whole.kind, whole.flags, &whole.body) {
                    let op = HubOp::Done { count: 1 };
                    let done = encode(Codec::Postcard, &HubControl { r#ref, op }).expect("encodes");
                    frame::put(&mut answers, FrameType::Control, 0, &done);
                }
            }
            // Of the last answers, too, only a part may arrive.
            let told = match budget {
                0 => usize::try_from(dice.up_to(answers.len() as u64)).expect("small"),
                _ => answers.len(),
            };
            if within(stream.write_all(&answers.split_to(told)))
                .await
                .is_err()
            {
                return;
            }
        }
    }

    fn take(&mut self, instance: &str, kind: u8, flag: u8, body: &[u8]) -> Option<u64> {
        if kind == FrameType::Control as u8 {
            let control: ClientControl = decode(Codec::Postcard, body).expect("a control message");
            return matches!(control.op, ClientOp::Announce { .. } | ClientOp::Drain)
                .then_some(control.r#ref);
        }
        let head = data::emit(body, flag).expect("an event");
        let r#ref = head.ack?;
        if flag & flags::RELIABLE != 0 {
            let last = self.last.entry(instance.to_owned()).or_default();
            if r#ref > *last {
                *last = r#ref;
                self.taken.push(body[head.payload_at..].to_vec());
            }
        }
        Some(r#ref)
    }
}

async fn nothing_lost_and_nothing_twice(seed: u64) {
    let mut dice = Dice(seed);
    let pipe = 1 + usize::try_from(dice.up_to(3000)).expect("small");
    let (way, mut door) = Again::way(pipe);
    let mut hub = Frail::default();
    let emitters = async {
        let bus = Bus::connect(way, eager()).await.expect("welcome");
        let emit = async |who: u64| {
            for n in 0..EACH {
                let text = format!("{who} {n}");
                let taken = bus.bytes("a", text.as_bytes()).acked().await;
                taken.unwrap_or_else(|e| panic!("seed {seed}: {text}: {e}"));
            }
        };
        futures::future::join_all((0..EMITTERS).map(emit)).await;
    };
    let mut emitters = Box::pin(emitters);
    loop {
        tokio::select! {
            _ = &mut emitters => break,
            () = hub.serve(&mut door, &mut dice) => {}
        }
    }
    assert!(
        hub.connections > 10,
        "seed {seed}: {} connections",
        hub.connections
    );
    for who in 0..EMITTERS {
        let mine = format!("{who} ");
        let got: Vec<_> = hub
            .taken
            .iter()
            .filter_map(|t| std::str::from_utf8(t).expect("text").strip_prefix(&mine))
            .collect();
        let want: Vec<_> = (0..EACH).map(|n| n.to_string()).collect();
        assert_eq!(got, want, "seed {seed}, emitter {who}");
    }
}

#[tokio::test]
async fn acknowledged_events_survive_any_cut() {
    for seed in [1, 0xBAD5EED, 77_777, u64::MAX / 3] {
        tokio::time::timeout(
            std::time::Duration::from_secs(60),
            nothing_lost_and_nothing_twice(seed),
        )
        .await
        .unwrap_or_else(|_| panic!("seed {seed}: it takes too long"));
    }
}
