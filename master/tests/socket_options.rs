//! What can be said of a socket beside where it is, as the kernel then sees it: on loopback, on free ports, in private
//! directories.

#[path = "socket_options/tcp.rs"]
mod tcp;

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
            net::{UnixDatagram, UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ostler::{
    config::{
        app::{
            AppName, SocketDeclaration,
            socket::{SocketFile, SocketKind, SocketOptions},
        },
        flags,
    },
    sockets::{BindError, BoundSocket, ListenerWatch, Mended, Problem, bind},
    sys::FdTable,
};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt},
};

fn declare(text: &str, options: SocketOptions) -> SocketDeclaration {
    let declarations = flags::listen(&[text], Path::new("/")).expect("an address");
    SocketDeclaration {
        options,
        ..declarations[0].clone()
    }
}

fn try_bind(
    text: &str,
    options: SocketOptions,
    table: &mut FdTable,
) -> Result<BoundSocket, BindError> {
    let app = AppName::new("web").expect("a name");
    bind(&app, &declare(text, options), table)
}

fn bound(text: &str, options: SocketOptions) -> (BoundSocket, FdTable) {
    let mut table = FdTable::new();
    let socket = try_bind(text, options, &mut table).expect("bound");
    (socket, table)
}

fn fd(socket: &BoundSocket, table: &FdTable) -> OwnedFd {
    socket.duplicate(table).expect("a descriptor")
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

// ---- IPv6

#[test]
fn every_address_is_ipv4_s_too_unless_it_is_said_otherwise() {
    let (both, _table) = bound("[::]:0", SocketOptions::default());
    let port = both.port().expect("a port");
    TcpStream::connect(("::1", port)).expect("IPv6");
    TcpStream::connect(("127.0.0.1", port)).expect("IPv4");
    let v6_only = SocketOptions {
        v6_only: true,
        ..SocketOptions::default()
    };
    let (alone, _table) = bound("[::]:0", v6_only);
    let port = alone.port().expect("a port");
    TcpStream::connect(("::1", port)).expect("IPv6");
    TcpStream::connect(("127.0.0.1", port)).expect_err("IPv4");
    // The same port of IPv4 is anybody's.
    TcpListener::bind(("0.0.0.0", port)).expect("free");
}

#[test]
fn the_same_is_so_of_udp_whose_two_sockets_each_get_their_own() {
    let (both, table) = bound("udp:[::]:0", SocketOptions::default());
    let port = both.any_port().expect("a port");
    let in_use = UdpSocket::bind(("0.0.0.0", port)).expect_err("IPv4 too");
    assert_eq!(in_use.kind(), ErrorKind::AddrInUse);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
    sender
        .send_to(b"four", ("127.0.0.1", port))
        .expect("sent by IPv4");
    assert_eq!(received(fd(&both, &table).into()), "four");

    let v6_only = SocketOptions {
        v6_only: true,
        ..SocketOptions::default()
    };
    let (six, table) = bound("udp:[::]:0", v6_only);
    let port = six.any_port().expect("a port");
    let four = UdpSocket::bind(("0.0.0.0", port)).expect("free");
    sender.send_to(b"four", ("127.0.0.1", port)).expect("sent");
    let sender = UdpSocket::bind("[::1]:0").expect("bound");
    sender.send_to(b"six", ("::1", port)).expect("sent");
    assert_eq!(received(four), "four");
    assert_eq!(received(fd(&six, &table).into()), "six");
}

fn received(socket: UdpSocket) -> String {
    let timeout = Some(Duration::from_secs(5));
    socket.set_read_timeout(timeout).expect("set");
    let mut text = [0; 8];
    let length = socket.recv(&mut text).expect("received");
    String::from_utf8_lossy(&text[..length]).into_owned()
}

#[tokio::test]
async fn an_ipv6_listener_that_was_shut_down_listens_again() {
    let (mut socket, mut table) = bound("[::]:0", SocketOptions::default());
    let watch = ListenerWatch::new(fd(&socket, &table)).expect("watched");
    rustix::net::shutdown(fd(&socket, &table), rustix::net::Shutdown::Both).expect("shut down");
    let told = tokio::time::timeout(Duration::from_secs(5), watch.died()).await;
    told.expect("in time").expect("told");
    let port = socket.port().expect("a port");
    assert_eq!(
        socket.listen_again(&mut table).expect("mended"),
        Mended::InPlace
    );
    TcpStream::connect(("127.0.0.1", port)).expect("it listens again, for IPv4 too");
}

// ---- TCP

#[test]
fn a_deferred_connection_comes_with_its_first_bytes() {
    let options = SocketOptions {
        defer_accept: Some(Duration::from_secs(5)),
        interface: Some("lo".into()),
        ..SocketOptions::default()
    };
    let mut table = FdTable::new();
    let socket = match try_bind("127.0.0.1:0", options, &mut table) {
        Ok(socket) => socket,
        Err(error) => {
            // Old kernels leave binding to an interface to root.
            assert!(
                matches!(error.problem, Problem::Option("interface", _)),
                "{error}"
            );
            return eprintln!("skipped: {error}");
        }
    };
    let listener = TcpListener::from(fd(&socket, &table));
    // A connection that says nothing is not accepted yet.
    listener.set_nonblocking(true).expect("set");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("made");
    let early = listener.accept().expect_err("deferred");
    assert_eq!(early.kind(), ErrorKind::WouldBlock);
    client.write_all(b"x").expect("written");
    let end = Instant::now() + Duration::from_secs(5);
    while listener.accept().is_err() {
        assert!(Instant::now() < end, "it has said something");
        std::thread::yield_now();
    }
}

#[test]
fn an_interface_that_is_not_there_is_said() {
    let options = SocketOptions {
        interface: Some("no-such0".into()),
        ..SocketOptions::default()
    };
    let error = try_bind("127.0.0.1:0", options, &mut FdTable::new()).expect_err("refused");
    assert!(
        matches!(error.problem, Problem::Option("interface", _)),
        "{error:?}"
    );
    assert!(error.to_string().contains("interface: "), "{error}");
    assert!(error.hint().is_some(), "{error}");
}

#[test]
fn queues_are_told() {
    let (socket, table) = bound("127.0.0.1:0", SocketOptions::default());
    let queue = || socket.status(&table).queue.expect("TCP_INFO tells");
    assert_eq!((queue().waiting, queue().dropped), (0, 0));
    let port = socket.port().expect("a port");
    let _clients = [(); 3].map(|()| TcpStream::connect(("127.0.0.1", port)).expect("connected"));
    assert_eq!(queue().waiting, 3);

    let (socket, table) = bound("udp:127.0.0.1:0", SocketOptions::default());
    let queue = || socket.status(&table).queue.expect("SO_MEMINFO tells");
    assert_eq!(queue().waiting, 0);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
    sender
        .send_to(&[0; 100], ("127.0.0.1", socket.any_port().expect("a port")))
        .expect("sent");
    let end = Instant::now() + Duration::from_secs(5);
    while queue().waiting < 100 {
        assert!(Instant::now() < end, "{:?}", queue());
        std::thread::yield_now();
    }
    assert!(queue().room > queue().waiting);

    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let (socket, table) = bound(&unix(&path), SocketOptions::default());
    let Some(queue) = socket.status(&table).queue else {
        return eprintln!("skipped: this kernel tells nothing of Unix sockets");
    };
    assert_eq!(queue.waiting, 0);
    assert!(queue.room >= 1, "{queue:?}");
    let _clients = [(); 2].map(|()| UnixStream::connect(&path).expect("connected"));
    let queue = socket.status(&table).queue.expect("as before");
    assert_eq!(queue.waiting, 2, "{queue:?}");
}

// ---- UDP

#[test]
fn udp_is_bound_once_and_shared() {
    let (socket, table) = bound("udp:127.0.0.1:0", SocketOptions::default());
    let port = socket.any_port().expect("a port");
    assert_eq!((socket.port(), socket.listens()), (None, false));
    assert_eq!(
        socket.address().to_string(),
        format!("udp:127.0.0.1:{port}")
    );
    let workers = [(); 2].map(|()| UdpSocket::from(fd(&socket, &table)));
    let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
    for worker in &workers {
        worker
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("set");
        sender.send_to(b"hi", ("127.0.0.1", port)).expect("sent");
        assert_eq!(worker.recv(&mut [0; 8]).expect("received"), 2);
    }
    // Nobody else can take half of it.
    let again = format!("udp:127.0.0.1:{port}");
    let error =
        try_bind(&again, SocketOptions::default(), &mut FdTable::new()).expect_err("in use");
    let Problem::InUse(Some(holder)) = &error.problem else {
        panic!("{error:?}");
    };
    assert_eq!(holder.pid, std::process::id());
    // Not even somebody who would share it: the options for reuse are ours to allow.
    let another = |reuse: fn(BorrowedFd<'_>) -> rustix::io::Result<()>| {
        let flags = SocketFlags::CLOEXEC;
        let other = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)?;
        reuse(other.as_fd()).expect("set");
        rustix::net::bind(&other, &SocketAddr::from(([127, 0, 0, 1], port)))
    };
    let in_use = Err(Errno::ADDRINUSE);
    assert_eq!(
        another(|it| sockopt::set_socket_reuseport(it, true)),
        in_use
    );
    assert_eq!(
        another(|it| sockopt::set_socket_reuseaddr(it, true)),
        in_use
    );
}

