//! UDP sockets of which each slot has its own.

use std::net::UdpSocket;

use Service::{Awaited, Serves};

use super::*;
use crate::{
    config::app::socket::SocketKind,
    fleet::Service,
    sockets::slots::{Groups, Spread},
};

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
        assert!(sockets.check(&dns, Next::alone(&dns)).is_empty());
        let _kept = sockets.bind(&dns).expect("bound");
        port(&sockets, &dns);
        assert!(
            sockets.check(&dns, Next::alone(&dns)).is_empty(),
            "it has them"
        );
        let _more = sockets.bind_slot(&dns, Slot(3)).expect("bound");
        port(&sockets, &dns);
        let expected: Vec<_> = (0..4).map(|slot| (slot, Spread::ByFlow)).collect();
        assert_eq!(spreads(&sockets, &dns), expected);
        let mut sticky = dns.clone();
        sticky.listen[0].options.mode = SocketMode::Sticky;
        assert!(sockets.bind(&sticky).expect("as it is").is_empty());
        sockets.share(&sticky);
        assert_eq!(spreads(&sockets, &dns)[3], (3, Spread::ByAddress));
        assert_eq!(sockets.status("web")[0].1.mode, "sticky");
        assert!(sockets.listeners(&dns.name).is_empty(), "nobody shuts them");
        let mut shared = dns.clone();
        shared.listen[0].options.mode = SocketMode::Shared;
        let refused = sockets.bind(&shared).expect_err("changed").problem;
        assert!(matches!(refused, Problem::Changed(_)));
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
        assert!(!others.check(&same, Next::alone(&same)).is_empty());
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
    assert!((0..3).all(|slot| waits_in(&sockets, &dns.name, slot)));
    let gone = |slot: Slot| slot.0 >= 1;
    let (closing, left) = sockets.retiring(&dns.name, gone, |_| false);
    assert_eq!((closing.len(), left), (0, [1, 2].map(Slot).into()));
    let (closing, left) = sockets.retiring(&dns.name, |_| true, |_| true);
    assert!(left.is_empty());
    let mut retire = |id| sockets.retire(id, false).expect("bound");
    let retired: Vec<Retired> = closing.into_iter().map(&mut retire).collect();
    let slots: Vec<u32> = retired.iter().map(|it| it.slot.0).collect();
    assert_eq!(slots, [2, 1, 0]);
    assert_eq!(retired.iter().map(|it| it.lost).sum::<u32>(), 60);
    assert!(retired.iter().all(|it| it.kind == SocketKind::Datagram));
    UdpSocket::bind(to).expect("the port is free");
}

/// An app's sockets, and who has the kernel choose among them.
struct Spreading {
    sockets: Sockets,
    groups: Groups,
    dns: AppDefinition,
}

impl Spreading {
    fn new(slots: u32) -> Self {
        let (mut sockets, dns) = (Sockets::default(), udp(slots, "127.0.0.1:0"));
        let _kept = sockets.bind(&dns).expect("bound");
        let mut new = Self {
            sockets,
            groups: Groups::default(),
            dns,
        };
        new.join();
        new
    }

    fn join(&mut self) {
        let all = self.sockets.groups(&self.dns.name).expect("duplicates");
        self.groups.join(all).expect("a thread");
    }

    fn own(&self, slot: u32) -> UdpSocket {
        let mut its = self.sockets.held(&self.dns.name);
        let its = its.find(|held| held.socket.slot() == Some(Slot(slot)));
        let its = self.sockets.duplicate(its.expect("bound").id);
        its.expect("bound").expect("a duplicate").into()
    }

    fn stand(&mut self, services: &[Service]) {
        let size = services.len() as u32;
        self.groups.stand(&self.dns.name, size, services.to_vec());
        let told = self.groups.settled().blocking_recv();
        assert!(told.is_ok() && self.groups.has_told());
    }

    /// The slots from so many on go.
    fn shrink(&mut self, size: u32, keeps: bool) {
        self.stand(&vec![Serves; size as usize]);
        let is_gone = |slot: Slot| slot.0 >= size;
        let (closing, _) = self.sockets.retiring(&self.dns.name, is_gone, |_| true);
        for id in closing {
            let retired = self.sockets.retire(id, keeps).expect("bound");
            assert_eq!(retired.kept, keeps);
            match keeps {
                true => self.groups.keep(id),
                false => self.groups.part(id),
            }
        }
    }

