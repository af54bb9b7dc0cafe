//! How a connection begins, or does not.

use super::*;

#[tokio::test]
async fn unknown_protocol_version_is_refused_with_a_reason() {
    let fleet = quiet().await;
    let wrong = [
        ("proto", json!([99, 99]), "99"),
        ("codecs", json!(["smoke"]), "smoke"),
        ("magic", json!("nats"), "magic"),
        ("kind", json!("king"), "king"),
    ];
    for (field, value, named) in wrong {
        let mut hello = hello("client");
        hello[field] = value;
        let mut peer = Peer::connect(fleet.socket()).await;
        peer.send(kind::HELLO, 0, &hello).await;
        let reason = peer.closing().await;
        assert!(reason.contains(named), "{field}: {reason}");
    }
    fleet.status().await;
}

#[tokio::test]
async fn silence_before_hello_is_ended_with_a_reason() {
    let fleet = quiet().await;
    let mut silent = Peer::connect(fleet.socket()).await;
    let mut half = Peer::connect(fleet.socket()).await;
    half.send_bytes(&[0, 0, 1]).await;
    for peer in [&mut silent, &mut half] {
        let reason = peer.closing().await;
        assert!(reason.to_lowercase().contains("hello"), "{reason}");
    }
}
