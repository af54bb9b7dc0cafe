//! Control messages.

use super::*;

#[test]
fn a_schema() {
    let golden = hex(ORDER_SCHEMA);
    assert_eq!(golden.len(), 27);
    let schema = TypeSchema::of::<OrderCreated>();
    assert_eq!(schema.encoded(), golden);
    assert_eq!(TypeSchema::decode(&golden).expect("a schema"), schema);
    let order = OrderCreated { id: 1, total: 9.5 };
    let payload = hex("01 0000000000002340");
    assert_eq!(postcard::to_stdvec(&order).expect("encodes"), payload);
    assert_eq!(
        postcard::from_bytes::<OrderCreated>(&payload).expect("decodes"),
        order
    );
}

#[test]
fn subscribe() {
    let plain = ClientOp::Subscribe {
        sub: 1,
        pattern: "orders.>".into(),
        reader: None,
        options: SubscribeOptions::default(),
    };
    client(
        1,
        plain,
        "00000017 03 00
         01 01                   ; reference, Subscribe
         01 08 6f72646572732e3e  ; sub, pattern
         00                      ; no reader
         00 00 00 00 00 00 00 00 ; options",
    );
    let full = ClientOp::Subscribe {
        sub: 300,
        pattern: "a".into(),
        reader: Some(vec![9]),
        options: SubscribeOptions {
            serve: true,
            max_messages: Some(300),
            max_bytes: Some(1),
            policy: OverflowPolicy::Backpressure { max_wait_ms: 300 },
            group: Some("g".into()),
            window: Some(300),
            resume: Some(Resume {
                sub: 1,
                since: 41,
                taken: 300,
            }),
            history: 2,
        },
    };
    client(
        2,
        full,
        "00000020 03 00
         02 01          ; reference, Subscribe
         ac02 01 61     ; sub, pattern
         01 01 09       ; a reader: one byte, U64
         01             ; serves
         01 ac02  01 01 ; bounds
         03 ac02        ; Backpressure, milliseconds
         01 01 67       ; the group \"g\"
         01 ac02        ; window
         01 01 29 ac02  ; resume: sub, since, taken
         02             ; history",
    );
}

#[test]
fn announce_and_the_other_asks() {
    let announce = ClientOp::Announce {
        index: 0,
        topic: "orders.created".into(),
        schema: hex(ORDER_SCHEMA),
    };
    let golden = "00000030 03 00
         02 00 00                        ; reference, Announce, index
         0e 6f72646572732e63726561746564 ; topic
         1b                              ; bytes of schema
        ";
    client(2, announce, &format!("{golden}{ORDER_SCHEMA}"));
    client(
        5,
        ClientOp::Unsubscribe { sub: 1 },
        "00000005 03 00  05 02 01",
    );
    let reason = "no".into();
    client(
        6,
        ClientOp::Decline { call: 9, reason },
        "00000008 03 00  06 03 09 02 6e6f",
    );
    client(7, ClientOp::Drain, "00000004 03 00  07 04");
    let took = ClientOp::Took { sub: 1, count: 300 };
    client(8, took, "00000007 03 00  08 05 01 ac02");
}

#[test]
fn answers() {
    hub(3, HubOp::Done { count: 1 }, "00000005 03 00  03 00 01");
    let refused = |kind| {
        let reason = "no".into();
        HubOp::Refused(Refusal { kind, reason })
    };
    hub(
        3,
        refused(RefusalKind::Denied),
        "00000008 03 00  03 01 00 02 6e6f",
    );
    let kinds = [
        RefusalKind::Denied,
        RefusalKind::BadTopic,
        RefusalKind::BadType,
        RefusalKind::Misfit,
        RefusalKind::Limit,
        RefusalKind::Malformed,
        RefusalKind::NoResponders,
        RefusalKind::TimedOut,
        RefusalKind::Declined,
    ];
    for (number, kind) in (0..).zip(kinds) {
        hub(
            0,
            refused(kind),
            &format!("00000008 03 00  00 01 {number:02} 02 6e6f"),
        );
    }
}

#[test]
fn what_the_hub_tells() {
    let origin = Origin::Client {
        name: "shop".into(),
        conn: 3,
    };
    hub(
        0,
        HubOp::OriginIs { conn: 3, origin },
        "0000000c 03 00  00 02 03  02 04 73686f70 03",
    );
    let origin = Origin::Master;
    hub(
        0,
        HubOp::OriginIs { conn: 1, origin },
        "00000006 03 00  00 02 01  00",
    );
    let origin = Origin::Worker {
        app: "web".into(),
        id: WorkerId(300),
        slot: Slot(2),
        generation: Generation(1),
        pid: 128,
    };
    let golden = "00000010 03 00  00 02 04
        01 03 776562    ; Worker, of web
        ac02 02 01 8001 ; id, slot, generation, pid";
    hub(0, HubOp::OriginIs { conn: 4, origin }, golden);
    let type_is = HubOp::TypeIs {
        conn: 3,
        index: 0,
        topic: "orders.created".into(),
        schema: hex(ORDER_SCHEMA),
    };
    let golden = "00000031 03 00  00 03 03 00  0e 6f72646572732e63726561746564  1b ";
    hub(0, type_is, &format!("{golden}{ORDER_SCHEMA}"));
    hub(0, HubOp::Forget { conn: 3 }, "00000005 03 00  00 04 03");
    hub(
        0,
        HubOp::Lagged {
            sub: 1,
            missed: 300,
        },
        "00000007 03 00  00 05 01 ac02",
    );
    let misfit = HubOp::Misfit {
        sub: 1,
        missed: 2,
        topic: "a".into(),
        reason: "b".into(),
    };
    hub(0, misfit, "0000000a 03 00  00 06 01 02 01 61 01 62");
    let kinds = [
        CloseKind::Framing,
        CloseKind::Hello,
        CloseKind::Denied,
        CloseKind::Limit,
        CloseKind::Stopping,
        CloseKind::Fault,
    ];
    for (number, kind) in (0..).zip(kinds) {
        let reason = "stop".into();
        hub(
            0,
            HubOp::Closing { kind, reason },
            &format!("0000000a 03 00  00 07 {number:02} 04 73746f70"),
        );
    }
}
