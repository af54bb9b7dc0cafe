//! With the kernel: it has to see positions, programs and addresses as they are seen here.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use rustix::net::{
    AddressFamily, Shutdown, SocketType, bind, connect, listen, shutdown, socket, sockopt,
};

use super::*;
use crate::sockets::slots::{
    program::{Client, bucket_of},
    table::buckets,
};
use Service::{Awaited, Serves};

/// Listeners at one address, and who tells the kernel which to choose.
struct Group {
    desk: Desk,
    listeners: Vec<OwnedFd>,
    address: SocketAddr,
    /// Connections stay open, or queues would shrink.
    clients: Vec<OwnedFd>,
}

fn waiting(listener: &OwnedFd) -> u32 {
    queue::length(listener.as_fd(), SocketKind::Stream).waiting
}

fn listener(address: SocketAddr) -> OwnedFd {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let listener = socket(family, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_reuseport(&listener, true).expect("set");
    bind(&listener, &address).expect("bound");
    listener
}

/// One that listens.
fn stranger(address: SocketAddr) -> OwnedFd {
    let own = listener(address);
    listen(&own, 256).expect("listens");
    own
}

/// A slot's own, and what the desk is told of it.
fn member(slot: u32, spread: Spread, address: SocketAddr) -> (OwnedFd, InGroup) {
    let own = stranger(address);
    let it = InGroup {
        id: SocketId::made_up(slot.into()),
        app: AppName::new("web").expect("a name"),
        name: "http".into(),
        slot: Slot(slot),
        kind: SocketKind::Stream,
        spread,
        listener: own.try_clone().expect("a duplicate"),
    };
    (own, it)
}

impl Group {
    fn new(slots: u32, spread: Spread, host: &str) -> Self {
        let mut desk = None;
        let mut address = SocketAddr::new(host.parse().expect("an address"), 0);
        // By its number: the kernel lets go of a port that it chose itself when the listener is shut down.
        let first = TcpListener::from(listener(address));
        address = first.local_addr().expect("bound");
        let mut listeners = Vec::new();
        for slot in 0..slots {
            let (own, it) = member(slot, spread, address);
            let desk = desk.get_or_insert_with(|| Desk::of(&it).expect("made"));
            desk.join(it).expect("watched");
            listeners.push(own);
        }
        drop(first);
        let mut desk = desk.expect("some slots");
        desk.stand(slots, &vec![Serves; slots as usize]);
        desk.direct();
        Self {
            desk,
            listeners,
            address,
            clients: Vec::new(),
        }
    }

    /// Only this slot serves from now on.
    fn only(&mut self, slot: usize) {
        let mut services = vec![Awaited; self.listeners.len()];
        services[slot] = Serves;
        self.desk.stand(self.listeners.len() as u32, &services);
        self.desk.direct();
    }

    fn queues(&self) -> Vec<u32> {
        self.listeners.iter().map(waiting).collect()
    }

    /// Which slot a client comes to, from this address if it matters.
    fn connect(&mut self, from: Option<IpAddr>) -> usize {
        let before = self.queues();
        let client = match from {
            None => TcpStream::connect(self.address).expect("connected").into(),
            Some(from) => {
                let family = match from {
                    IpAddr::V4(_) => AddressFamily::INET,
                    IpAddr::V6(_) => AddressFamily::INET6,
                };
                let client = socket(family, SocketType::STREAM, None).expect("a socket");
                bind(&client, &SocketAddr::new(from, 0)).expect("bound");
                connect(&client, &self.address).expect("connected");
                client
            }
        };
        self.clients.push(client);
        let after = self.queues();
        let came = |slot: &usize| after[*slot] > before[*slot];
        (0..after.len()).find(came).expect("it came somewhere")
    }

    fn shut(&mut self, slot: usize) {
        shutdown(&self.listeners[slot], Shutdown::Both).expect("shut");
        self.desk.shut(&[SocketId::made_up(slot as u64)]);
    }

    /// These are shut down in this order before anybody hears of it; then they listen again in that of the slots.
    fn shut_at_once(&mut self, slots: &[usize]) {
        for slot in slots {
            shutdown(&self.listeners[*slot], Shutdown::Both).expect("shut");
        }
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        let id = |slot: &usize| SocketId::made_up(*slot as u64);
        self.desk.shut(&slots.iter().map(id).collect::<Vec<_>>());
        slots.into_iter().for_each(|slot| self.listen_again(slot));
    }

    fn listen_again(&mut self, slot: usize) {
        listen(&self.listeners[slot], 256).expect("listens");
        self.desk.mended(SocketId::made_up(slot as u64), &[]);
    }

    #[track_caller]
    fn each_is_found(&mut self, slots: &[usize]) {
        for slot in slots {
            self.only(*slot);
            for _ in 0..4 {
                assert_eq!(self.connect(None), *slot);
            }
        }
    }
}

fn bucket(client: IpAddr, buckets: usize) -> usize {
    bucket_of(SocketAddr::new(client, 0), Client::Address, buckets)
}

#[test]
fn the_kernel_has_positions_as_they_are_seen_here() {
    let mut group = Group::new(5, Spread::Evenly, "127.0.0.1");
    group.each_is_found(&[0, 1, 2, 3, 4]);
    // Client of others before it is told of the end of one: that one's still in the first place.
    shutdown(&group.listeners[0], Shutdown::Both).expect("shut");
    group.only(2);
    group.listen_again(0);
    group.each_is_found(&[0, 1, 2, 3, 4]);
    group.shut(1);
    group.each_is_found(&[0, 2, 3, 4]);
    group.listen_again(1);
    group.each_is_found(&[0, 1, 2, 3, 4]);
    // Mended before anybody was told of its end.
    shutdown(&group.listeners[0], Shutdown::Both).expect("shut");
    group.listen_again(0);
    group.each_is_found(&[0, 1, 2, 3, 4]);
    // The highest slot goes, which is not the last any more.
    group.desk.part(SocketId::made_up(4));
    shutdown(&group.listeners[4], Shutdown::Both).expect("shut");
    group.each_is_found(&[0, 1, 2, 3]);
}

#[test]
fn several_that_are_shut_down_at_once_are_found_again() {
    for at_once in [
        &[0, 1, 2][..],
        &[2, 1, 0],
        // One of the last is not among them, and there is one place for it.
        &[1, 0],
        &[2, 0],
    ] {
        let mut group = Group::new(3, Spread::Evenly, "127.0.0.1");
        group.shut_at_once(at_once);
        group.each_is_found(&[0, 1, 2]);
    }
    let mut group = Group::new(5, Spread::Evenly, "127.0.0.1");
    group.shut_at_once(&[3, 0, 4, 2, 1]);
    group.each_is_found(&[0, 1, 2, 3, 4]);
    group.shut_at_once(&[4, 1]);
    group.each_is_found(&[0, 1, 2, 3, 4]);
}

/// In one order the kernel has the last two in each other's places, in the other it hasn't: nothing may rest on which.
#[test]
fn who_may_have_anothers_place_is_left_out_with_it() {
    for at_once in [[0, 1], [1, 0]] {
        let mut group = Group::new(4, Spread::Evenly, "127.0.0.1");
        group.shut_at_once(&at_once);
        group.each_is_found(&at_once);
        for out in [2, 3] {
            let mut services = vec![Serves; 4];
            services[out] = Awaited;
            group.desk.stand(4, &services);
            group.desk.direct();
            let came: Vec<usize> = (0..30).map(|_| group.connect(None)).collect();
            assert!(came.iter().all(|slot| *slot < 2), "{came:?}");
        }
        group.desk.stand(4, &[Serves; 4]);
        group.desk.direct();
        let mut came: Vec<usize> = (0..80).map(|_| group.connect(None)).collect();
        came.sort_unstable();
        came.dedup();
        assert_eq!(came, [0, 1, 2, 3]);
        // All at once: the kernel begins anew, and so does what is known.
        group.shut_at_once(&[2, 0, 1, 3]);
        group.each_is_found(&[0, 1, 2, 3]);
    }
}

/// What is said of strangers rests on both: the last in the group gets nothing, and one with others after it does.
#[test]
fn a_stranger_has_a_place_and_gets_nothing_only_as_long_as_it_is_the_last() {
    let mut group = Group::new(3, Spread::Evenly, "127.0.0.1");
    let stranger = stranger(group.address);
    group.each_is_found(&[0, 1, 2]);
    assert_eq!(waiting(&stranger), 0);
    // The highest slot goes; the stranger is the last still, in its place.
    group.desk.part(SocketId::made_up(2));
    shutdown(&group.listeners[2], Shutdown::Both).expect("shut");
    group.each_is_found(&[0, 1]);
    assert_eq!(waiting(&stranger), 0);
    // The next one is not where it is looked for.
    let (own, it) = member(2, Spread::Evenly, group.address);
    group.desk.join(it).expect("watched");
    group.listeners[2] = own;
    group.each_is_found(&[0, 1]);
    group.only(2);
    let client = TcpStream::connect(group.address).expect("connected");
    group.clients.push(client.into());
    assert_eq!((waiting(&stranger), waiting(&group.listeners[2])), (1, 0));
}

#[test]
fn clients_come_to_the_slot_of_their_bucket() {
    let table = buckets(3);
    let mut v4 = Group::new(3, Spread::ByAddress, "127.0.0.1");
    let mut both = Group::new(3, Spread::ByAddress, "::");
    both.address
        .set_ip("127.0.0.1".parse().expect("an address"));
    for n in 1..60_u8 {
        let from = IpAddr::from([127, n, n.wrapping_mul(37), n]);
        let expected = table[bucket(from, table.len())];
        assert_eq!(v4.connect(Some(from)), expected, "{from}");
        assert_eq!(both.connect(Some(from)), expected, "{from}, by IPv6");
    }
    let mut v6 = Group::new(3, Spread::ByAddress, "::1");
    let from = "::1".parse().expect("an address");
    assert_eq!(v6.connect(Some(from)), table[bucket(from, table.len())]);
}

#[test]
fn a_look_leaves_out_whoever_has_a_long_queue() {
    let mut group = Group::new(3, Spread::Evenly, "127.0.0.1");
    let mut now = Instant::now();
    group.desk.came(now);
    assert!(group.desk.due.is_some_and(|due| due <= now));
    group.desk.look(now).expect("looked");
    assert_eq!(group.desk.due, None, "all is empty");
    group.only(1);
    for _ in 0..9 {
        group.connect(None);
    }
    group.desk.stand(3, &[Serves; 3]);
    group.desk.look(now).expect("looked");
    group.desk.direct();
    assert!(group.desk.due.is_some(), "it is looked at again");
    for _ in 0..20 {
        assert_ne!(group.connect(None), 1);
    }
    while let Ok(connection) = rustix::net::accept(&group.listeners[1]) {
        drop(connection);
        if waiting(&group.listeners[1]) == 0 {
            break;
        }
    }
    now += std::time::Duration::from_millis(50);
    group.desk.look(now).expect("looked");
    group.desk.direct();
    let came: Vec<usize> = (0..40).map(|_| group.connect(None)).collect();
    assert!(came.contains(&1), "{came:?}");
}

#[test]
fn the_largest_table_is_taken_by_the_kernel() {
    let mut group = Group::new(60, Spread::ByAddress, "127.0.0.1");
    let table = buckets(60);
    assert!(!group.desk.refused);
    let from = IpAddr::from([127, 9, 8, 7]);
    assert_eq!(group.connect(Some(from)), table[bucket(from, table.len())]);
}
