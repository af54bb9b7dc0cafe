//! The control lane: ahead of data, counted by itself, conflated, and never filled by one to the harm of another.

use super::support::*;
use crate::{
    Limits, Topic,
    hub::{Action, ControlTopics, Principal, Rules, Topics},
    wire::{
        control::{CloseKind, HubOp},
        data::Payload,
        flags,
    },
};

fn rules() -> Rules {
    Rules {
        control_lane: vec![
            ControlTopics {
                action: Action::Emit,
                topics: vec![Topics::matching("urgent.>")],
            },
            ControlTopics {
                action: Action::Request,
                topics: vec![Topics::matching("command.>")],
            },
        ],
        conflate: Some(by_first_byte),
        ..Rules::allow_all()
    }
}

fn by_first_byte(
    topic: &Topic,
    _: &crate::Origin,
    kind: Payload,
    payload: &[u8],
) -> Option<Vec<u8>> {
    assert_eq!(kind, Payload::Bytes);
    (topic.as_str() == "urgent.trigger").then(|| payload[..1].to_vec())
}

fn world() -> World {
    let limits = Limits {
        control_frames: 20,
        ..Limits::default()
    };
    World::with(options(limits, rules()))
}

#[test]
fn the_control_lane_overtakes_data_and_counts_by_itself() {
    let mut w = world();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "*");
    for n in 0..5_u8 {
        w.send(a, &emit("data", &[n]));
    }
    w.send(a, &emit("urgent.x", b"!"));
    w.send(a, &emit("data", &[5]));
    w.send(a, &emit("urgent.x", b"?"));
    let got: Vec<_> = w
        .events(b)
        .into_iter()
        .map(|e| (e.flags & flags::CONTROL_LANE != 0, e.seq))
        .collect();
    let data = (1..=6).map(|n| (false, n));
    let want: Vec<_> = [(true, 1), (true, 2)].into_iter().chain(data).collect();
    assert_eq!(got, want);
}

#[test]
fn an_unheard_trigger_is_replaced_by_a_later_one_of_the_same_name() {
    let mut w = world();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    w.subscribe(b, 1, "urgent.>");
    w.send(a, &emit("urgent.trigger", b"x1"));
    w.send(a, &emit("urgent.trigger", b"y1"));
    w.send(c, &emit("urgent.trigger", b"x2"));
    w.send(c, &emit("urgent.other", b"x3"));
    w.send(a, &emit("urgent.other", b"x4"));
    let heard: Vec<_> = w.events(b).into_iter().map(|e| e.payload).collect();
    assert_eq!(heard, [&b"y1"[..], b"x2", b"x3", b"x4"]);
    w.send(a, &emit("urgent.trigger", b"x5"));
    assert_eq!(w.events(b).len(), 1, "what was heard is not replaced");
}

#[test]
fn a_flood_of_triggers_fills_nothing() {
    let mut w = world();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "urgent.>");
    for _ in 0..1000 {
        w.send(a, &emit("urgent.trigger", b"x"));
    }
    assert!(!w.core.is_closing(a) && !w.core.is_closing(b));
    assert_eq!(w.events(b).len(), 1);
}

#[test]
fn whoever_floods_the_control_lane_is_disconnected_not_its_reader() {
    let mut w = world();
    let (flooder, modest) = (w.join(client("flooder")), w.join(client("modest")));
    let reader = w.join(Principal::Master);
    w.subscribe(reader, 1, "urgent.>");
    w.send(modest, &emit("urgent.x", b"modest"));
    let flood: Vec<u8> = (0..100).flat_map(|_| emit("urgent.x", b"flood")).collect();
    w.send(flooder, &flood);
    let (kind, reason) = w.closing(flooder).expect("the flooder goes");
    assert_eq!(kind, CloseKind::Limit);
    assert!(reason.contains("control frames"), "{reason}");
    assert!(!w.core.is_closing(reader) && !w.core.is_closing(modest));
    let heard = w.events(reader);
    assert!(heard.iter().any(|e| &e.payload[..] == b"modest"));
    assert!(heard.len() <= 22, "{}", heard.len());
}

#[test]
fn a_flooder_that_comes_again_and_again_fills_no_more_than_one_that_stays() {
    let mut w = world();
    let master = w.join(Principal::Master);
    w.subscribe(master, 1, "urgent.>");
    for _ in 0..20 {
        let flooder = w.join(client("flooder"));
        let flood: Vec<u8> = (0..20).flat_map(|_| emit("urgent.x", b"flood")).collect();
        w.send(flooder, &flood);
        w.leave(flooder);
    }
    let modest = w.join(client("modest"));
    w.send(modest, &emit("urgent.x", b"modest"));
    assert!(!w.core.is_closing(modest));
    let heard = w.events(master);
    assert!(heard.len() <= 20, "{}", heard.len());
    assert!(heard.iter().any(|e| &e.payload[..] == b"modest"));
}

#[test]
fn a_reader_that_nobody_floods_but_never_reads_goes_itself() {
    let mut w = world();
    let senders: Vec<u64> = (0..4).map(|n| w.join(client(&n.to_string()))).collect();
    let reader = w.join(client("reader"));
    w.subscribe(reader, 1, "urgent.>");
    for n in 0..21 {
        w.send(senders[n % 4], &emit("urgent.x", b""));
    }
    let (kind, _) = w.closing(reader).expect("the reader goes");
    assert_eq!(kind, CloseKind::Limit);
    assert!(senders.iter().all(|s| !w.core.is_closing(*s)));
}

#[test]
fn the_master_is_never_disconnected_for_it() {
    let mut w = world();
    let (master, worker) = (w.join(Principal::Master), w.join(client("stopped")));
    w.subscribe(worker, 1, "urgent.>");
    w.subscribe(master, 1, "urgent.>");
    for _ in 0..100 {
        w.send(master, &emit("urgent.x", b""));
    }
    assert!(!w.core.is_closing(master));
    assert!(w.closing(worker).is_some(), "who doesn't read goes");
    assert_eq!(w.events(master).len(), 20);
}

#[test]
fn requests_of_the_control_lane_and_their_answers_overtake_data() {
    let mut w = world();
    let (asker, master) = (w.join(client("asker")), w.join(Principal::Master));
    w.serve(master, 1, "command.>");
    w.subscribe(master, 2, "data");
    w.subscribe(asker, 2, "data");
    w.send(asker, &emit("data", b"1"));
    w.send(
        asker,
        &request(7, Payload::Bytes, "command.go", u32::MAX, b"?"),
    );
    let got = w.take(master);
    let call = got.iter().find_map(|g| match g {
        Got::Call { call, .. } => Some(*call),
        _ => None,
    });
    let place = |got: &[Got], want: fn(&Got) -> bool| got.iter().position(want);
    let is_call = |g: &Got| matches!(g, Got::Call { .. });
    let is_event = |g: &Got| matches!(g, Got::Event(_));
    assert!(place(&got, is_call) < place(&got, is_event), "{got:?}");
    w.send(master, &reply(call.unwrap(), Payload::Bytes, b"!"));
    let got = w.take(asker);
    let is_answer = |g: &Got| matches!(g, Got::Answer { r#ref: 7, .. });
    assert!(place(&got, is_answer).is_some());
    assert!(place(&got, is_answer) < place(&got, is_event), "{got:?}");
    assert!(
        !got.iter()
            .any(|g| matches!(g, Got::Control(_, HubOp::Refused(_))))
    );
}