    fn grow(&mut self, slot: u32) -> Added {
        let added = self.sockets.bind_slot(&self.dns, Slot(slot));
        let added = added.expect("bound");
        self.join();
        added
    }

    /// Whether datagrams come to each slot if it alone serves.
    fn each_is_found(&mut self, slots: u32) -> bool {
        let to = ("127.0.0.1", port(&self.sockets, &self.dns));
        (0..slots).all(|slot| {
            let mut services = vec![Awaited; slots as usize];
            services[slot as usize] = Serves;
            self.stand(&services);
            let own = self.own(slot);
            own.set_nonblocking(true).expect("set");
            (0..8).all(|_| {
                let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
                client.send_to(b"?", to).expect("sent");
                own.recv(&mut [0; 8]).is_ok()
            })
        })
    }

    fn reported(&self) -> Vec<u32> {
        let report = self.groups.report().expect("a thread").blocking_recv();
        let report = report.expect("a thread").into_iter();
        report.map(|its| its.slot.0).collect()
    }
}

/// So it would be if they were closed: the kernel counts places for what others still hold.
#[test]
fn sockets_of_slots_that_go_are_kept_whoever_else_holds_them() {
    for (keeps, found) in [(true, true), (false, false)] {
        let mut dns = Spreading::new(5);
        assert!(dns.each_is_found(5));
        let orphan = dns.own(4);
        dns.shrink(4, keeps);
        assert!(dns.each_is_found(4));
        assert_eq!(dns.reported(), [0, 1, 2, 3]);
        assert_eq!(dns.sockets.status("web").len(), 4);
        let _added = dns.grow(4);
        assert_eq!(dns.each_is_found(5), found);
        assert_eq!(dns.sockets.status("web").len(), 5);
        drop(orphan);
    }
}

#[test]
fn kept_sockets_come_back_in_any_order_and_are_no_more_than_there_ever_were() {
    let mut dns = Spreading::new(6);
    let to = ("127.0.0.1", port(&dns.sockets, &dns.dns));
    for _ in 0..3 {
        dns.shrink(2, true);
        assert!(dns.each_is_found(2));
        assert_eq!(dns.sockets.table.names().count(), 6);
        for slot in [4, 2, 5, 3] {
            let _added = dns.grow(slot);
        }
        assert!(dns.each_is_found(6));
        assert_eq!(dns.sockets.table.names().count(), 6);
    }
    // One that is taken back is kept again.
    dns.shrink(5, true);
    let before = dns.sockets.last;
    let added = dns.sockets.bind_slot(&dns.dns, Slot(5));
    dns.sockets.take_back(added.expect("it was kept"));
    assert_eq!(dns.sockets.status("web").len(), 5);
    assert!(dns.each_is_found(5));
    let _added = dns.grow(5);
    assert!(dns.each_is_found(6) && dns.sockets.last == before + 2);
    // What wasn't is closed: it has no place yet.
    let added = dns.sockets.bind_slot(&dns.dns, Slot(6));
    dns.sockets.take_back(added.expect("bound"));
    assert_eq!(dns.sockets.table.names().count(), 6);
    let _added = dns.grow(6);
    assert!(dns.each_is_found(7));
    // The address is free as soon as the app has gone.
    dns.shrink(3, true);
    dns.groups.forget(&dns.dns.name);
    dns.sockets.forget(&dns.dns.name);
    UdpSocket::bind(to).expect("the port is free");
}

/// Nobody tells the kernel whom to choose any more: it goes on without those that are kept.
#[test]
fn kept_sockets_get_nothing_after_the_end_of_choosing() {
    let mut dns = Spreading::new(3);
    let to = ("127.0.0.1", port(&dns.sockets, &dns.dns));
    let gone = dns.own(2);
    dns.shrink(2, true);
    dns.groups.forget(&dns.dns.name);
    for _ in 0..40 {
        let client = UdpSocket::bind("127.0.0.1:0").expect("bound");
        client.send_to(b"?", to).expect("sent");
    }
    gone.set_nonblocking(true).expect("set");
    assert!(gone.recv(&mut [0; 8]).is_err());
    assert!((0..2).all(|slot| waits_in(&dns.sockets, &dns.dns.name, slot)));
}