// ---- Unix sockets

fn of_kind(kind: SocketKind) -> SocketOptions {
    SocketOptions {
        kind,
        ..SocketOptions::default()
    }
}

#[test]
fn unix_sockets_of_every_type() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("datagrams");
    let (socket, mut table) = bound(&unix(&path), of_kind(SocketKind::Datagram));
    let sender = UnixDatagram::unbound().expect("a socket");
    sender.send_to(b"hi", &path).expect("sent");
    let worker = UnixDatagram::from(fd(&socket, &table));
    assert_eq!(worker.recv(&mut [0; 8]).expect("received"), 2);
    // It is somebody's, whatever asks; and once nobody's, it is replaced.
    for kind in [SocketKind::Datagram, SocketKind::Stream] {
        let error = try_bind(&unix(&path), of_kind(kind), &mut FdTable::new()).expect_err("in use");
        assert!(matches!(error.problem, Problem::InUse(_)), "{error:?}");
    }
    socket.close(&mut table);
    assert!(!path.exists());
    drop(UnixDatagram::bind(&path).expect("a dead process's"));
    drop(bound(&unix(&path), of_kind(SocketKind::Datagram)));
    assert!(!path.exists());

    let path = dir.path().join("messages");
    let (mut socket, mut table) = bound(&unix(&path), of_kind(SocketKind::Seqpacket));
    let connect = || {
        let flags = SocketFlags::CLOEXEC;
        let client = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let client = client.expect("a socket");
        let address = SocketAddrUnix::new(&path).expect("an address");
        rustix::net::connect(&client, &address).map(|()| client)
    };
    connect().expect("it listens");
    rustix::net::shutdown(fd(&socket, &table), rustix::net::Shutdown::Both).expect("shut down");
    connect().expect_err("nobody listens");
    assert_eq!(
        socket.listen_again(&mut table).expect("mended"),
        Mended::Replaced
    );
    let client = connect().expect("it listens again");
    assert_eq!(sockopt::socket_type(&client), Ok(SocketType::SEQPACKET));
}

