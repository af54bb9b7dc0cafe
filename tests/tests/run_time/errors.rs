//! What can't be had is the asker's to handle, and nobody else's.

use ostler_tests::harness::{copy_program, eventually};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::*;

#[tokio::test]
async fn an_address_in_use_is_an_error_of_the_asker_alone_and_is_not_remembered() {
    let fleet = askers(2).await;
    let (_, fine) = opens(&fleet, 1, "listen 127.0.0.1:0").await;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = stranger.local_addr().expect("an address").to_string();
    for slot in [0, 1, 0] {
        let refused = tell(&fleet, slot, &format!("listen {address}")).await;
        assert!(refused.starts_with("error AddrInUse"), "{refused}");
        assert!(refused.contains(&address), "{refused}");
    }
    assert!(!who(&fine).await.is_empty(), "the other goes on");
    assert_eq!(asked(&fleet.status().await).len(), 1);
    drop(stranger);
    let (_, had) = opens(&fleet, 0, &format!("listen {address}")).await;
    assert_eq!(had, address);
    assert!(!who(&address).await.is_empty());
}

#[tokio::test]
async fn a_worker_that_listens_twice_at_one_port_is_refused_and_keeps_the_first() {
    let fleet = askers(1).await;
    let (_, address) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    let same = format!("listen {address}");
    // Another question than that for port 0: the port is in use.
    let refused = tell(&fleet, 0, &same).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
    let fixed = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = fixed.local_addr().expect("an address");
    drop(fixed);
    let fixed = format!("listen {port}");
    opens(&fleet, 0, &fixed).await;
    let refused = tell(&fleet, 0, &fixed).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
    assert!(refused.contains("has the address already"), "{refused}");
    assert!(!who(&address).await.is_empty());
}

#[tokio::test]
async fn what_is_no_address_of_this_machine_is_said() {
    let fleet = askers(1).await;
    for (address, kind) in [
        ("192.0.2.1:0", "AddrNotAvailable"),
        ("unix:/nowhere/at/all.sock", "NotFound"),
    ] {
        let refused = tell(&fleet, 0, &format!("listen {address}")).await;
        assert!(refused.starts_with(&format!("error {kind}")), "{refused}");
    }
    let file = fleet.dir().write("plain", "text");
    let refused = tell(&fleet, 0, &format!("listen unix:{}", file.display())).await;
    assert!(refused.starts_with("error AddrInUse"), "{refused}");
    assert_eq!(std::fs::read_to_string(file).expect("a file"), "text");
}

/// The master is root here, and the worker isn't: what the worker could not bind, the master doesn't bind for it.
#[tokio::test]
async fn a_worker_of_another_user_gets_no_more_than_it_could_bind_itself() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let builder = ostler!();
    let public = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(builder.dir().path(), public).expect("a directory of one's own");
    let program = builder.dir().at("asker");
    copy_program(env!("CARGO_BIN_EXE_asker"), &program);
    let apps = [App::new("web", [program.to_str().expect("text")])
        .set("user", "65534")
        .unwatched()];
    let fleet = Fleet::ready(builder.apps(&apps), 1).await;
    let path = fleet.dir().at("s.sock");
    let unix = format!("listen unix:{}", path.display());
    let low = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let low: u16 = low.expect("a limit").trim().parse().expect("a port");
    let mut refused = vec![tell(&fleet, 0, &unix).await];
    if low > 42 {
        refused.push(tell(&fleet, 0, "listen 127.0.0.1:42").await);
    }
    for refused in refused {
        assert!(refused.starts_with("error PermissionDenied"), "{refused}");
    }
    assert!(!path.exists());
    let (_, address) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    assert!(!who(&address).await.is_empty());
}

#[tokio::test]
async fn a_future_that_is_dropped_before_the_answer_leaks_nothing() {
    let fleet = askers(2).await;
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let taken = stranger.local_addr().expect("an address").to_string();
    let (number, _) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    tell(&fleet, 0, &format!("close {number}")).await;
    until_asked(&fleet, 0).await;
    let worker = fleet.worker("web", 0).await.pid.expect("a worker");
    let master = fleet.process.id();
    let before = (descriptors(worker), descriptors(master));
    for _ in 0..20 {
        assert_eq!(tell(&fleet, 0, "forget 127.0.0.1:0").await, "forgotten");
        let forgotten = tell(&fleet, 0, &format!("forget {taken}")).await;
        assert_eq!(forgotten, "forgotten", "an error, too");
    }
    until_asked(&fleet, 0).await;
    let same = || {
        let now = (descriptors(worker), descriptors(master));
        (now.0 <= before.0 && now.1 <= before.1).then_some(())
    };
    eventually("all descriptors to be closed", PATIENCE, same).await;
    // The worker is as good as before, and can go.
    opens(&fleet, 0, "listen 127.0.0.1:0").await;
    fleet.ostler(["stop"]).success().await;
}

/// As many as one worker may have, and one more.
#[tokio::test]
async fn the_257th_socket_of_a_worker_is_an_error_of_its_own_and_others_go_on() {
    let fleet = askers(2).await;
    // All workers together may have an eighth of these.
    let many = Some(4096);
    let limit = Rlimit {
        current: many,
        maximum: many,
    };
    let master = Pid::from_raw(fleet.process.id().cast_signed());
    if let Err(error) = prlimit(master, Resource::Nofile, limit) {
        return eprintln!("not run: the master may not have {many:?} files open: {error}");
    }
    let mut had = Vec::new();
    for _ in 0..256 {
        had.push(opens(&fleet, 0, "listen 127.0.0.1:0").await);
    }
    for _ in 0..2 {
        let refused = tell(&fleet, 0, "listen 127.0.0.1:0").await;
        assert!(
            refused.ends_with("this worker has 256 sockets already"),
            "{refused}"
        );
        assert!(refused.starts_with("error "), "{refused}");
    }
    assert_eq!(asked(&fleet.status().await).len(), 256);
    // All that it has are served, by itself alone: the other one asks for one now, and has another of its own.
    let its = fleet.worker("web", 0).await.id.expect("an id").to_string();
    for (_, address) in &had {
        assert_eq!(who(address).await, its);
    }
    let (_, shared) = opens(&fleet, 1, "listen 127.0.0.1:0").await;
    assert_eq!(shared, had[0].1);
    let (_, other) = opens(&fleet, 1, "listen 127.0.0.2:0").await;
    assert_ne!(who(&other).await, its);
    // One that is given back makes room for one.
    let (number, _) = &had[100];
    assert_eq!(tell(&fleet, 0, &format!("close {number}")).await, "closed");
    until_asked(&fleet, 256).await;
    let (_, again) = opens(&fleet, 0, "listen 127.0.0.3:0").await;
    assert_eq!(who(&again).await, its);
    let refused = tell(&fleet, 0, "listen 127.0.0.3:0").await;
    assert!(refused.contains("256 sockets already"), "{refused}");
}
