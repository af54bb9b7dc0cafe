//! HELLO and WELCOME.

use super::*;

#[test]
fn hello() {
    let text =
        r#"{"magic":"ostler","proto":[1,1],"codecs":["postcard"],"kind":"client","name":"shop"}"#;
    let golden = [&hex("00000056 01 00")[..], text.as_bytes()].concat();
    let message = Hello {
        magic: "ostler".into(),
        proto: [1, 1],
        codecs: vec!["postcard".into()],
        kind: Kind::Client,
        name: "shop".into(),
        instance: None,
        token: None,
        features: Vec::new(),
        ext: serde_json::Map::new(),
    };
    let body = serde_json::to_vec(&message).expect("encodes");
    assert_eq!(framed(FrameType::Hello, 0, &body), golden);
    let frame = one_frame(&golden);
    assert_eq!(frame.kind, 0x01);
    assert_eq!(
        serde_json::from_slice::<Hello>(&frame.body).expect("decodes"),
        message
    );
    // The least a client may say, and more than is known.
    let least = r#"{"magic":"ostler","proto":[1,9],"codecs":[],"kind":"operator","shoe":7}"#;
    let least: Hello = serde_json::from_str(least).expect("decodes");
    assert_eq!(
        (least.kind, &*least.name, least.proto),
        (Kind::Operator, "", [1, 9])
    );
}

#[test]
fn welcome() {
    let text = r#"{"proto":1,"codec":"postcard","hub":"ostler","conn":3,"life":"9f0c2b5a7d1e4f608192a3b4c5d6e7f8","limits":{"payload":1048576,"control":65536,"subscriptions":1024},"ping_ms":0}"#;
    let golden = [&hex("000000b0 02 00")[..], text.as_bytes()].concat();
    let message = Welcome {
        proto: 1,
        codec: Codec::Postcard,
        hub: "ostler".into(),
        conn: 3,
        life: "9f0c2b5a7d1e4f608192a3b4c5d6e7f8".into(),
        token: None,
        limits: WelcomeLimits {
            payload: 1_048_576,
            control: 65_536,
            subscriptions: 1024,
        },
        ping_ms: 0,
        ext: serde_json::Map::new(),
    };
    let body = serde_json::to_vec(&message).expect("encodes");
    assert_eq!(framed(FrameType::Welcome, 0, &body), golden);
    let frame = one_frame(&golden);
    assert_eq!(frame.kind, 0x02);
    assert_eq!(
        serde_json::from_slice::<Welcome>(&frame.body).expect("decodes"),
        message
    );
}
