//! UDP sockets of which each slot has its own.

use std::net::UdpSocket;

use super::*;
use crate::{config::app::socket::SocketKind, sockets::slots::Spread};

fn udp(instances: u32, address: &str) -> AppDefinition {
    group(instances, &format!("udp:{address}"))
}

/// The port, which all slots share.
fn port(sockets: &Sockets, app: &AppDefinition) -> u16 {
    let all = sockets.of(&app.name);
    let ports: Vec<_> = all.iter().map(|socket| socket.any_port()).collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    ports[0].expect("a port")
}

fn spreads(sockets: &Sockets, app: &AppDefinition) -> Vec<(u32, Spread)> {
    let groups = sockets.groups(&app.name).expect("duplicates");
    groups.iter().map(|it| (it.slot.0, it.spread)).collect()
}

#[test]
fn slots_have_a_udp_socket_each_at_one_address() {
    for address in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
        let mut sockets = Sockets::default();
        let dns = udp(3, address);
        assert!(sockets.check(&dns).is_empty());
        let _kept = sockets.bind(&dns).expect("bound");
        port(&sockets, &dns);
        assert!(sockets.check(&dns).is_empty(), "it has them");
        let _more = sockets.bind_slot(&dns.name, Slot(3)).expect("bound");
        port(&sockets, &dns);
        let expected: Vec<_> = (0..4).map(|slot| (slot, Spread::ByFlow)).collect();
        assert_eq!(spreads(&sockets, &dns), expected);
        let mut sticky = dns.clone();
        sticky.listen[0].options.mode = SocketMode::Sticky;
        assert!(sockets.bind(&sticky).expect("as it is").is_empty());
        sockets.share(&sticky);
        assert_eq!(spreads(&sockets, &dns)[3], (3, Spread::ByAddress));
        assert_eq!(sockets.status("web")[0].mode, "sticky");
        assert!(sockets.listeners(&dns.name).is_empty(), "nobody shuts them");
        let mut shared = dns.clone();
        shared.listen[0].options.mode = SocketMode::Shared;
        let refused = sockets.bind(&shared).expect_err("changed").problem;
        assert!(matches!(refused, Problem::Changed));
    }
}

/// The kernel would let all programs of one user share what comes.
#[test]
fn a_group_of_udp_is_joined_by_no_other_and_joins_none() {
    let mut ours = Sockets::default();
    let dns = udp(2, "127.0.0.1:0");
    let _kept = ours.bind(&dns).expect("bound");
    let at = port(&ours, &dns);
    let mut others = Sockets::default();
    for address in [format!("127.0.0.1:{at}"), format!("0.0.0.0:{at}")] {
        let same = udp(2, &address);
        assert!(!others.check(&same).is_empty());
        let refused = others.bind(&same).expect_err("in use");
        assert!(matches!(refused.problem, Problem::InUse(_)), "{refused}");
    }
    // Somebody who would let others in is no reason to join them.
    let kind = rustix::net::SocketType::DGRAM;
    let lax = rustix::net::socket(rustix::net::AddressFamily::INET, kind, None);
    let lax = UdpSocket::from(lax.expect("a socket"));
    rustix::net::sockopt::set_socket_reuseport(&lax, true).expect("set");
    let any: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    rustix::net::bind(&lax, &any).expect("bound");
    let at = lax.local_addr().expect("bound").to_string();
    assert!(others.bind(&udp(2, &at)).is_err());
    drop(lax);
    let _kept = others.bind(&udp(2, &at)).expect("it has gone");
}

#[test]
fn datagrams_that_wait_keep_a_socket_open_and_are_counted_at_the_end() {
    let mut sockets = Sockets::default();
    let dns = udp(3, "127.0.0.1:0");
    let _kept = sockets.bind(&dns).expect("bound");
    let to = ("127.0.0.1", port(&sockets, &dns));
    // By the kernel's own choice.
    let clients: Vec<UdpSocket> = (0..60)
        .map(|_| UdpSocket::bind("127.0.0.1:0").expect("bound"))
        .collect();
    for client in &clients {
        // One with nothing in it waits as well.
        client.send_to(b"", to).expect("sent");
    }
    assert!((0..3).all(|slot| sockets.waits_in(&dns.name, Slot(slot))));
    let gone = |slot: Slot| slot.0 >= 1;
    let (closing, left) = sockets.retiring(&dns.name, gone, false);
    assert_eq!((closing.len(), left), (0, true));
    let (closing, left) = sockets.retiring(&dns.name, |_| true, true);
    assert!(!left);
    let mut retire = |id| sockets.retire(id).expect("bound");
    let retired: Vec<Retired> = closing.into_iter().map(&mut retire).collect();
    let slots: Vec<u32> = retired.iter().map(|it| it.slot.0).collect();
    assert_eq!(slots, [2, 1, 0]);
    assert_eq!(retired.iter().map(|it| it.lost).sum::<u32>(), 60);
    assert!(retired.iter().all(|it| it.kind == SocketKind::Datagram));
    UdpSocket::bind(to).expect("the port is free");
}
