//! Another program of the same user at the same address.

use std::{io::ErrorKind, net::TcpListener};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

use super::*;

/// One that listens beside whoever does.
fn beside(address: SocketAddr) -> TcpListener {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let own = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let own = own.expect("a socket");
    sockopt::set_socket_reuseport(&own, true).expect("set");
    bind(&own, &address).expect("bound");
    listen(&own, 16).expect("listens");
    own.into()
}

#[tokio::test]
async fn one_gets_nothing_while_places_stay_and_is_told_of_when_they_change() {
    let fleet = ready(&web(2, "slot"), 2).await;
    chosen(&fleet, &[0, 1]).await;
    let address = fleet.address().await;
    let stranger = beside(address);
    let tally = fleet.load_with(to(address, "/").requests(200)).await;
    assert_eq!(tally.finish().await.lost(), 0);
    let none = stranger.accept().expect_err("nothing for it");
    assert_eq!(none.kind(), ErrorKind::WouldBlock);
    let output = fleet.process.output();
    assert!(!output.contains("beside the slots'"), "{output}");
    fleet.ostler(["scale", "3"]).success().await;
    let line = fleet.logged("beside the slots' sockets \"http\"").await;
    let who = format!("web: process {} (", std::process::id());
    let place = format!("listens at {address}");
    assert!(line.contains(&who) && line.contains(&place), "{line}");
    assert!(line.contains("hint: end it"), "{line}");
}
