//! Options of listeners, by what they do to who connects, and to the queue.

use super::*;

/// Why sockets that are closed while clients may be there can't be so.
#[test]
fn whoever_has_said_nothing_to_one_that_defers_is_in_no_queue_and_is_reset_with_it() {
    let options = SocketOptions {
        defer_accept: Some(Duration::from_secs(60)),
        ..SocketOptions::default()
    };
    let (socket, mut table) = bound("127.0.0.1:0", options);
    let port = socket.port().expect("a port");
    let mut client = TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let timeout = Some(Duration::from_secs(5));
    client.set_read_timeout(timeout).expect("set");
    let queue = socket.status(&table).queue.expect("TCP_INFO tells");
    assert_eq!(queue.waiting, 0);
    socket.close(&mut table);
    // It doesn't know yet.
    client.write_all(b"x").expect("written");
    let lost = client.read(&mut [0; 1]).expect_err("nobody answers");
    assert_eq!(lost.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn as_many_wait_as_was_said_or_as_the_kernel_allows() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the kernel's");
    let most: u32 = most.trim().parse().expect("a number");
    for (backlog, room) in [(3, 3), (1_000_000, most)] {
        let declaration = SocketDeclaration {
            backlog,
            ..declare("127.0.0.1:0", SocketOptions::default())
        };
        let mut table = FdTable::new();
        let app = AppName::new("web").expect("a name");
        let mut socket = bind(&app, &declaration, &mut table).expect("bound");
        let told = |socket: &BoundSocket| socket.status(&table).queue.expect("told").room;
        assert_eq!(told(&socket), room);
        // Also after a worker has shut it down.
        rustix::net::shutdown(fd(&socket, &table), rustix::net::Shutdown::Both).expect("shut");
        socket.listen_again(&mut table).expect("mended");
        let queue = socket.status(&table).queue.expect("told");
        assert_eq!(queue.room, room);
    }
}

/// Which only some may: those who have this right, or that to raw sockets.
#[test]
fn an_address_of_others_is_bound_where_that_is_said_and_allowed() {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let rights = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let rights = u64::from_str_radix(rights.expect("rights").trim(), 16).expect("a number");
    let (net_admin, net_raw) = (1 << 12, 1 << 13);
    let may = rights & (net_admin | net_raw) != 0;
    let transparent = SocketOptions {
        transparent: true,
        ..SocketOptions::default()
    };
    // Addresses of documentation, which are nobody's.
    for text in ["192.0.2.1:0", "[2001:db8::1]:0", "udp:192.0.2.1:0"] {
        let error = try_bind(text, SocketOptions::default(), &mut FdTable::new());
        let problem = error.expect_err("not this machine's").problem;
        assert!(matches!(problem, Problem::NoSuchAddress), "{problem:?}");
        match try_bind(text, transparent.clone(), &mut FdTable::new()) {
            Ok(socket) => {
                assert!(may, "{text}");
                let shown = socket.address().to_string();
                assert!(shown.starts_with(text.trim_end_matches('0')), "{shown}");
            }
            Err(error) => {
                assert!(!may, "{error}");
                let Problem::Option("transparent", why) = &error.problem else {
                    panic!("{error:?}");
                };
                assert_eq!(why.kind(), ErrorKind::PermissionDenied);
                assert!(error.hint().is_some(), "{error}");
            }
        }
    }
}