#[test]
fn the_file_is_whose_it_should_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let me = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let other = (65_534, 65_534);
    let wanted = if me.0 == 0 { other } else { me };
    for permissions in [0o600, 0o666, 0o777] {
        let path = dir.path().join(format!("{permissions:o}"));
        let file = SocketFile {
            permissions: Some(permissions),
            owner: Some(wanted.0),
            group: Some(wanted.1),
        };
        let options = SocketOptions {
            file,
            ..SocketOptions::default()
        };
        let (_socket, _table) = bound(&unix(&path), options);
        let there = std::fs::symlink_metadata(&path).expect("there");
        assert!(there.file_type().is_socket());
        assert_eq!(there.permissions().mode() & 0o777, permissions);
        assert_eq!((there.uid(), there.gid()), wanted);
    }
    if me.0 != 0 {
        let path = dir.path().join("not mine");
        let file = SocketFile {
            owner: Some(0),
            ..SocketFile::default()
        };
        let options = SocketOptions {
            file,
            ..SocketOptions::default()
        };
        let error = try_bind(&unix(&path), options, &mut FdTable::new()).expect_err("not mine");
        assert!(matches!(error.problem, Problem::Option(..)), "{error:?}");
        assert!(!path.exists(), "nothing is left behind");
    }
}

