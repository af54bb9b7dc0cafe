//! Everything with the JSON codec.

use super::*;

#[test]
fn control_messages_in_json() {
    let pairs = [
        (
            ClientControl {
                r#ref: 1,
                op: ClientOp::Subscribe {
                    sub: 1,
                    pattern: "orders.>".into(),
                    reader: None,
                    options: SubscribeOptions::default(),
                },
            },
            r#"{"ref":1,"op":{"Subscribe":{"sub":1,"pattern":"orders.>","options":{}}}}"#,
        ),
        (
            ClientControl {
                r#ref: 2,
                op: ClientOp::Drain,
            },
            r#"{"ref":2,"op":"Drain"}"#,
        ),
    ];
    for (message, text) in pairs {
        assert_eq!(
            codec::decode::<ClientControl>(Codec::Json, text.as_bytes()).expect("decodes"),
            message
        );
    }
    let lagged = HubControl {
        r#ref: 0,
        op: HubOp::Lagged {
            sub: 1,
            missed: 300,
        },
    };
    let text = br#"{"ref":0,"op":{"Lagged":{"sub":1,"missed":300}}}"#;
    assert_eq!(codec::encode(Codec::Json, &lagged).expect("encodes"), text);
    assert_eq!(
        codec::decode::<HubControl>(Codec::Json, text).expect("decodes"),
        lagged
    );
    let reason = "only the hub's own user may connect".into();
    let closing = HubControl {
        r#ref: 0,
        op: HubOp::Closing {
            kind: CloseKind::Denied,
            reason,
        },
    };
    let text = br#"{"ref":0,"op":{"Closing":{"kind":"Denied","reason":"only the hub's own user may connect"}}}"#;
    assert_eq!(codec::encode(Codec::Json, &closing).expect("encodes"), text);
}

#[test]
fn data_in_json() {
    let raw = |text: &str| RawValue::from_string(text.into()).expect("JSON");
    let payload = raw(r#"{"x":1}"#);
    let event = json::Event {
        sub: 1,
        seq: 41,
        origin: Origin::Client {
            name: "shop".into(),
            conn: 3,
        },
        topic: "a.b".into(),
        payload: Some(&payload),
        bytes: None,
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"sub":1,"seq":41,"origin":{"Client":{"name":"shop","conn":3}},"topic":"a.b","payload":{"x":1}}"#;
    assert_eq!(serde_json::to_string(&event).expect("encodes"), text);
    let emit: json::Emit<'_> =
        serde_json::from_str(r#"{"topic":"a.b","payload":{"x":1},"ref":3}"#).expect("decodes");
    assert_eq!(
        (&*emit.topic, emit.r#ref, emit.payload.map(RawValue::get)),
        ("a.b", Some(3), Some(r#"{"x":1}"#))
    );
    let request: json::Request<'_> =
        serde_json::from_str(r#"{"ref":4,"topic":"orders.price","payload":{"id":1}}"#)
            .expect("decodes");
    assert_eq!((request.r#ref, request.timeout_ms), (4, 5000));
    let reply: json::Reply<'_> =
        serde_json::from_str(r#"{"call":9,"payload":{"cents":300}}"#).expect("decodes");
    assert_eq!(
        (reply.call, reply.payload.map(RawValue::get)),
        (9, Some(r#"{"cents":300}"#))
    );
    let payload = raw(r#"{"id":1}"#);
    let call = json::Call {
        call: 9,
        sub: 2,
        origin: Origin::Master,
        topic: "orders.price".into(),
        timeout_ms: 5000,
        payload: Some(&payload),
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"call":9,"sub":2,"origin":"Master","topic":"orders.price","timeout_ms":5000,"payload":{"id":1}}"#;
    assert_eq!(serde_json::to_string(&call).expect("encodes"), text);
    let payload = raw(r#"{"cents":300}"#);
    let answer = json::Answer {
        r#ref: 4,
        origin: Origin::Master,
        payload: Some(&payload),
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"ref":4,"origin":"Master","payload":{"cents":300}}"#;
    assert_eq!(serde_json::to_string(&answer).expect("encodes"), text);
}
