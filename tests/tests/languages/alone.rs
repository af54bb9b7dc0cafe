//! What Python's `ostler_sockets` does by itself, in a process that is nobody's worker.

use ostler_tests::harness::{Language, PATIENCE, deadline};

/// What a program prints that has the path of the client as its argument, and no more.
async fn prints(program: &str) -> String {
    let runs = tokio::process::Command::new(Language::Python.interpreter())
        .args(["-B", "-c", program])
        .arg(Language::Python.client())
        .kill_on_drop(true)
        .output();
    let output = deadline("the end", PATIENCE, runs).await.expect("Python");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("text")
}

/// One listener with room for one connection; what waits for its header is accepted before that one.
const FULL: &str = r#"
import socket, sys, threading, time
sys.path.insert(0, sys.argv[1])
from ostler_sockets import proxied
from ostler_sockets.listener import Listener

class Worker:
    draining, deadline = threading.Event(), time.monotonic() + 60
    def _when_draining(self, tell):
        self.tell = tell
    def _forget(self, tell):
        pass

proxied.WITHIN = 1
worker, sock = Worker(), socket.create_server(("127.0.0.1", 0))
late, silent, first = [socket.create_connection(sock.getsockname(), 10) for _ in range(3)]
header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 80\r\n"
late.sendall(header[:9])
first.sendall(header)
listener = Listener(worker, sock, strips=True)
listener.limit(1)
connections = iter(listener)
opened = next(connections)
worker._draining_since = time.monotonic()
worker.draining.set()
worker.tell()
rest = []
def take():
    for connection in connections:
        rest.append(connection.recv(9))
        connection.close()
taker = threading.Thread(target=take, daemon=True)
taker.start()
late.sendall(header[9:] + b"hello")
print("the silent one:", silent.recv(1), rest)
opened.close()
taker.join(10)
print(rest, listener.is_closed)
"#;

#[tokio::test]
async fn while_there_is_no_room_at_the_end_headers_are_read_and_the_silent_dropped() {
    let told = prints(FULL).await;
    assert_eq!(told, "the silent one: b'' []\n[b'hello'] True\n");
}

/// Gives a connection where nobody passes any on, and where the master has gone.
const NOBODY: &str = r#"
import socket, sys
sys.path.insert(0, sys.argv[1])
from ostler_sockets import NotSent, Worker
from ostler_sockets.passing import Passing

ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
theirs.close()
for passing in (None, Passing(ours)):
    worker, (connection, client) = Worker.__new__(Worker), socket.socketpair()
    worker._passing = passing
    try:
        worker.send_connection(connection, "to.app.web.join")
    except NotSent as error:
        error.connection.sendall(b"kept")
        print(client.recv(4))
"#;

#[tokio::test]
async fn what_no_master_passes_on_is_its_sender_s_again() {
    assert_eq!(prints(NOBODY).await, "b'kept'\nb'kept'\n");
}
