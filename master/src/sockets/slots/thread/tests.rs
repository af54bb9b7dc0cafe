//! What is left when the thread ends.

use std::net::{SocketAddr, TcpStream};

use ostler_bus::Slot;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket, sockopt};

use super::*;
use crate::{
    config::app::socket::SocketKind,
    fleet::Service,
    sockets::{queue, slots::Spread},
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
