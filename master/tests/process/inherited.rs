//! What a worker is given, and what it must not inherit.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
};

use ostler::{
    process::{Gifts, NotifySocket, Spawner, environment, spawn_spec},
    sockets::{BoundSocket, bind_all},
    sys::FdTable,
};
use ostler_bus::vocab::worker::ExitStatus;

use super::support::{
    WAYS, by_copy, by_exec, identity, null, only, run, script, sh, spawner, spec, start,
};

#[tokio::test]
async fn the_environment_is_what_was_promised_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let notify = NotifySocket::bind(dir.path().join("n"), None).expect("bound");
    let app = super::hosts::app(
        &["env", "-0"],
        &["http=127.0.0.1:0", "admin=unix:a.sock"],
        dir.path(),
    );
    let mut table = FdTable::new();
    let sockets = bind_all(&app.name, &app.listen, &mut table).expect("bound");
    let mut fds: Vec<OwnedFd> = sockets
        .iter()
        .map(|socket| socket.duplicate(&table).expect("a descriptor"))
        .collect();
    fds.push(null());
    let gifts = Gifts {
        sockets: &sockets.iter().collect::<Vec<_>>(),
        ports: &sockets.iter().collect::<Vec<_>>(),
        notify: Some(notify.path()),
        bus: Some(Path::new("/run/bus")),
        bus_fd: true,
        channels: true,
        passing: true,
        cgroup: None,
    };
    let base = [
        ("PATH", "/usr/bin:/bin"),
        ("KEPT", "yes"),
        ("NOTIFY_SOCKET", "/master"),
        ("LISTEN_FDS", "9"),
        ("LISTEN_PID", "1"),
        ("WATCHDOG_USEC", "1"),
        ("OSTLER_SECRET", "x"),
    ]
    .map(|(name, value)| (name.into(), value.into()));
    let spec = spawn_spec(base, &app, &identity(), gifts, None);
    let worker = start(&spawner(), spec, fds).await;
    let pid = worker.child.pid().to_string();
    let printed = worker.ended().await.stdout;
    let own_pid = std::process::id().to_string();
    let port = sockets[0].port().expect("a port").to_string();
    let expected: BTreeMap<&str, &str> = [
        ("PATH", "/usr/bin:/bin"),
        ("KEPT", "yes"),
        ("EINHORN_FD_COUNT", "2"),
        ("EINHORN_FDS", "3 4"),
        ("EINHORN_FD_0", "3"),
        ("EINHORN_FD_1", "4"),
        ("OWN", "app's"),
        ("LISTEN_FDS", "2"),
        ("LISTEN_FDNAMES", "http:admin"),
        ("LISTEN_PID", &pid),
        ("NOTIFY_SOCKET", notify.path().to_str().expect("text")),
        ("OSTLER_APP", "web"),
        ("OSTLER_SLOT", "1"),
        ("OSTLER_WORKER_ID", "7"),
        ("OSTLER_MASTER_PID", &own_pid),
        ("OSTLER_GENERATION", "3"),
        ("OSTLER_BUS", "/run/bus"),
        ("OSTLER_BUS_FD", "5"),
        ("OSTLER_HANDOVER", "http=6:admin=7"),
        ("OSTLER_PASSING", "8"),
        ("NODE_APP_INSTANCE", "1"),
        ("PORT", &port),
    ]
    .into();
    let got: BTreeMap<&str, &str> = printed
        .trim_end_matches(['\n', '\0'])
        .split('\0')
        .map(|pair| pair.split_once('=').expect("a pair"))
        .collect();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn descriptors_stand_at_3_and_on_and_no_other_is_open() {
    let dir = tempfile::tempdir().expect("a directory");
    for way in WAYS {
        // A shim that starts with descriptors of its own, as if the master had leaked them.
        let leaky = only(dir.path(), way, "exec 5</dev/null 9</dev/null");
        let (ours, theirs): (Vec<UnixStream>, Vec<OwnedFd>) = (0..6)
            .map(|_| {
                let (ours, theirs) = UnixStream::pair().expect("a socketpair");
                (ours, OwnedFd::from(theirs))
            })
            .unzip();
        let script = "for fd in 3 4 5 6 7 8; do printf $fd >&$fd; done; exec ls /proc/self/fd";
        let worker = start(&Spawner::new(&leaky), sh(script), theirs).await;
        let ended = worker.ended().await;
        let listed: Vec<&str> = ended.stdout.lines().collect();
        // The last is the directory being listed.
        let expected = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
        assert_eq!(listed, expected, "{way}: {}", ended.stderr);
        for (number, mut end) in (3..).zip(ours) {
            let mut text = String::new();
            end.read_to_string(&mut text).expect("read");
            assert_eq!(text, number.to_string());
        }
    }
}

#[tokio::test]
async fn hundreds_of_descriptors_travel() {
    let mut fds: Vec<OwnedFd> = (0..299).map(|_| null()).collect();
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    fds.push(writer.into());
    let script = "printf last > /proc/self/fd/302; exec ls /proc/self/fd";
    let ended = run(sh(script), fds).await;
    // 0, 1, 2, the 300, and the directory being listed.
    assert_eq!(ended.stdout.lines().count(), 304, "{}", ended.stderr);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    assert_eq!(text, "last");
}

#[tokio::test]
async fn signals_start_from_a_clean_slate_whatever_the_master_ignores() {
    let dir = tempfile::tempdir().expect("a directory");
    for way in WAYS {
        let ignoring = only(dir.path(), way, "trap '' HUP INT USR2 PIPE");
        let order = spec(&["cat", "/proc/self/status"]);
        let worker = start(&Spawner::new(&ignoring), order, vec![]).await;
        let status = worker.ended().await.stdout;
        for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd"] {
            let line = format!("{field}:\t0000000000000000\n");
            assert!(status.contains(&line), "{way}: {status}");
        }
    }
}

