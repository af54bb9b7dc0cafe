//! Acknowledged events: kept until the hub has answered, sent again if it hasn't.

use std::{ops::Range, time::Duration};

use futures::{FutureExt, future::join_all};
use ostler_bus::{
    Bus,
    client::EmitError,
    wire::{
        control::{ClientOp, RefusalKind},
        flags,
    },
};

use crate::scripted::{Hub, LIVELY, Said, eager, returning, within};

/// The next event: its reference, if it is a reliable one, and its payload.
async fn emitted(hub: &mut Hub) -> (Option<u64>, String) {
    match hub.heard().await {
        Some(Said::Emit {
            flags,
            ack,
            payload,
            ..
        }) => {
            let reliable = flags & flags::RELIABLE != 0;
            assert!(!reliable || flags & flags::ACK != 0);
            let text = String::from_utf8(payload.to_vec()).expect("text");
            (ack.filter(|_| reliable), text)
        }
        other => panic!("expected an event, heard {other:?}"),
    }
}

/// Emits numbers as acknowledged events, one after the other; each future begins when it is first polled.
async fn emit_all(bus: &Bus, numbers: Range<u32>) -> Vec<Result<u64, EmitError>> {
    let emit = |n: u32| async move { bus.bytes("a", n.to_string().as_bytes()).acked().await };
    join_all(numbers.map(emit)).await
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_in_order_before_anything_newer() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let all = tokio::spawn({
        let bus = bus.clone();
        async move { emit_all(&bus, 0..4).await }
    });
    let mut refs = Vec::new();
    for n in 0..4 {
        let (r#ref, text) = emitted(&mut hub).await;
        assert_eq!(text, n.to_string());
        refs.push(r#ref.expect("a reliable one"));
    }
    assert!(refs.is_sorted_by(|a, b| a < b), "{refs:?}");
    // The third is answered, the others may have been taken.
    hub.done(refs[2], 5).await;
    let plain = bus.bytes("a", b"plain").send();
    within(plain).await.expect("emitted");
    assert_eq!(emitted(&mut hub).await, (None, "plain".into()));
    drop(hub);
    let mut state = bus.state();
    let lost = |s: &ostler_bus::client::ConnectionState| {
        matches!(s, ostler_bus::client::ConnectionState::Reconnecting { .. })
    };
    within(state.wait_for(lost)).await.expect("a state");
    bus.bytes("a", b"later").send().await.expect("it waits");
    let mut last = Box::pin(bus.bytes("a", b"last").acked());
    assert!(last.as_mut().now_or_never().is_none());

    let (mut hub, _) = door.welcome(LIVELY).await;
    for n in [0, 1, 3] {
        assert_eq!(emitted(&mut hub).await, (Some(refs[n]), n.to_string()));
    }
    // What waited goes in its own order, and nothing twice.
    assert_eq!(emitted(&mut hub).await, (None, "later".into()));
    let (newest, text) = emitted(&mut hub).await;
    assert_eq!(text, "last");
    assert!(newest > Some(refs[3]), "references go on");
    for (n, count) in [(1, 1), (3, 3), (0, 0)] {
        hub.done(refs[n], count).await;
    }
    hub.refuse(newest.expect("reliable"), RefusalKind::Limit, "too many")
        .await;
    let all = within(all).await.expect("no panic");
    assert_eq!(all, [Ok(0), Ok(1), Ok(5), Ok(3)]);
    let refused = within(last).await;
    assert!(
        matches!(refused, Err(EmitError::Refused { .. })),
        "{refused:?}"
    );
    // What was refused is settled too.
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    bus.bytes("b", b"new").send().await.expect("emitted");
    assert_eq!(emitted(&mut hub).await.1, "new");
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_is_still_under_way() {
    let mut options = eager();
    options.answer_timeout = Duration::from_millis(10);
    let (bus, mut hub, mut door) = returning(options).await;
    let unanswered = bus.bytes("a", b"x").acked().await;
    assert!(
        matches!(unanswered, Err(EmitError::Unanswered { .. })),
        "{unanswered:?}"
    );
    let first = emitted(&mut hub).await;
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    assert_eq!(emitted(&mut hub).await, first);
}

#[tokio::test]
async fn over_a_thousand_and_some_under_way_further_ones_wait() {
    let (bus, mut hub, _door) = returning(eager()).await;
    let all = tokio::spawn({
        let bus = bus.clone();
        async move { emit_all(&bus, 0..1025).await }
    });
    let mut refs = Vec::new();
    for _ in 0..1024 {
        refs.push(emitted(&mut hub).await.0.expect("reliable"));
    }
    // Others are not held up.
    bus.bytes("a", b"plain").send().await.expect("emitted");
    assert_eq!(emitted(&mut hub).await.1, "plain");
    hub.done(refs[500], 0).await;
    let last = emitted(&mut hub).await;
    assert_eq!(last.1, "1024");
    for r#ref in refs.into_iter().chain(last.0) {
        hub.done(r#ref, 0).await;
    }
    let all = within(all).await.expect("no panic");
    assert!(all.iter().all(Result::is_ok));
}

#[tokio::test]
async fn when_it_is_over_it_is_said() {
    let (bus, mut hub, door) = returning(eager()).await;
    let acked = tokio::spawn({
        let bus = bus.clone();
        async move { bus.bytes("a", b"x").acked().await }
    });
    emitted(&mut hub).await;
    drop((hub, door));
    let drained = bus.drain(Duration::from_millis(20)).await;
    drained.expect_err("there is no hub");
    let lost = within(acked).await.expect("no panic");
    assert!(matches!(lost, Err(EmitError::Disconnected(_))), "{lost:?}");
}

#[tokio::test]
async fn typed_ones_keep_their_types_over_connections() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let order = crate::scripted::order(1);
    let mut emitting = Box::pin(bus.emit_acked(&order));
    assert!(emitting.as_mut().now_or_never().is_none());
    let (_, announce) = hub.op().await;
    let Some(first @ Said::Emit { .. }) = hub.heard().await else {
        panic!("an event");
    };
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    let (_, again) = hub.op().await;
    assert!(matches!(again, ClientOp::Announce { .. }));
    assert_eq!(again, announce);
    assert_eq!(hub.heard().await, Some(first));
}
