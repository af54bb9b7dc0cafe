//! How many connections a worker still has of those that came to its listeners: counted from outside, for workers that don't
//! tell. Asked while a worker drains, and not more often than a person reads.
//!
//! Which sockets are a worker's stands in `/proc/PID/fd`, of its children too; which sockets are open connections at a port, or
//! of a Unix path, the kernel's socket diagnosis tells (netlink). It leaves out all others itself, however many there are.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ostler_bus::{Slot, WorkerId};

use super::{Sockets, diagnosis, holder::socket_inode};
use crate::{config::app::AppDefinition, sys};

/// A worker with more descriptors than this is not counted: it would take too long.
const MOST_FDS: usize = 4096;

/// Nor is one with more processes than this.
const MOST_PROCESSES: usize = 64;

/// Where connections come to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Door {
    /// This port of IPv4, or of IPv6 (which may be IPv4's too).
    Port {
        /// Which.
        port: u16,
        /// Whether its socket is one of IPv6.
        v6: bool,
    },
    /// This path.
    Path(PathBuf),
}

impl Door {
    /// Where a socket is that takes connections. Unix paths too long for an address aren't told apart.
    fn of(address: &str) -> Option<Self> {
        if let Some(path) = address.strip_prefix("unix:") {
            return Some(Self::Path(Path::new(path).into()));
        }
        let address: SocketAddr = address.parse().ok()?;
        let (port, v6) = (address.port(), address.is_ipv6());
        Some(Self::Port { port, v6 })
    }
}

impl Sockets {
    /// Where connections come to a worker.
    #[must_use]
    pub fn doors(&self, app: &AppDefinition, slot: Slot, worker: WorkerId) -> BTreeSet<Door> {
        let declared = self.of_worker(app, slot).into_iter();
        let declared = declared.map(|socket| socket.address().to_string());
        let asked = self
            .status_of_asked(app.name.as_str())
            .filter(|(_, socket)| {
                let mut asked_by = socket.asked_by.iter().flatten();
                asked_by.any(|id| *id == worker)
            });
        let all = declared.chain(asked.map(|(_, socket)| socket.address));
        all.filter_map(|address| Door::of(&address)).collect()
    }
}

/// How many connections that came to these doors a process and its children have open; `None` if that can't be said, or not at
/// little cost. Blocks for some milliseconds at most.
#[must_use]
pub fn open_connections(process: u32, doors: &BTreeSet<Door>) -> Option<u64> {
    let its = sockets_of(process)?;
    let mut open = BTreeSet::new();
    for door in doors {
        open.extend(match door {
            Door::Port { port, v6 } => diagnosis::open_at_port(*port, *v6)?,
            Door::Path(path) => diagnosis::open_at_path(path)?,
        });
    }
    let count = its.intersection(&open).count();
    Some(count as u64)
}