#[tokio::test]
async fn a_worker_leads_its_own_group_and_reads_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    for spawner in [by_copy(dir.path()), by_exec(dir.path())] {
        let ids = "cat; ps -o pid=,pgid=,sid= -p $$ 2>/dev/null || cut -d' ' -f1,5,6 /proc/$$/stat";
        let worker = start(&spawner, sh(ids), vec![]).await;
        let pid = worker.child.pid();
        let ended = worker.ended().await;
        let ids: Vec<&str> = ended.stdout.split_whitespace().collect();
        assert_eq!(ids, vec![pid.to_string(); 3], "{}", ended.stderr);
        assert_eq!(ended.status, ExitStatus::Code(0));
    }
}

#[tokio::test]
async fn directory_mask_and_limit_are_set() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut order = sh("pwd -P; umask; ulimit -Sn");
    order.attributes.cwd = Some(dir.path().into());
    order.attributes.umask = Some(0o027);
    order.open_files = Some(99);
    let ended = run(order, vec![]).await;
    let path = dir.path().canonicalize().expect("a path");
    assert_eq!(
        ended.stdout,
        format!("{}\n0027\n99\n", path.display()),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn a_program_is_looked_up_where_the_worker_will_look() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = dir.path().join("first");
    std::fs::create_dir(&first).expect("a directory");
    // Not executable: passed over in favour of the next.
    let mut decoy = std::fs::File::create(first.join("greet")).expect("a file");
    decoy
        .write_all(b"#!/bin/sh\necho decoy\n")
        .expect("written");
    script(dir.path(), "greet", "#!/bin/sh\necho hello \"$0\" \"$@\"\n");
    let mut order = spec(&["greet", "you"]);
    let path = format!("{}:{}:/bin", first.display(), dir.path().display());
    order.env = vec![("PATH".into(), path.into())];
    let ended = run(order, vec![]).await;
    assert_eq!(
        ended.stdout,
        format!("hello {} you\n", dir.path().join("greet").display())
    );
}

#[tokio::test]
async fn an_environment_larger_than_a_socket_buffer_arrives() {
    let mut order = spec(&["wc", "-c", "/proc/self/environ"]);
    let value = "x".repeat(100_000);
    for number in 0..8 {
        let name = format!("BIG{number}");
        order.env.push((name.into(), value.clone().into()));
    }
    let sizes = order
        .env
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2);
    let expected = format!("{} /proc/self/environ\n", sizes.sum::<usize>());
    assert_eq!(run(order, vec![]).await.stdout, expected);
}

#[tokio::test]
async fn sockets_with_declarations_reach_arguments() {
    let dir = tempfile::tempdir().expect("a directory");
    let app = super::hosts::app(
        &[
            "echo",
            "{slot}",
            "--fd={fd:http}",
            "--port={port:http}",
            "{fd:other}",
            "{}",
            "{{slot}}",
            "{",
        ],
        &["http=127.0.0.1:0"],
        dir.path(),
    );
    let mut table = FdTable::new();
    let sockets = bind_all(&app.name, &app.listen, &mut table).expect("bound");
    let gifts = Gifts {
        sockets: &sockets.iter().collect::<Vec<_>>(),
        ports: &sockets.iter().collect::<Vec<_>>(),
        ..Gifts::default()
    };
    let spec = spawn_spec(std::env::vars_os(), &app, &identity(), gifts, None);
    let fds = vec![sockets[0].duplicate(&table).expect("a descriptor")];
    let port = sockets[0].port().expect("a port");
    assert_eq!(
        run(spec, fds).await.stdout,
        format!("1 --fd=3 --port={port} {{fd:other}} {{}} {{1}} {{\n")
    );
}

#[tokio::test]
async fn port_is_set_for_one_tcp_socket_alone_and_the_apps_own_wins() {
    let dir = tempfile::tempdir().expect("a directory");
    let port_of = |listen: &[&str], own: Option<&str>| {
        let mut app = super::hosts::app(&["true"], listen, dir.path());
        app.env
            .extend(own.map(|port| ("PORT".to_owned(), port.to_owned())));
        let mut table = FdTable::new();
        let sockets = bind_all(&app.name, &app.listen, &mut table).expect("bound");
        // What the app has bound, and its definition declares no more, doesn't count.
        app.listen.retain(|socket| socket.name != "former");
        let gifts = Gifts {
            sockets: &sockets.iter().collect::<Vec<_>>(),
            ports: &sockets.iter().collect::<Vec<_>>(),
            ..Gifts::default()
        };
        let env = environment([], &app, &identity(), gifts);
        let value = |name: &str| {
            let pair = env.iter().find(|(key, _)| key == name);
            pair.map(|(_, value)| value.to_str().expect("text").to_owned())
        };
        assert_eq!(value("LISTEN_FDS").is_some(), !listen.is_empty());
        (value("PORT"), sockets.iter().find_map(BoundSocket::port))
    };
    let (told, bound) = port_of(&["127.0.0.1:0", "b=unix:p.sock"], None);
    assert_eq!(told, bound.map(|port| port.to_string()));
    assert_eq!(port_of(&["a=127.0.0.1:0", "b=127.0.0.1:0"], None).0, None);
    let (told, bound) = port_of(&["a=127.0.0.1:0", "former=127.0.0.1:0"], None);
    assert_eq!(told, bound.map(|port| port.to_string()));
    assert_eq!(port_of(&[], None).0, None);
    assert_eq!(
        port_of(&["127.0.0.1:0"], Some("99")).0.as_deref(),
        Some("99")
    );
}
