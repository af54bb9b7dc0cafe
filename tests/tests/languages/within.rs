//! What the Python package does within its process, where no master could be made to say or do what it is to bear.

use ostler_tests::harness::{Language, PATIENCE, deadline};

/// What a script prints that is given the package.
async fn printed(script: &str) -> String {
    let script = format!(
        "import sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, sys.argv[1])\n{script}"
    );
    let mut python = tokio::process::Command::new(Language::Python.interpreter());
    python.args(["-c", &script]).arg(Language::Python.client());
    let ended = python.kill_on_drop(true).output();
    let ended = deadline("its end", PATIENCE, ended).await.expect("Python");
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{errors}");
    String::from_utf8(ended.stdout).expect("text")
}

const LATER_WORDS: &str = r#"
import array, json, os, socket, threading
import ostler
from ostler_sockets.passing import Passing
master, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
passing = Passing(worker)
before = len(os.listdir("/proc/self/fd"))
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))]
for word in (b"nonsense", b"[]", b"3", b'{"a": {}, "b": {}}', b'{"later": [1]}', b'{"later": {"id": 9}}', b"\xff"):
    master.sendmsg([word], rights)
def answer():
    number = json.loads(master.recv(100))["give"]["id"]
    master.send(json.dumps({"held": {"id": number, "token": "mine"}}).encode())
    master.recv(100)
    master.close()
threading.Thread(target=answer).start()
print(passing.ask("give")[1]["token"], len(os.listdir("/proc/self/fd")) - before)
try:
    passing.ask("give")
except ostler.Disconnected:
    print("gone")
"#;

/// Words of a later version are for nobody, and what comes with them is closed; who asks is answered all the same.
#[tokio::test]
async fn words_that_nobody_knows_are_passed_over() {
    assert_eq!(printed(LATER_WORDS).await, "mine 0\ngone\n");
}

const OTHER_DESCRIPTORS: &str = r#"
import array, os, socket, struct, threading
from ostler_sockets import Listener
class Worker:
    draining = threading.Event()
    def _when_draining(self, tell):
        pass
    def _forget(self, tell):
        pass
master, worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener = Listener(Worker(), socket.create_server(("127.0.0.1", 0)), worker)
before = len(os.listdir("/proc/self/fd"))
def hand(kind, count, fds):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    master.sendmsg([struct.pack("<BBH4x", 1, kind, count)], rights)
some = listener.socket.fileno()
hand(1, 1, [some, some, some])
connection = listener._next()
print(len(os.listdir("/proc/self/fd")) - before)
connection.close()
hand(9, 2, [some, some])
listener._next()
print(len(os.listdir("/proc/self/fd")) - before)
"#;

/// With a word that there isn't, the master is lost: its channel is closed, too.
#[tokio::test]
async fn descriptors_that_belong_to_no_connection_are_closed() {
    assert_eq!(printed(OTHER_DESCRIPTORS).await, "1\n-1\n");
}

const SLOW_HANDSHAKE: &str = r#"
import asyncio, socket, ssl, threading, time
from ostler_sockets import Listener
class Worker:
    draining = threading.Event()
    def _when_draining(self, tell):
        self.tell = tell
    def _forget(self, tell):
        pass
worker = Worker()
listening = socket.create_server(("127.0.0.1", 0))
listener = Listener(worker, listening)
silent = socket.create_connection(listening.getsockname())
async def drains():
    while not listener._open:
        await asyncio.sleep(0.01)
    worker.draining.set()
    worker.tell()
async def main():
    drain = asyncio.ensure_future(drains())
    await listener.serve_protocol(asyncio.Protocol, ssl=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
begun = time.monotonic()
asyncio.run(main())
print(5 <= time.monotonic() - begun < 20, silent.recv(1))
"#;

/// For the time that a client has for its first request, not for asyncio's minute.
#[tokio::test]
async fn a_client_that_never_shakes_hands_holds_no_drain_up() {
    assert_eq!(printed(SLOW_HANDSHAKE).await, "True b''\n");
}
