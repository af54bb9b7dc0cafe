//! How a connection begins, and how it fails to.

use std::time::Duration;

use ostler_bus::{
    Bus, ConnectOptions,
    client::{ConnectError, ConnectionState, Disconnected},
    transport::{MemoryTransport, UnixTransport},
    wire::{
        FrameType,
        control::CloseKind,
        hello::{Kind, MAGIC},
    },
};

use crate::scripted::{Hub, WELCOME, within};

#[tokio::test]
async fn the_hello_says_who_and_the_welcome_is_kept() {
    let (transport, mut hub) = Hub::pair();
    let options = ConnectOptions::observer("dash").token("secret");
    let (bus, hello) = within(async {
        tokio::join!(Bus::connect(transport, options), async {
            let hello = hub.hello().await;
            hub.frame(FrameType::Welcome, 0, WELCOME.as_bytes()).await;
            hello
        })
    })
    .await;
    assert_eq!(hello.magic, MAGIC);
    assert_eq!(hello.proto, [1, 1]);
    assert_eq!(hello.codecs, ["postcard"]);
    assert_eq!((hello.kind, &*hello.name), (Kind::Observer, "dash"));
    assert_eq!(hello.token.as_deref(), Some("secret"));
    let instance = hello.instance.expect("a random one");
    assert!(instance.len() == 32 && instance.chars().all(|c| c.is_ascii_hexdigit()));
    let bus = bus.expect("welcome");
    assert_eq!((bus.hub(), bus.conn()), ("scripted", 7));
    assert_eq!(bus.limits().payload, 1 << 20);
    assert_eq!(*bus.state().borrow(), ConnectionState::Connected);
}

#[tokio::test]
async fn a_denial_carries_the_hubs_reason() {
    let closing =
        br#"{"ref":0,"op":{"Closing":{"kind":"Denied","reason":"uid 1000 is not yours"}}}"#;
    let error = Hub::meet(FrameType::Control, closing).await;
    assert!(matches!(&error, ConnectError::Denied { reason, .. } if reason.contains("uid 1000")));
    assert!(error.to_string().contains("memory"), "{error}");
    let closing = br#"{"ref":0,"op":{"Closing":{"kind":"Hello","reason":"no common version"}}}"#;
    let error = Hub::meet(FrameType::Control, closing).await;
    assert!(
        matches!(&error, ConnectError::NoAgreement { reason, .. } if reason == "no common version")
    );
    let closing = br#"{"ref":0,"op":{"Closing":{"kind":"Limit","reason":"full"}}}"#;
    let error = Hub::meet(FrameType::Control, closing).await;
    assert!(matches!(
        error,
        ConnectError::Refused {
            kind: CloseKind::Limit,
            ..
        }
    ));
}

#[tokio::test]
async fn another_version_or_codec_is_told_apart() {
    let newer = WELCOME.replace(r#""proto":1"#, r#""proto":2"#);
    let error = Hub::meet(FrameType::Welcome, newer.as_bytes()).await;
    assert!(matches!(error, ConnectError::NoAgreement { .. }), "{error}");
    let json = WELCOME.replace("postcard", "json");
    let error = Hub::meet(FrameType::Welcome, json.as_bytes()).await;
    assert!(matches!(error, ConnectError::NoAgreement { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_hub_is_said_to_be_none() {
    let error = Hub::meet(FrameType::Welcome, b"not json").await;
    assert!(matches!(error, ConnectError::NotAHub { .. }), "{error}");
    let error = Hub::meet(FrameType::Run, b"").await;
    assert!(matches!(error, ConnectError::NotAHub { .. }), "{error}");
    let (transport, mut hub) = Hub::pair();
    let connecting = Bus::connect(transport, ConnectOptions::client("test"));
    let (bus, ()) =
        within(async { tokio::join!(connecting, hub.bytes(b"HTTP/1.1 400 Bad Request\r\n")) })
            .await;
    assert!(matches!(bus, Err(ConnectError::NotAHub { .. })));
}

#[tokio::test]
async fn a_hub_that_hangs_up_or_says_nothing() {
    let (transport, stream) = MemoryTransport::pair();
    drop(stream);
    let error = within(Bus::connect(transport, ConnectOptions::client("test"))).await;
    assert!(matches!(error, Err(ConnectError::Io { .. })));
    let (transport, _silent) = MemoryTransport::pair();
    let mut options = ConnectOptions::client("test");
    options.connect_timeout = Duration::from_millis(20);
    let error = within(Bus::connect(transport, options)).await;
    assert!(matches!(error, Err(ConnectError::TimedOut { .. })));
}

#[tokio::test]
async fn nobody_at_the_path() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = home.path().join("bus");
    let connect = || Bus::connect(UnixTransport::new(&path), ConnectOptions::client("test"));
    let error = within(connect()).await.expect_err("there is no socket");
    assert!(matches!(error, ConnectError::NotRunning { .. }));
    assert!(
        error.to_string().contains(path.to_str().expect("text")),
        "{error}"
    );
    // A dead master's socket is still there, but nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
    let error = within(connect()).await.expect_err("nobody listens");
    assert!(matches!(error, ConnectError::NotRunning { .. }));
}

#[tokio::test]
async fn the_end_is_told_to_who_waits_for_it() {
    let (bus, hub) = Hub::start().await;
    drop(hub);
    let why = within(bus.closed()).await;
    assert!(matches!(why, Disconnected::Lost { .. }));
    assert_eq!(*bus.state().borrow(), ConnectionState::Closed(why));
}
