//! Who asks for the same has the same.

use std::{collections::BTreeSet, os::unix::fs::PermissionsExt};

use ostler_bus::vocab::worker::WorkerListening;
use tokio::{io::AsyncReadExt, net::UdpSocket, net::UnixStream};

use super::*;

#[tokio::test]
async fn workers_that_ask_for_the_same_address_share_one_socket_and_the_event_tells_of_each() {
    let fleet = askers(3).await;
    let mut told = fleet.hear::<WorkerListening>().await;
    let mut addresses = BTreeSet::new();
    let mut by = BTreeSet::new();
    for slot in 0..3 {
        addresses.insert(opens(&fleet, slot, "listen 127.0.0.1:0").await.1);
        let event = told.next().await.event;
        assert_eq!(event.worker.slot.0, slot);
        by.insert(event.worker.id.to_string());
        assert_eq!(event.family, "IPv4");
        assert_eq!(event.port, Some(parsed(&event.address).port()));
        assert!(event.port != Some(0) && addresses.contains(&event.address));
    }
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    let address = addresses.first().expect("one");
    assert_eq!(by, ids(&fleet).await);
    all_serve(address, &by).await;
    let status = fleet.status().await;
    let [socket] = asked(&status)[..] else {
        panic!("{status:#?}");
    };
    assert_eq!(
        (&socket.name[..], &socket.address),
        ("127.0.0.1:0", address)
    );
    let asked_by = socket.asked_by.iter().flatten();
    assert_eq!(
        asked_by.map(ToString::to_string).collect::<BTreeSet<_>>(),
        by
    );
    // The master accepts for them, as for workers of a declared socket.
    assert_eq!(socket.mode, "balanced");
    let shown = fleet.ostler(["sockets"]).success().await;
    assert!(shown.stdout.contains("asked for by"), "{}", shown.stdout);
}

#[tokio::test]
async fn questions_for_port_0_differ_within_a_worker_and_the_nth_of_each_is_one() {
    let fleet = askers(2).await;
    let mut of = Vec::new();
    for slot in [0, 1] {
        let first = opens(&fleet, slot, "listen 127.0.0.1:0").await;
        let second = opens(&fleet, slot, "listen 127.0.0.1:0").await;
        assert_ne!(first.1, second.1);
        of.push((first, second));
    }
    assert_eq!((&of[0].0.1, &of[0].1.1), (&of[1].0.1, &of[1].1.1));
    // Closed and asked for again: the others have kept it.
    tell(&fleet, 0, &format!("close {}", of[0].0.0)).await;
    let again = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    assert_eq!(again.1, of[1].0.1);
    let status = fleet.status().await;
    let names: Vec<&str> = asked(&status).iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["127.0.0.1:0", "127.0.0.1:0#2"]);
}

#[tokio::test]
async fn apps_share_nothing() {
    let worker = env!("CARGO_BIN_EXE_asker");
    let first = |name| App::new(name, [worker, "listen 127.0.0.1:0"]).unwatched();
    let fleet = Fleet::ready(ostler!().apps(&[first("web"), first("other")]), 2).await;
    let status = fleet.status().await;
    let [one, other] = asked(&status)[..] else {
        panic!("{status:#?}");
    };
    assert_ne!(one.address, other.address);
    let taken = if status.apps[0].name == "web" {
        other
    } else {
        one
    };
    let refused = tell(&fleet, 0, &format!("listen {}", taken.address)).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
}

#[tokio::test]
async fn ipv6_is_ipv4_too_unless_it_is_said_otherwise() {
    let fleet = askers(3).await;
    let mut told = fleet.hear::<WorkerListening>().await;
    let mut addresses = BTreeSet::new();
    for slot in 0..3 {
        addresses.insert(opens(&fleet, slot, "listen [::]:0").await.1);
        assert_eq!(told.next().await.event.family, "IPv6");
    }
    assert_eq!(addresses.len(), 1);
    let port = parsed(addresses.first().expect("one")).port();
    assert!(!who(&format!("127.0.0.1:{port}")).await.is_empty());
    let (_, alone) = opens(&fleet, 0, "listen [::]:0 v6").await;
    let port = parsed(&alone).port();
    assert!(is_free(&format!("0.0.0.0:{port}")), "IPv4 stays out");
    assert!(!who(&format!("[::1]:{port}")).await.is_empty());
}