#[test]
fn a_path_longer_than_an_address() {
    let dir = tempfile::tempdir().expect("a directory");
    let deep: PathBuf = dir.path().join("d".repeat(120));
    std::fs::create_dir(&deep).expect("made");
    let path = deep.join("a.sock");
    let (mut socket, mut table) = bound(&unix(&path), SocketOptions::default());
    assert!(socket.address().to_string().ends_with("/a.sock"));
    // As anybody would who stands in the directory, or holds it open.
    let reach = |name: &str| {
        let dir = std::fs::File::open(&deep).expect("opened");
        UnixStream::connect(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
    };
    reach("a.sock").expect("it listens");
    let error = try_bind(&unix(&path), SocketOptions::default(), &mut FdTable::new());
    let error = error.expect_err("in use");
    assert!(matches!(error.problem, Problem::InUse(_)), "{error:?}");
    rustix::net::shutdown(fd(&socket, &table), rustix::net::Shutdown::Both).expect("shut down");
    assert_eq!(
        socket.listen_again(&mut table).expect("mended"),
        Mended::Replaced
    );
    let mut client = reach("a.sock").expect("it listens again");
    let (mut served, _) = UnixListener::from(fd(&socket, &table))
        .accept()
        .expect("accepted");
    served.write_all(b"hi").expect("written");
    drop(served);
    let mut said = String::new();
    client.read_to_string(&mut said).expect("read");
    assert_eq!(said, "hi");
    socket.close(&mut table);
    assert!(!path.exists());
    // What is in the way there is left alone as anywhere.
    std::fs::write(&path, "precious").expect("written");
    let error = try_bind(&unix(&path), SocketOptions::default(), &mut FdTable::new());
    let error = error.expect_err("a file");
    assert!(matches!(error.problem, Problem::NotASocket), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "precious");
}

// ---- one for each slot

#[test]
fn a_slot_s_own_port_is_counted_from_the_declared_one() {
    let options = SocketOptions {
        per_slot: true,
        ..SocketOptions::default()
    };
    let socket = declare("127.0.0.1:65534", options.clone());
    let at = |slot| socket.address_for(slot).map(|address| address.to_string());
    assert_eq!(at(0).as_deref(), Some("127.0.0.1:65534"));
    assert_eq!(at(1).as_deref(), Some("127.0.0.1:65535"));
    assert_eq!(at(2), None);
    assert_eq!(at(u32::MAX), None);
    let any = declare("udp:127.0.0.1:0", options);
    assert_eq!(any.address_for(7), Some(any.address.clone()));
}

#[test]
fn descriptors_are_closed_on_exec() {
    let dir = tempfile::tempdir().expect("a directory");
    for text in ["[::1]:0", "udp:127.0.0.1:0", &unix(&dir.path().join("s"))] {
        let (socket, table) = bound(text, SocketOptions::default());
        let flags = rustix::io::fcntl_getfd(table.get(socket.fd_name()).expect("there").as_fd());
        assert!(flags.expect("flags").contains(rustix::io::FdFlags::CLOEXEC));
    }
}
