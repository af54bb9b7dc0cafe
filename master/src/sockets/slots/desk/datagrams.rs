//! The same of UDP, with the kernel.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use rustix::net::{AddressFamily, SocketType, bind, socket};

use super::*;
use crate::sockets::slots::{
    program::{Client, bucket_of},
    table::buckets,
};
use Service::{Awaited, Serves};

/// Sockets at one address, and who tells the kernel which to choose.
struct Group {
    desk: Desk,
    /// By their slots; `None`: it has gone.
    sockets: Vec<Option<UdpSocket>>,
    spread: Spread,
    address: SocketAddr,
}

fn bound(address: SocketAddr) -> UdpSocket {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket(family, SocketType::DGRAM, None).expect("a socket");
    sockopt::set_socket_reuseport(&socket, true).expect("set");
    bind(&socket, &address).expect("bound");
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true).expect("set");
    socket
}

fn in_group(slot: u32, spread: Spread, socket: &UdpSocket) -> InGroup {
    InGroup {
        id: SocketId::made_up(slot.into()),
        app: AppName::new("dns").expect("a name"),
        name: "dns".into(),
        slot: Slot(slot),
        kind: SocketKind::Datagram,
        spread,
        listener: socket.try_clone().expect("a duplicate").into(),
    }
}

impl Group {
    fn new(slots: u32, spread: Spread, host: &str) -> Self {
        let host: IpAddr = host.parse().expect("an address");
        let first = bound(SocketAddr::new(host, 0));
        let address = first.local_addr().expect("bound");
        let it = in_group(0, spread, &first);
        let mut desk = Desk::of(&it).expect("made");
        desk.join(it).expect("watched");
        let mut group = Self {
            desk,
            sockets: vec![Some(first)],
            spread,
            address,
        };
        for _ in 1..slots {
            group.join();
        }
        group.all_serve();
        group
    }

    /// One more slot.
    fn join(&mut self) {
        let socket = bound(self.address);
        let slot = self.sockets.len() as u32;
        let it = in_group(slot, self.spread, &socket);
        self.desk.join(it).expect("watched");
        self.sockets.push(Some(socket));
    }

    /// A slot's socket is closed.
    fn part(&mut self, slot: usize) {
        self.desk.part(SocketId::made_up(slot as u64));
        self.sockets[slot] = None;
    }

    fn stand(&mut self, services: &[Service]) {
        self.desk.stand(services.len() as u32, services);
        self.desk.direct();
        assert!(!self.desk.refused);
    }

    fn all_serve(&mut self) {
        self.stand(&vec![Serves; self.sockets.len()]);
    }

    fn look(&mut self, now: Instant) {
        self.desk.look(now).expect("looked");
        self.desk.direct();
    }

    fn send(&self, client: &UdpSocket) {
        let sent = client.send_to(b"?", self.address);
        sent.expect("a datagram for somebody");
    }

    /// Which slot a client's datagram comes to.
    fn slot_of(&self, client: &UdpSocket) -> usize {
        self.send(client);
        let came = |socket: &Option<UdpSocket>| {
            let socket = socket.as_ref();
            socket.is_some_and(|socket| socket.recv(&mut [0; 8]).is_ok())
        };
        self.sockets
            .iter()
            .position(came)
            .expect("it came somewhere")
    }

    #[track_caller]
    fn each_is_found(&mut self, slots: &[usize]) {
        let clients = [(); 8].map(|()| client("127.0.0.1"));
        for slot in slots {
            let mut services = vec![Awaited; self.sockets.len()];
            services[*slot] = Serves;
            self.stand(&services);
            for client in &clients {
                assert_eq!(self.slot_of(client), *slot);
            }
        }
    }
}

fn client(host: &str) -> UdpSocket {
    UdpSocket::bind((host, 0)).expect("a loopback address")
}