#[tokio::test]
async fn an_exclusive_socket_is_one_worker_s_own_and_the_master_is_not_asked() {
    let fleet = askers(2).await;
    let exclusive = "listen 127.0.0.1:0 exclusive";
    let (_, one) = opens(&fleet, 0, exclusive).await;
    let (_, other) = opens(&fleet, 1, exclusive).await;
    assert_ne!(one, other);
    assert!(asked(&fleet.status().await).is_empty());
    let refused = tell(&fleet, 1, &format!("listen {one} exclusive")).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
    let refused = tell(&fleet, 1, &format!("listen {one}")).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
    assert_eq!(
        who(&one).await,
        fleet.worker("web", 0).await.id.expect("an id").to_string()
    );
}

#[tokio::test]
async fn one_that_closes_and_listens_again_disturbs_nobody() {
    let fleet = askers(2).await;
    let (_, address) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    let all = ids(&fleet).await;
    for _ in 0..3 {
        let (number, same) = opens(&fleet, 1, "listen 127.0.0.1:0").await;
        assert_eq!(same, address);
        all_serve(&address, &all).await;
        assert_eq!(tell(&fleet, 1, &format!("close {number}")).await, "closed");
        let first = fleet.worker("web", 0).await.id.expect("an id").to_string();
        for _ in 0..4 {
            assert_eq!(who(&address).await, first);
        }
    }
}

#[tokio::test]
async fn four_workers_share_a_udp_socket_and_each_has_the_ten_that_it_wants() {
    let fleet = askers(4).await;
    let mut numbers = Vec::new();
    let mut addresses = BTreeSet::new();
    for slot in 0..4 {
        let (number, address) = opens(&fleet, slot, "udp 127.0.0.1:0 10").await;
        numbers.push(number);
        addresses.insert(address);
    }
    assert_eq!(addresses.len(), 1);
    let status = until_asked(&fleet, 1).await;
    let address = addresses.first().expect("one");
    assert_eq!(asked(&status)[0].address, format!("udp:{address}"));
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    for _ in 0..40 {
        let sent = socket.send_to(b"hello", parsed(address)).await;
        sent.expect("a datagram");
        let mut bytes = [0; 64];
        let answered = socket.recv(&mut bytes);
        deadline("an answer", PATIENCE, answered)
            .await
            .expect("one");
    }
    for (slot, number) in (0..4).zip(&numbers) {
        assert_eq!(tell(&fleet, slot, &format!("counted {number}")).await, "10");
    }
    until_asked(&fleet, 0).await;
}

#[tokio::test]
async fn a_unix_socket_is_where_the_worker_is_and_goes_with_the_last() {
    let builder = ostler!();
    let cwd = builder.dir().at("elsewhere");
    std::fs::create_dir(&cwd).expect("a directory");
    let long = cwd.join("d".repeat(100));
    std::fs::create_dir(&long).expect("a directory");
    let apps = [app(2, &[]).set("cwd", cwd.to_str().expect("text"))];
    let fleet = Fleet::ready(builder.apps(&apps), 2).await;
    let mut told = fleet.hear::<WorkerListening>().await;
    let (one, address) = opens(&fleet, 0, "listen unix:s.sock").await;
    let path = cwd.join("s.sock");
    assert_eq!(address, format!("unix:{}", path.display()));
    let event = told.next().await.event;
    assert_eq!((&event.family[..], event.port), ("Unix", None));
    let (other, _) = opens(&fleet, 1, "listen unix:s.sock").await;
    let mode = std::fs::metadata(&path)
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o777);
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    let mut id = String::new();
    let read = stream.read_to_string(&mut id);
    deadline("an answer", PATIENCE, read).await.expect("read");
    assert!(ids(&fleet).await.contains(&id), "{id}");
    tell(&fleet, 0, &format!("close {one}")).await;
    assert!(path.exists(), "the other one has it");
    tell(&fleet, 1, &format!("close {other}")).await;
    until_asked(&fleet, 0).await;
    assert!(!path.exists());
    // Longer than an address can be.
    let deep = long.join("s.sock");
    opens(&fleet, 0, &format!("listen unix:{}", deep.display())).await;
    assert!(deep.exists());
}
