//! A Unix socket for packets, which workers share: each message is whole, and none is lost while workers are replaced.

use std::{
    collections::BTreeSet,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};

use super::*;

/// Told apart by their lengths.
const PACKETS: [usize; 3] = [1, 777, 50_000];

/// Clients that connect, ask and end, again and again, until they are stopped.
struct Crowd {
    over: Arc<AtomicBool>,
    /// Each version that has answered, and each process; and how many connections were served to their end.
    heard: Arc<Mutex<Heard>>,
    clients: Vec<JoinHandle<Result<(), String>>>,
}

#[derive(Debug, Default)]
struct Heard {
    versions: BTreeSet<String>,
    processes: BTreeSet<String>,
    conversations: u64,
}

impl Crowd {
    fn gather(path: &Path) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let heard = Arc::default();
        let client = || {
            let (over, heard, path) = (Arc::clone(&over), Arc::clone(&heard), path.to_owned());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    converse(&path, &heard)?;
                }
                Ok(())
            })
        };
        let clients = std::iter::repeat_with(client).take(4).collect();
        Self {
            over,
            heard,
            clients,
        }
    }

    /// Waits until so many more were served to their end.
    async fn go_on(&self, more: u64) {
        let count = || self.heard.lock().expect("no holder panics").conversations;
        let enough = count() + more;
        eventually("conversations", PATIENCE, || {
            let lost = self.clients.iter().any(JoinHandle::is_finished);
            (count() >= enough || lost).then_some(())
        })
        .await;
    }

    /// Stops all, none of which may have failed.
    fn end(self) -> Heard {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            let ended = client.join().expect("a client that doesn't panic");
            ended.unwrap_or_else(|why| panic!("lost: {why}"));
        }
        let heard = Arc::into_inner(self.heard).expect("all have ended");
        heard.into_inner().expect("no holder panics")
    }
}

/// One connection, on which each packet is answered by one.
fn converse(path: &Path, heard: &Mutex<Heard>) -> Result<(), String> {
    let own = connected(path).map_err(|e| format!("connect: {e}"))?;
    for length in PACKETS {
        let sent = send(&own, &vec![b'x'; length], SendFlags::NOSIGNAL);
        let sent = sent.map_err(|e| format!("a packet of {length}: {e}"))?;
        assert_eq!(sent, length);
    }
    for length in PACKETS {
        let mut answer = [0; 100];
        let got = recv(&own, &mut answer, RecvFlags::empty());
        let (got, _) = got.map_err(|e| format!("the answer to {length}: {e}"))?;
        let answer = String::from_utf8_lossy(&answer[..got]).into_owned();
        let words: Vec<&str> = answer.split(' ').collect();
        let [process, version, told] = words[..] else {
            return Err(format!("to {length} {answer:?} is answered"));
        };
        if told != length.to_string() {
            return Err(format!("{told} have arrived of {length}"));
        }
        let mut heard = heard.lock().expect("no holder panics");
        heard.versions.insert(version.into());
        heard.processes.insert(process.into());
    }
    heard.lock().expect("no holder panics").conversations += 1;
    Ok(())
}

fn connected(path: &Path) -> rustix::io::Result<OwnedFd> {
    let (unix, packets) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    let own = socket_with(unix, packets, SocketFlags::CLOEXEC, None)?;
    for way in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&own, way, Some(PATIENCE))?;
    }
    connect(&own, &SocketAddrUnix::new(path)?)?;
    Ok(own)
}

#[tokio::test]
async fn workers_that_share_a_socket_for_packets_lose_none_over_updates() {
    let socket = json!({"address": "unix:packets.sock", "type": "seqpacket", "mode": "shared"});
    let app = habit!("jobs", "notify 0 answer-packets version")
        .unwatched()
        .instances(3)
        .set("listen", json!({ "jobs": socket }));
    let mut master = running(&[app], &["jobs"]).await;
    let path = master.dir().at("packets.sock");
    let crowd = Crowd::gather(&path);
    for version in 2..=4 {
        crowd.go_on(50).await;
        master.dir().write("version", &version.to_string());
        master.ostler(["reload"]).success().await;
    }
    crowd.go_on(50).await;
    let heard = crowd.end();
    assert_eq!(heard.versions.len(), 4, "{heard:?}");
    assert!(heard.processes.len() >= 4, "{heard:?}");
    let shown = sockets(&master).await;
    assert_eq!((shown.len(), &shown[0]["mode"]), (1, &json!("shared")));
    // With nobody there who connects waits, as at any socket.
    master.ostler(["stop"]).success().await;
    let waits = Crowd::gather(&path);
    master.ostler(["start"]).success().await;
    waits.go_on(20).await;
    waits.end();
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(!path.exists());
}
