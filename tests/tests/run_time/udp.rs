//! UDP sockets that are asked for: one's own, closed and opened again, asked for in vain; and Unix sockets whose last worker goes.

use ostler_tests::harness::eventually;
use tokio::net::UdpSocket;

use super::*;

/// Which worker answers a datagram.
async fn answers(address: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let sent = socket.send_to(b"hello", parsed(address)).await;
    sent.expect("a datagram");
    let mut bytes = [0; 64];
    let answered = deadline("an answer", PATIENCE, socket.recv(&mut bytes)).await;
    let length = answered.expect("one");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

async fn id(fleet: &Fleet, slot: u32) -> String {
    let id = fleet.worker("web", slot).await.id;
    id.expect("an id").to_string()
}

#[tokio::test]
async fn an_exclusive_socket_is_one_worker_s_own_and_the_master_is_not_asked() {
    let fleet = askers(2).await;
    let (_, one) = opens(&fleet, 0, "udp 127.0.0.1:0 exclusive").await;
    let (_, other) = opens(&fleet, 1, "udp 127.0.0.1:0 exclusive").await;
    assert_ne!(one, other);
    assert!(asked(&fleet.status().await).is_empty());
    for how in [" exclusive", ""] {
        let refused = tell(&fleet, 1, &format!("udp {one}{how}")).await;
        assert!(refused.starts_with("error AddrInUse"), "{refused}");
    }
    assert_eq!(answers(&one).await, id(&fleet, 0).await);
    assert_eq!(answers(&other).await, id(&fleet, 1).await);
}

#[tokio::test]
async fn one_that_closes_port_0_and_asks_again_has_the_same_and_disturbs_nobody() {
    let fleet = askers(2).await;
    let (first, address) = opens(&fleet, 0, "udp 127.0.0.1:0").await;
    for _ in 0..3 {
        let (number, same) = opens(&fleet, 1, "udp 127.0.0.1:0").await;
        assert_eq!(same, address);
        assert_eq!(tell(&fleet, 1, &format!("close {number}")).await, "closed");
        let alone = id(&fleet, 0).await;
        let by = move |status: &StatusReport| {
            let asked_by = asked(status)[0].asked_by.iter().flatten();
            asked_by.map(ToString::to_string).eq([alone.clone()])
        };
        fleet
            .until("the master to hear that it was closed", by)
            .await;
        for _ in 0..4 {
            assert_eq!(answers(&address).await, id(&fleet, 0).await);
        }
    }
    tell(&fleet, 0, &format!("close {first}")).await;
    until_asked(&fleet, 0).await;
    let free = std::net::UdpSocket::bind(parsed(&address));
    assert!(free.is_ok(), "{free:?}");
}

#[tokio::test]
async fn a_question_that_is_dropped_before_the_answer_leaks_nothing() {
    let fleet = askers(1).await;
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    let taken = stranger.local_addr().expect("an address");
    let (number, _) = opens(&fleet, 0, "udp 127.0.0.1:0").await;
    tell(&fleet, 0, &format!("close {number}")).await;
    until_asked(&fleet, 0).await;
    let worker = fleet.worker("web", 0).await.pid.expect("a worker");
    let master = fleet.process.id();
    let before = (descriptors(worker), descriptors(master));
    for _ in 0..20 {
        for address in ["127.0.0.1:0", &taken.to_string()] {
            let forgotten = tell(&fleet, 0, &format!("forget udp {address}")).await;
            assert_eq!(forgotten, "forgotten");
        }
    }
    until_asked(&fleet, 0).await;
    let same = || {
        let now = (descriptors(worker), descriptors(master));
        (now.0 <= before.0 && now.1 <= before.1).then_some(())
    };
    eventually("all descriptors to be closed", PATIENCE, same).await;
    let (_, address) = opens(&fleet, 0, "udp 127.0.0.1:0").await;
    assert_eq!(answers(&address).await, id(&fleet, 0).await);
}

#[tokio::test]
async fn the_path_of_a_unix_socket_is_removed_when_its_last_worker_ends() {
    let builder = ostler!();
    let path = builder.dir().at("asked.sock");
    let fleet = Fleet::ready(builder.apps(&[app(2, &[])]), 2).await;
    let listen = format!("listen unix:{}", path.display());
    for slot in [0, 1] {
        opens(&fleet, slot, &listen).await;
    }
    fleet.ostler(["scale", "1"]).success().await;
    let alone = |status: &StatusReport| {
        asked(status)[0]
            .asked_by
            .as_ref()
            .is_some_and(|by| by.len() == 1)
    };
    fleet.until("one to have it", alone).await;
    assert!(path.exists(), "the other one has it");
    fleet.ostler(["stop", "web"]).success().await;
    until_asked(&fleet, 0).await;
    assert!(!path.exists());
}
