//! Bytes from a peer never make the hub panic, hang or grow, and never harm another connection.

use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::{
    Limits,
    hub::{Role, Rules, core::Door},
    wire::{
        control::ClientOp,
        data::{Payload, READERS_TYPE},
        flags,
        hello::Codec,
    },
};

/// A valid conversation with something of everything.
fn conversation(codec: Codec) -> Vec<Vec<u8>> {
    let decline = ClientOp::Decline {
        call: 1,
        reason: "no".into(),
    };
    let ask = |op| control(codec, 9, op);
    vec![
        hello(codec),
        ask(announce::<(u32, Option<String>)>(0, "typed")),
        ask(subscribe(1, "*")),
        ask(subscribe_typed::<(u32, Option<String>)>(2, "typed")),
        ask(serve(3, "q.>")),
        emit("t", b"payload"),
        emit_with(
            flags::ACK | flags::RETAIN,
            Payload::Json,
            "typed",
            Some(4),
            b"[1, null]",
        ),
        emit_with(0, Payload::Postcard(0), "", None, &[5, 0]),
        request(6, Payload::Json, "q.x", READERS_TYPE, b"1"),
        reply(1, Payload::Json, b"2"),
        raw(
            0x10,
            0,
            br#"{"topic": "t", "payload": {"a": [1, 2]}, "ref": 8}"#,
        ),
        raw(0x11, 0, br#"{"ref": 2, "topic": "q.y", "payload": "x"}"#),
        ask(decline),
        ask(ClientOp::Unsubscribe { sub: 1 }),
        ask(ClientOp::Drain),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Byte(usize, u8),
    Cut(usize),
    Repeat(usize),
    Swap(usize, usize),
    Insert(usize, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (any::<usize>(), any::<u8>()).prop_map(|(at, b)| Change::Byte(at, b)),
        1 => any::<usize>().prop_map(Change::Cut),
        2 => any::<usize>().prop_map(Change::Repeat),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => (any::<usize>(), vec(any::<u8>(), 0..20)).prop_map(|(at, b)| Change::Insert(at, b)),
    ]
}

fn changed(mut frames: Vec<Vec<u8>>, changes: &[Change]) -> Vec<u8> {
    let count = frames.len();
    for change in changes {
        match change {
            Change::Repeat(at) => frames.push(frames[at % count].clone()),
            Change::Swap(a, b) => frames.swap(a % count, b % count),
            Change::Byte(..) | Change::Cut(_) | Change::Insert(..) => {}
        }
    }
    let mut bytes = frames.concat();
    for change in changes {
        let length = bytes.len();
        match change {
            Change::Byte(at, byte) => bytes[at % length] = *byte,
            Change::Cut(at) => bytes.truncate((at % length).max(1)),
            Change::Insert(at, more) => {
                let at = at % length;
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Repeat(_) | Change::Swap(..) => {}
        }
    }
    bytes
}

/// Lets `bytes` at a hub in pieces, beside a connection that must not notice.
fn throw(bytes: &[u8], piece: usize, greeted: Option<Codec>) {
    let limits = Limits {
        memory_bytes: 256 << 10,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let witness = w.join(client("witness"));
    w.subscribe(witness, 1, "witness");
    let peer = match greeted {
        Some(codec) => w.join_as(client("peer"), codec),
        None => w.connect(Door::Path(crate::hub::Admission {
            most: Role::Operator,
        })),
    };
    let mut buffer: Vec<u8> = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend(piece);
        let taken = w.send_some(peer, &buffer);
        buffer.drain(..taken);
        assert!(w.core.tally.total() <= 300 << 10);
    }
    w.take(peer);
    w.take(witness);
    assert!(!w.core.is_closing(witness));
    w.send(witness, &emit("witness", b"still here"));
    let heard = w.events(witness);
    assert_eq!(
        heard.last().map(|e| &e.payload[..]),
        Some(&b"still here"[..])
    );
    w.pass(std::time::Duration::from_secs(3600));
    w.leave(peer);
    assert_eq!(w.core.next_deadline(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..600), piece in 1..600_usize, greeted in 0..3) {
        throw(&bytes, piece, [None, Some(Codec::Postcard), Some(Codec::Json)][greeted as usize]);
    }

    #[test]
    fn random_frames(
        frames in vec((any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..60)), 0..30),
        piece in 1..600_usize,
        json: bool,
    ) {
        let kinds = [0x03, 0x10, 0x11, 0x12, 0x20, 0x01, 0x7f];
        let bytes: Vec<u8> = frames
            .iter()
            .flat_map(|(k, f, b)| raw(kinds[*k as usize % kinds.len()], *f, b))
            .collect();
        throw(&bytes, piece, Some(if json { Codec::Json } else { Codec::Postcard }));
    }

    #[test]
    fn changed_conversations(
        changes in vec(change(), 0..8),
        piece in 1..2000_usize,
        json: bool,
    ) {
        let codec = if json { Codec::Json } else { Codec::Postcard };
        throw(&changed(conversation(codec), &changes), piece, None);
    }
}
