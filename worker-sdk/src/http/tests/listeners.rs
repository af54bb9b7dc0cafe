//! Listeners that others share, and break.

use std::{
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener as StdUnixListener, UnixStream},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use rustix::net::{Shutdown, listen, shutdown};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::support::{Client, PATIENCE};
use crate::{Draining, Listener, drain, http};

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// A shared TCP socket as the master holds it, and its address.
fn shared() -> (OwnedFd, std::net::SocketAddr) {
    let master = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = master.local_addr().unwrap();
    (master.into(), address)
}

async fn ask(address: std::net::SocketAddr) -> String {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    Client(stream).ask("/").await.body
}

#[tokio::test]
async fn a_listener_that_another_worker_shut_down_serves_again_when_the_master_opens_it() {
    let (master, address) = shared();
    let listener = Listener::inherited("http", master.try_clone().unwrap(), None).unwrap();
    let (_trigger, signal) = drain::signal();
    let server = tokio::spawn(http::serve(listener, app(), signal));
    assert_eq!(ask(address).await, "hello");
    shutdown(&master, Shutdown::Both).unwrap();
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.unwrap();
    listen(&master, 16).unwrap();
    // A port that the kernel chose is chosen anew.
    let address = std::net::TcpListener::from(master.try_clone().unwrap())
        .local_addr()
        .unwrap();
    assert_eq!(timeout(PATIENCE, ask(address)).await.unwrap(), "hello");
    let before = cpu();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(cpu() - before < Duration::from_millis(250), "it spins");
    assert_eq!(ask(address).await, "hello");
    server.abort();
}

/// CPU time of this thread, on which everything here runs.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[tokio::test]
async fn a_listener_that_stays_shut_ends_the_worker() {
    let (master, address) = shared();
    let listener = Listener::inherited("http", master.try_clone().unwrap(), None).unwrap();
    let (_trigger, signal) = drain::signal();
    let server = tokio::spawn(http::serve(listener, app(), signal));
    assert_eq!(ask(address).await, "hello");
    shutdown(&master, Shutdown::Both).unwrap();
    let ended = timeout(PATIENCE, server).await.expect("given up").unwrap();
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test]
async fn draining_one_worker_leaves_a_shared_socket_to_the_others() {
    let (master, address) = shared();
    let (trigger, signal) = drain::signal();
    let listener = Listener::inherited("http", master.try_clone().unwrap(), None).unwrap();
    let first = tokio::spawn(http::serve(listener, app(), signal));
    assert_eq!(ask(address).await, "hello");
    trigger.begin(Draining::within("test", PATIENCE));
    timeout(PATIENCE, first).await.unwrap().unwrap().unwrap();
    // Nobody accepts; the socket is open all the same, and the connection waits for whoever comes.
    let waiting = tokio::spawn(ask(address));
    let listener = Listener::inherited("http", master, None).unwrap();
    let (_trigger, signal) = drain::signal();
    let second = tokio::spawn(http::serve(listener, app(), signal));
    assert_eq!(timeout(PATIENCE, waiting).await.unwrap().unwrap(), "hello");
    second.abort();
}

/// While there is no master that would wait for it.
#[tokio::test]
async fn a_client_whose_proxy_s_header_comes_during_the_drain_is_served() {
    const HEADER: &[u8] = b"PROXY UNKNOWN\r\n";
    let (socket, address) = shared();
    let listener = Listener::inherited("http", socket, None).unwrap();
    let (trigger, signal) = drain::signal();
    let server = tokio::spawn(http::serve(listener.stripping(), app(), signal));
    let connect = async || Client(tokio::net::TcpStream::connect(address).await.unwrap());
    let (mut late, mut early) = (connect().await, connect().await);
    early.0.write_all(HEADER).await.unwrap();
    // In the accept queue's order: the other was accepted too.
    assert_eq!(early.ask("/").await.body, "hello");
    trigger.begin(Draining::within("test", PATIENCE));
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("stops accepting");
    late.0.write_all(HEADER).await.unwrap();
    assert_eq!(late.ask("/").await.body, "hello");
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn unix_sockets_are_served_and_drained_alike() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = StdUnixListener::bind(&path).unwrap();
    let listener = Listener::inherited("http", socket.into(), None).unwrap();
    assert_eq!(listener.address(), format!("unix:{}", path.display()));
    let (trigger, signal) = drain::signal();
    let server = tokio::spawn(http::serve(listener, app(), signal));
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut stream = tokio::net::UnixStream::from_std(stream).unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    let began = Instant::now();
    trigger.begin(Draining::within("test", PATIENCE));
    let mut rest = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert!(rest.ends_with("hello"), "{rest}");
    timeout(PATIENCE, server).await.unwrap().unwrap().unwrap();
    assert!(began.elapsed() >= http::LAME_DUCK);
}
