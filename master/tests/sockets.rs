//! Declared sockets, bound for real: on loopback, on free ports, in private directories.

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
            process::CommandExt,
        },
    },
    path::Path,
    process::Command,
    time::Duration,
};

use ostler::{
    config::{
        app::{AppName, SocketAddress, SocketDeclaration},
        flags,
    },
    sockets::{
        BindError, BoundSocket, ListenerWatch, Mended, Problem, bind, bind_all, listener_is_dead,
    },
    sys::FdTable,
};

fn app() -> AppName {
    AppName::new("web").expect("a name")
}

fn declared<S: AsRef<str>>(texts: &[S]) -> Vec<SocketDeclaration> {
    flags::listen(texts, std::path::Path::new("/")).expect("declarations")
}

fn declare(text: &str) -> SocketDeclaration {
    declared(&[text]).remove(0)
}

fn bound(text: &str, table: &mut FdTable) -> BoundSocket {
    bind(&app(), &declare(text), table).expect("bound")
}

fn refused(text: &str) -> BindError {
    bind(&app(), &declare(text), &mut FdTable::new()).expect_err("refused")
}

fn connect(socket: &BoundSocket) -> std::io::Result<()> {
    match socket.address() {
        SocketAddress::Tcp(address) => TcpStream::connect(address).map(drop),
        SocketAddress::Unix(path) => UnixStream::connect(path).map(drop),
        other @ (SocketAddress::Udp(_) | SocketAddress::Starter(_)) => panic!("{other}"),
    }
}

/// What a worker that calls `shutdown` does.
fn shut(socket: &BoundSocket, table: &FdTable) {
    let fd = table.get(socket.fd_name()).expect("in the table");
    rustix::net::shutdown(fd, rustix::net::Shutdown::Both).expect("shut down");
}

fn dead(socket: &BoundSocket, table: &FdTable) -> bool {
    listener_is_dead(table.get(socket.fd_name()).expect("in the table"))
}