/// Of more than ten sockets the kernel looks for the group in another way.
#[test]
fn each_flow_keeps_to_the_slot_of_its_bucket() {
    for slots in [3, 12] {
        let table = buckets(slots as usize);
        for (host, to, from) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::1", "::1", "::1"),
            ("::", "127.0.0.1", "127.0.0.1"),
            ("::", "::1", "::1"),
        ] {
            let mut group = Group::new(slots, Spread::ByFlow, host);
            group.address.set_ip(to.parse().expect("an address"));
            let mut had_some = BTreeSet::new();
            for _ in 0..120 {
                let client = client(from);
                let from = client.local_addr().expect("bound");
                let expected = table[bucket_of(from, Client::Flow, table.len())];
                for _ in 0..3 {
                    assert_eq!(group.slot_of(&client), expected, "{from} to {host}");
                }
                had_some.insert(expected);
            }
            assert_eq!(had_some.len(), slots as usize);
        }
    }
}

#[test]
fn a_flow_is_known_by_its_port_wherever_that_stands() {
    let group = Group::new(5, Spread::ByFlow, "127.0.0.1");
    for words in 1..=10 {
        let client = client("127.0.0.1");
        let expected = group.slot_of(&client);
        // Options that say nothing; they come before the port.
        let nothing = vec![1; 4 * words];
        sys::set_option(client.as_fd(), libc::IPPROTO_IP, libc::IP_OPTIONS, &nothing)
            .expect("options for anybody");
        assert_eq!(group.slot_of(&client), expected);
    }
}

#[test]
fn a_client_keeps_to_the_slot_of_its_address() {
    let group = Group::new(3, Spread::ByAddress, "127.0.0.1");
    let table = buckets(3);
    for n in 1..60_u8 {
        let host = IpAddr::from([127, n, n.wrapping_mul(37), n]);
        let address = SocketAddr::new(host, 0);
        let expected = table[bucket_of(address, Client::Address, table.len())];
        for _ in 0..3 {
            let client = client(&host.to_string());
            assert_eq!(group.slot_of(&client), expected, "{host}");
        }
    }
}

#[test]
fn the_kernel_has_positions_as_they_are_seen_here() {
    let mut group = Group::new(5, Spread::ByFlow, "127.0.0.1");
    group.each_is_found(&[0, 1, 2, 3, 4]);
    group.part(4);
    group.each_is_found(&[0, 1, 2, 3]);
    // The last takes its place.
    group.part(1);
    group.each_is_found(&[0, 2, 3]);
    group.join();
    group.each_is_found(&[0, 2, 3, 5]);
}

#[test]
fn flows_leave_a_socket_that_is_about_to_overflow_and_no_other() {
    let mut group = Group::new(4, Spread::ByFlow, "127.0.0.1");
    let clients: Vec<UdpSocket> = (0..80).map(|_| client("127.0.0.1")).collect();
    let slots =
        |group: &Group| -> Vec<usize> { clients.iter().map(|c| group.slot_of(c)).collect() };
    let before = slots(&group);
    let stuck = before[0];
    let socket = group.sockets[stuck].as_ref().expect("bound");
    let socket = socket.try_clone().expect("a duplicate");
    let length = || queue::length(socket.as_fd(), SocketKind::Datagram);
    let mut now = Instant::now();
    group.look(now);
    assert_eq!(group.desk.due, None, "all is empty");
    let most = 1_000;
    let mut sent = 0;
    while length().waiting <= length().room / 4 {
        group.send(&clients[0]);
        sent += 1;
        assert!(sent < most, "{:?}", length());
    }
    group.look(now);
    assert!(group.desk.due.is_some(), "it is looked at again");
    assert!(
        group
            .desk
            .report()
            .iter()
            .all(|it| it.share.left_out.is_none())
    );
    while length().waiting <= length().room / 2 {
        group.send(&clients[0]);
        sent += 1;
        assert!(sent < most, "{:?}", length());
    }
    now += std::time::Duration::from_millis(50);
    group.look(now);
    for (client, before) in clients.iter().zip(&before) {
        group.send(client);
        let takes = |slot: &usize| {
            let others = group.sockets[*slot].as_ref().filter(|_| *slot != stuck);
            others.is_some_and(|socket| socket.recv(&mut [0; 8]).is_ok())
        };
        let slot = (0..4).find(takes).expect("another's");
        assert!(slot == *before || *before == stuck);
    }
    assert_eq!(queue::throw_away(socket.as_fd()), sent);
    assert_eq!(length().waiting, 0);
    for other in group.sockets.iter().flatten() {
        queue::throw_away(other.as_fd());
    }
    now += std::time::Duration::from_millis(50);
    group.look(now);
    assert_eq!(slots(&group), before);
}
