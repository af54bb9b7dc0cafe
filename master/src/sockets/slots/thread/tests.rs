//! What is left when the thread ends.

use std::net::{SocketAddr, TcpStream};

use ostler_bus::Slot;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};

use super::*;
use crate::{
    config::app::socket::SocketKind,
    fleet::Service,
    sockets::{
        queue,
        slots::{Groups, Spread},
    },
};

fn app() -> AppName {
    AppName::new("web").expect("a name")
}

/// A listener beside others at an address.
fn listener(address: SocketAddr) -> OwnedFd {
    let listener = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_reuseport(&listener, true).expect("set");
    bind(&listener, &address).expect("bound");
    listen(&listener, 256).expect("listens");
    listener
}

fn in_group(slot: u32, listener: &OwnedFd) -> InGroup {
    InGroup {
        id: SocketId::made_up(slot.into()),
        app: app(),
        name: "http".into(),
        slot: Slot(slot),
        kind: SocketKind::Stream,
        spread: Spread::Evenly,
        listener: listener.try_clone().expect("a duplicate"),
    }
}

/// Two listeners at one address.
fn two() -> ([OwnedFd; 2], SocketAddr) {
    let first = listener(SocketAddr::from(([127, 0, 0, 1], 0)));
    let address = getsockname(&first).expect("an address");
    let address = SocketAddr::try_from(address).expect("of IP");
    ([first, listener(address)], address)
}

#[test]
fn when_the_thread_ends_the_kernel_chooses_among_all() {
    let mut thread = Thread::new(Arc::new(Mailbox::new().expect("made"))).expect("made");
    let (listeners, address) = two();
    let group = [in_group(0, &listeners[0]), in_group(1, &listeners[1])];
    thread.obey(Command::Join(group.into())).expect("joined");
    let stand = Command::Stand {
        app: app(),
        size: 2,
        services: vec![Service::Serves, Service::Awaited],
    };
    thread.obey(stand).expect("done");
    thread.look(true).expect("looked");
    let mut clients = Vec::new();
    let mut come = |count: usize| {
        let clients_now = (0..count).map(|_| TcpStream::connect(address).expect("connected"));
        clients.extend(clients_now);
        queue::length(listeners[1].as_fd(), SocketKind::Stream).waiting
    };
    assert_eq!(come(40), 0, "it is left out");
    drop(thread);
    assert!(come(60) > 0, "it is chosen again");
}

/// An app's slots stand as they did when it gets a second socket.
#[test]
fn sockets_that_come_later_are_told_how_slots_stand() {
    let mut groups = Groups::default();
    let stands = |groups: &mut Groups| {
        let services = vec![Service::Serves, Service::GivenUp];
        groups.stand(&app(), 2, services);
    };
    let (first, second) = (two().0, two().0);
    let http = [0, 1].map(|slot| in_group(slot, &first[slot as usize]));
    groups.join(http.into()).expect("joined");
    stands(&mut groups);
    let admin = [0, 1].map(|slot| InGroup {
        id: SocketId::made_up(u64::from(slot) + 2),
        name: "admin".into(),
        ..in_group(slot, &second[slot as usize])
    });
    groups.join(admin.into()).expect("joined");
    stands(&mut groups);
    let report = groups.report().expect("it runs").blocking_recv();
    let report = report.expect("an answer").into_iter();
    let left_out = report.filter(|it| it.share.left_out.is_some());
    let left_out: Vec<_> = left_out.map(|it| (it.name, it.slot.0)).collect();
    assert_eq!(left_out, [("http".into(), 1), ("admin".into(), 1)]);
}
