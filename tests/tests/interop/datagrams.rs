//! UDP in programs that know nothing of Ostler: all workers read from one socket.

use std::collections::BTreeSet;

use futures::future::join_all;
use ostler_tests::{
    harness::{App, deadline},
    ostler,
};
use serde_json::json;
use tokio::net::UdpSocket;

use super::*;

const WORKERS: usize = 3;

/// Each datagram is answered once, by one of them.
async fn datagrams_are_answered(command: &[&str]) {
    let socket = json!({"dns": "udp:127.0.0.1:0"});
    let app = App::new("dns", command)
        .set("instances", WORKERS)
        .set("listen", socket)
        .unwatched();
    let fleet = Fleet::ready(ostler!().apps(&[app]), WORKERS).await;
    let status = fleet.status().await;
    let address = status.apps[0].sockets[0]
        .address
        .strip_prefix("udp:")
        .unwrap()
        .to_owned();
    let pids: BTreeSet<_> = status.workers.iter().filter_map(|it| it.pid).collect();
    let ask = async |number: u32| {
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client
            .send_to(number.to_string().as_bytes(), &address)
            .await
            .unwrap();
        let mut answer = [0; 50];
        let came = deadline("an answer", SLOW, client.recv(&mut answer))
            .await
            .unwrap();
        let text = std::str::from_utf8(&answer[..came]).unwrap();
        let (pid, echo) = text.split_once(' ').unwrap();
        assert_eq!(echo, number.to_string());
        assert!(pids.contains(&pid.parse().unwrap()), "{text} {pids:?}");
    };
    join_all((0..30).map(ask)).await;
    fleet.ostler(["reload"]).within(SLOW).success().await;
}

#[tokio::test]
async fn datagrams_are_answered_by_node() {
    let script = "const s = require('dgram').createSocket('udp4'); s.bind({ fd: 3 });\
                  s.on('message', (m, from) => s.send(process.pid + ' ' + m, from.port, from.address));\
                  process.on('SIGTERM', () => s.close());";
    datagrams_are_answered(&["node", "-e", script]).await;
}

#[tokio::test]
async fn datagrams_are_answered_by_python() {
    let script = "import os, socket\n\
                  s = socket.socket(fileno=3)\n\
                  while True:\n    m, who = s.recvfrom(50); s.sendto(b'%d %s' % (os.getpid(), m), who)\n";
    datagrams_are_answered(&["python3", "-c", script]).await;
}