#[test]
fn any_free_port_is_found_and_said() {
    for text in ["http=127.0.0.1:0", "http=[::1]:0"] {
        let mut table = FdTable::new();
        let socket = bound(text, &mut table);
        assert_ne!(socket.port(), Some(0));
        assert_eq!(socket.fd_name(), "listen.web.http");
        connect(&socket).expect("it listens");
        let copy = socket.duplicate(&table).expect("a descriptor");
        for fd in [table.get(socket.fd_name()).expect("there"), copy.as_fd()] {
            let flags = rustix::io::fcntl_getfd(fd).expect("flags");
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
        let status = rustix::fs::fcntl_getfl(&copy).expect("flags");
        assert!(!status.contains(rustix::fs::OFlags::NONBLOCK));
        drop(copy);
        let port = socket.port().expect("a port");
        socket.close(&mut table);
        assert_eq!(table.names().count(), 0);
        let ip = if text.contains("::1") {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        let closed = TcpStream::connect(format!("{ip}:{port}")).expect_err("closed");
        assert_eq!(closed.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn nonblocking_is_a_property_of_the_socket() {
    let mut table = FdTable::new();
    let mut declaration = declare("127.0.0.1:0");
    declaration.nonblocking = true;
    bind(&app(), &declaration, &mut table).expect("bound");
    let fd = table.get("listen.web.http").expect("there");
    let status = rustix::fs::fcntl_getfl(fd).expect("flags");
    assert!(status.contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn an_address_in_use_names_who_uses_it_and_closes_what_was_bound_before() {
    let other = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = other.local_addr().expect("an address").port();
    let texts = ["a=127.0.0.1:0".to_owned(), format!("b=127.0.0.1:{port}")];
    let declarations = declared(&texts);
    let mut table = FdTable::new();
    let error = bind_all(&app(), &declarations, &mut table).expect_err("in use");
    let Problem::InUse(Some(holder)) = &error.problem else {
        panic!("{error:?}");
    };
    assert_eq!(holder.pid, std::process::id());
    let said = error.to_string();
    let expected =
        format!("socket \"b\": can't listen on 127.0.0.1:{port}: the address is in use by process");
    assert!(said.starts_with(&expected), "{said}");
    assert!(
        error
            .hint()
            .expect("a hint")
            .contains("this master listens there")
    );
    assert_eq!(table.names().count(), 0);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let error = refused("192.0.2.1:0");
    assert!(matches!(error.problem, Problem::NoSuchAddress), "{error:?}");
    assert!(error.hint().expect("a hint").contains("ip address"));
}

/// Root may bind every port, so the test runs itself as somebody else.
#[test]
fn a_privileged_port_says_what_to_do() {
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first_free.is_ok_and(|port| port.trim() == "0") {
        return; // this machine has no privileged ports
    }
    let dir = tempfile::tempdir().expect("a directory");
    let program = dir.path().join("test");
    let me = std::env::current_exe().expect("this program");
    // Another process writes it, or a child forked by another test would hold it open for writing.
    let copied = Command::new("cp").arg(&me).arg(&program).status();
    assert!(copied.expect("run").success());
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).expect("set");
    let mut command = Command::new(&program);
    command
        .args(["--ignored", "--exact", "binding_port_1", "--nocapture"])
        .current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("run");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
#[ignore = "needs an unprivileged user: run by the test above as one"]
fn binding_port_1() {
    let error = refused("127.0.0.1:1");
    assert!(
        matches!(error.problem, Problem::PrivilegedPort),
        "{error:?}"
    );
    let hint = error.hint().expect("a hint");
    for way in ["1024", "setcap cap_net_bind_service", "socket activation"] {
        assert!(hint.contains(way), "{hint}");
    }
    let error = refused("unix:/proc/nobody/may.sock");
    assert!(matches!(error.problem, Problem::NoDirectory), "{error:?}");
    let error = refused("unix:/usr/may-not.sock");
    assert!(matches!(error.problem, Problem::Denied), "{error:?}");
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

#[test]
fn a_unix_socket_goes_with_its_path() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let mut table = FdTable::new();
    let socket = bound(&unix(&path), &mut table);
    assert_eq!(socket.port(), None);
    connect(&socket).expect("it listens");
    // A second master must not steal it.
    let error = refused(&unix(&path));
    assert!(matches!(error.problem, Problem::InUse(_)), "{error:?}");
    connect(&socket).expect("it still listens");
    socket.close(&mut table);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_is_replaced_and_anything_else_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    drop(UnixListener::bind(&path).expect("bound")); // a dead process's: the path stays
    assert!(path.exists());
    let mut table = FdTable::new();
    let socket = bound(&unix(&path), &mut table);
    connect(&socket).expect("it listens");

    let plain = dir.path().join("plain");
    std::fs::write(&plain, "precious").expect("written");
    let error = refused(&unix(&plain));
    assert!(matches!(error.problem, Problem::NotASocket), "{error:?}");
    assert_eq!(std::fs::read_to_string(&plain).expect("there"), "precious");

    // Whoever has taken the path keeps it.
    std::fs::remove_file(&path).expect("removed");
    let _other = UnixListener::bind(&path).expect("bound");
    socket.close(&mut table);
    assert!(path.exists());
}

#[test]
fn paths_that_can_not_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let long = dir.path().join("x".repeat(107));
    // What the process file's reader refuses already, the binder refuses too.
    let declaration = SocketDeclaration {
        address: SocketAddress::Unix(long),
        ..declare("127.0.0.1:0")
    };
    let error = bind(&app(), &declaration, &mut FdTable::new()).expect_err("too long");
    assert!(
        matches!(error.problem, Problem::PathTooLong(108..)),
        "{error:?}"
    );
    assert!(error.to_string().contains("its file name more than 82"));
    let error = refused(&unix(&dir.path().join("no/a.sock")));
    assert!(matches!(error.problem, Problem::NoDirectory), "{error:?}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = refused(&unix(&file.join("a.sock")));
    assert!(matches!(error.problem, Problem::NoDirectory), "{error:?}");
}

#[test]
fn two_of_one_name_are_told_apart() {
    let mut table = FdTable::new();
    let before = bound("127.0.0.1:0", &mut table);
    let after = bound("127.0.0.1:0", &mut table);
    connect(&after).expect("it listens");
    before.close(&mut table);
    connect(&after).expect("the other is untouched");
}

#[tokio::test]
async fn a_listener_that_was_shut_down_is_noticed_and_listens_again_on_its_port() {
    let mut table = FdTable::new();
    let mut socket = bound("127.0.0.1:0", &mut table);
    let port = socket.port();
    let number = table.get(socket.fd_name()).map(|fd| fd.as_raw_fd());
    for _ in 0..3 {
        assert!(!dead(&socket, &table));
        let copy = socket.duplicate(&table).expect("a descriptor");
        let mut died = std::pin::pin!(ListenerWatch::new(copy).expect("watched").died());
        // Connections are no reason to wake.
        connect(&socket).expect("it listens");
        let idle = tokio::time::timeout(Duration::from_millis(20), &mut died);
        assert!(idle.await.is_err());
        shut(&socket, &table);
        let told = tokio::time::timeout(Duration::from_secs(5), died).await;
        told.expect("in time").expect("told");
        assert!(dead(&socket, &table));
        connect(&socket).expect_err("nobody listens");
        let mended = socket.listen_again(&mut table).expect("mended");
        assert_eq!(mended, Mended::InPlace);
        assert_eq!(socket.port(), port);
        assert_eq!(table.get(socket.fd_name()).map(|fd| fd.as_raw_fd()), number);
        connect(&socket).expect("it listens again");
    }
}

#[test]
fn a_port_taken_meanwhile_is_said() {
    let mut table = FdTable::new();
    let mut socket = bound("127.0.0.1:0", &mut table);
    shut(&socket, &table);
    let address = format!("127.0.0.1:{}", socket.port().expect("a port"));
    let thief = TcpListener::bind(&address).expect("both allow reuse");
    let error = socket.listen_again(&mut table).expect_err("taken");
    assert!(
        matches!(error.problem, Problem::InUse(Some(_))),
        "{error:?}"
    );
    drop(thief);
    assert_eq!(
        socket.listen_again(&mut table).expect("free again"),
        Mended::InPlace
    );
}

#[tokio::test]
async fn a_unix_listener_that_was_shut_down_is_replaced_at_its_path() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.sock");
    let mut table = FdTable::new();
    let mut socket = bound(&unix(&path), &mut table);
    assert!(!dead(&socket, &table));
    let copy = socket.duplicate(&table).expect("a descriptor");
    let watch = ListenerWatch::new(copy).expect("watched");
    shut(&socket, &table);
    let told = tokio::time::timeout(Duration::from_secs(5), watch.died()).await;
    told.expect("in time").expect("told");
    assert!(dead(&socket, &table));
    let mended = socket.listen_again(&mut table).expect("mended");
    assert_eq!(mended, Mended::Replaced);
    connect(&socket).expect("it listens again");
    socket.close(&mut table);
    assert!(!path.exists());
}
