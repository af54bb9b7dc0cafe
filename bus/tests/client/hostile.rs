//! A hub gone mad: whatever it sends, the client neither panics nor hangs, and everybody who waits is told.

use bytes::BytesMut;
use futures::StreamExt;
use ostler_bus::{
    Bus, Delivery,
    wire::{FrameType, data, frame},
};
use proptest::prelude::*;

use crate::scripted::{Hub, OrderCreated, PriceOf, emit_frame, order_frame, run_body, within};

/// Sends `bytes` to a client that subscribes, asks and serves; everything must come to its end.
fn survives(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(within(async {
        let (bus, mut hub) = Hub::start().await;
        let (subscription, sub) = tokio::join!(
            bus.subscribe::<OrderCreated>(),
            hub.accept("orders.created")
        );
        assert_eq!(sub, 1, "what the frames below name");
        let (raw, _) = tokio::join!(bus.subscribe_raw(">"), hub.accept(">"));
        let (calls, _) = tokio::join!(bus.serve::<PriceOf>(), hub.accept("orders.price"));
        let (mut subscription, mut raw, mut calls) = (
            subscription.expect("accepted"),
            raw.expect("accepted"),
            calls.expect("accepted"),
        );
        hub.introduce_orders().await;
        let asking = bus.clone();
        let request = tokio::spawn(async move { asking.request(&PriceOf { id: 1 }).await });
        hub.bytes(bytes).await;
        drop(hub);
        assert!(request.await.expect("no panic").is_err());
        assert!(ends(&mut subscription).await);
        while let Some(delivery) = raw.next().await {
            if let Delivery::Event(event) = delivery {
                let _ = event.event.to_json();
            }
        }
        while calls.next().await.is_some() {}
        gone(&bus).await;
    }));
}

async fn ends(subscription: &mut ostler_bus::client::Subscription<OrderCreated>) -> bool {
    let mut last = None;
    while let Some(delivery) = subscription.next().await {
        last = Some(delivery);
    }
    matches!(last, Some(Delivery::Disconnected(_)))
}

async fn gone(bus: &Bus) {
    bus.closed().await;
    assert!(bus.emit_json("a", &1).await.is_err());
}

fn framed(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put(&mut out, FrameType::Control, flags, body);
    out[4] = kind;
    out.to_vec()
}

/// Frames that look right from outside: known types, runs of known publishers for known subscriptions, damaged within.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![0x01_u8, 0x02, 0x03, 0x10, 0x20, 0x21, 0x22, 0x7f]);
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (
            0_u32..4,
            any::<u64>(),
            prop::collection::vec((0_u32..3, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
        )
            .prop_map(|(sub, seq, events)| {
                let frames: Vec<_> = events
                    .iter()
                    .map(|(ty, payload)| emit_frame(data::Payload::Postcard(*ty), "", payload))
                    .collect();
                run_body(sub, seq, &frames).to_vec()
            }),
        (prop::collection::vec(any::<u8>(), 0..3), 0_usize..60).prop_map(|(noise, cut)| {
            let mut body = run_body(1, 1, &[order_frame(1), order_frame(2)]).to_vec();
            for (i, byte) in noise.iter().enumerate() {
                let at = (usize::from(*byte) * 7 + i) % body.len();
                body[at] ^= byte;
            }
            body.truncate(body.len().saturating_sub(cut));
            body
        }),
        // Control messages: an operation, a reference and a few numbers.
        (0_u8..10, prop::collection::vec(0_u8..9, 0..24)).prop_map(|(op, rest)| [
            vec![1, op],
            rest
        ]
        .concat()),
    ];
    (kind, prop::sample::select(vec![0_u8, 1, 2, 0x20]), body)
        .prop_map(|(k, f, b)| framed(k, f, &b))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, fork: false, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        survives(&bytes);
    }

    #[test]
    fn random_frames(frames in prop::collection::vec(plausible(), 0..20)) {
        survives(&frames.concat());
    }
}