/// The inodes of the sockets that a process and those below it have.
fn sockets_of(process: u32) -> Option<BTreeSet<u32>> {
    let (mut next, mut inodes) = (vec![process], BTreeSet::new());
    let (mut processes, mut fds) = (0, 0);
    while let Some(pid) = next.pop() {
        processes += 1;
        let there = match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(there) => there,
            // A child that has ended meanwhile.
            Err(_) if pid != process => continue,
            Err(_) => return None,
        };
        for fd in there.flatten() {
            fds += 1;
            if fds > MOST_FDS || processes > MOST_PROCESSES {
                return None;
            }
            inodes.extend(
                fs::read_link(fd.path())
                    .ok()
                    .and_then(|to| socket_inode::<u32>(&to)),
            );
        }
        next.extend(sys::children(pid).unwrap_or_default());
    }
    Some(inodes)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{Shutdown, TcpListener, TcpStream},
        os::{
            fd::OwnedFd,
            unix::net::{UnixListener, UnixStream},
        },
        process::{Child, Command, Stdio},
    };

    use super::*;

    /// A process that has these descriptors and no others: what other tests in this one open is not counted.
    struct Keeper(Child);

    impl Keeper {
        fn of(fds: impl IntoIterator<Item = OwnedFd>) -> Self {
            let mut fds = fds.into_iter();
            let mut next = || fds.next().map_or_else(Stdio::null, Stdio::from);
            let mut sleep = Command::new("sleep");
            sleep.arg("60").stdin(next()).stdout(next()).stderr(next());
            Self(sleep.spawn().expect("sleep runs"))
        }

        fn has(&self, door: &Door) -> Option<u64> {
            open_connections(self.0.id(), &BTreeSet::from([door.clone()]))
        }
    }

    impl Drop for Keeper {
        fn drop(&mut self) {
            self.0.kill().expect("ours");
            self.0.wait().expect("ours");
        }
    }

    #[test]
    fn connections_that_came_to_a_port_are_counted_while_they_are_open() {
        for (at, v6) in [("127.0.0.1:0", false), ("[::]:0", true)] {
            let listener = TcpListener::bind(at).expect("a port");
            let port = listener.local_addr().expect("bound").port();
            let door = Door::Port { port, v6 };
            let listens = Keeper::of([listener.try_clone().expect("another").into()]);
            assert_eq!(listens.has(&door), Some(0), "who listens is no connection");
            let connect = || TcpStream::connect(("127.0.0.1", port)).expect("a listener");
            let clients = [connect(), connect(), connect()];
            assert_eq!(listens.has(&door), Some(0), "nobody has accepted them");
            let copies = clients
                .each_ref()
                .map(|it| it.try_clone().expect("another"));
            let their_own = Keeper::of(copies.map(OwnedFd::from));
            assert_eq!(their_own.has(&door), Some(0), "clients are not counted");
            let accept = || listener.accept().expect("one waits").0;
            let (first, second) = (accept(), accept());
            let one = Keeper::of([first.try_clone().expect("another").into()]);
            let both = Keeper::of([first.into(), second.into()]);
            assert_eq!((one.has(&door), both.has(&door)), (Some(1), Some(2)));
            // Their clients have said all; they may still be answered.
            for client in &clients {
                client.shutdown(Shutdown::Write).expect("open");
            }
            assert_eq!(both.has(&door), Some(2));
        }
    }

    #[test]
    fn connections_that_came_to_a_path_are_counted() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, other) = (dir.path().join("a.sock"), dir.path().join("b.sock"));
        let listener = UnixListener::bind(&path).expect("a path");
        let elsewhere = UnixListener::bind(&other).expect("a path");
        let door = Door::Path(path.clone());
        let _clients =
            [&path, &path, &other].map(|to| UnixStream::connect(to).expect("a listener"));
        let listens = Keeper::of([listener.try_clone().expect("another").into()]);
        assert_eq!(listens.has(&door), Some(0));
        let accepted = [&listener, &elsewhere].map(|it| it.accept().expect("one waits").0);
        let both = Keeper::of(accepted.map(OwnedFd::from));
        assert_eq!(both.has(&door), Some(1));
    }

    #[test]
    fn a_process_that_has_gone_is_not_counted() {
        let nowhere = BTreeSet::new();
        assert_eq!(open_connections(u32::MAX, &nowhere), None);
        let keeper = Keeper::of([]);
        assert_eq!(open_connections(keeper.0.id(), &nowhere), Some(0));
    }

    #[test]
    fn datagrams_come_to_no_door() {
        let port = |port, v6| Some(Door::Port { port, v6 });
        assert_eq!(Door::of("127.0.0.1:80"), port(80, false));
        assert_eq!(Door::of("[::]:80"), port(80, true));
        assert_eq!(Door::of("unix:/a b"), Some(Door::Path("/a b".into())));
        assert_eq!(Door::of("udp:127.0.0.1:53"), None);
    }
}
