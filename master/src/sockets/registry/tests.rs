mod datagrams;

use std::{net::TcpStream, path::Path};

use super::*;
use crate::config::{
    app::{AppDefinition, AppName, SocketMode},
    flags::listen,
    settings::Settings,
};

fn app(sockets: &[&str]) -> AppDefinition {
    let name = AppName::new("web").expect("a name");
    let mut app = Settings::default().define(name, vec!["x".into()], 1);
    app.listen = listen(sockets, Path::new("/")).expect("addresses");
    app
}

fn port(sockets: &Sockets, app: &AppDefinition, name: &str) -> u16 {
    let sockets = sockets.of(&app.name);
    let socket = sockets.iter().find(|socket| socket.name() == name);
    socket.expect("bound").port().expect("a port")
}

/// Whether something waits for the workers of one slot alone.
fn waits_in(sockets: &Sockets, app: &AppName, slot: u32) -> bool {
    let groups = sockets.groups(app).expect("duplicates");
    let mut its = groups.iter().filter(|it| it.slot == Slot(slot));
    its.any(|it| !it.is_dry())
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn what_a_refused_definition_added_is_closed_and_the_rest_stays() {
    let mut sockets = Sockets::default();
    let before = app(&["http=127.0.0.1:0"]);
    let _kept = sockets.bind(&before).expect("bound");
    let http = port(&sockets, &before, "http");

    // Refused for one of its own.
    let taken = format!("taken=127.0.0.1:{http}");
    let clash = app(&["http=127.0.0.1:0", "admin=127.0.0.1:0", &taken]);
    assert!(sockets.bind(&clash).is_err());
    assert_eq!(sockets.listeners(&before.name).len(), 1);

    // Refused for something else later on.
    let after = app(&["http=127.0.0.1:0", "admin=127.0.0.1:0"]);
    let added = sockets.bind(&after).expect("bound");
    let admin = port(&sockets, &after, "admin");
    assert!(listens(admin));
    sockets.take_back(added);
    assert!(!listens(admin) && listens(http));
    assert_eq!(sockets.listeners(&before.name).len(), 1);
    let added = sockets.bind(&after).expect("bound anew");
    assert_eq!(added.bound.len(), 1);
}

#[test]
fn what_was_passed_on_within_an_app_stays_when_its_definition_is_refused() {
    let mut sockets = Sockets::default();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let http = free.local_addr().expect("an address").port();
    drop(free);
    let before = app(&[&format!("http=127.0.0.1:{http}")]);
    let _kept = sockets.bind(&before).expect("bound");
    let id = sockets.listeners(&before.name)[0];
    let front = format!("front=127.0.0.1:{http}");

    // Refused for one of its own.
    assert!(
        sockets
            .bind(&app(&[&front, "admin=unix:/no/where/a.sock"]))
            .is_err()
    );
    assert!(listens(http));
    assert_eq!(sockets.listeners(&before.name), [id]);

    // Refused for something else later on.
    let added = sockets.bind(&app(&[&front])).expect("passed on");
    assert_eq!(sockets.listeners(&before.name), [id, id]);
    sockets.take_back(added);
    assert!(listens(http));
    assert_eq!(sockets.listeners(&before.name), [id]);
    assert_eq!(sockets.get(id).expect("bound").1.name(), "http");
}

#[test]
fn whoever_leaves_out_an_address_gives_it_to_the_app_that_declares_it() {
    let mut sockets = Sockets::default();
    let called = |name: &str, listen: &[&str]| {
        let name = AppName::new(name).expect("a name");
        AppDefinition {
            name,
            ..app(listen)
        }
    };
    let web = called("web", &["http=127.0.0.1:0"]);
    let _kept = sockets.bind(&web).expect("bound");
    let http = port(&sockets, &web, "http");
    let at = format!("http=127.0.0.1:{http}");
    let everywhere = format!("http=:{http}");
    let elsewhere = format!("http=127.0.0.2:{http}");
    let givers = |sockets: &Sockets, wants: &str, web: &AppDefinition| {
        let apps = [called("api", &[wants]), web.clone()];
        let givers = sockets.givers(&apps[0], Next::all(&apps)).into_iter();
        givers.map(|(app, _)| app.to_string()).collect::<Vec<_>>()
    };
    let left_out = called("web", &[]);
    assert_eq!(givers(&sockets, &at, &left_out), ["web"]);
    assert_eq!(givers(&sockets, &everywhere, &left_out), ["web"]);
    assert_eq!(givers(&sockets, &elsewhere, &left_out), [""; 0]);
    assert_eq!(givers(&sockets, &at, &web), [""; 0], "it keeps it");
    // What has been left out already goes in any case.
    sockets.share(&left_out);
    assert_eq!(givers(&sockets, &at, &left_out), [""; 0]);
}

#[test]
fn an_address_in_use_is_told_of_whose_socket_is_in_the_way() {
    let mut sockets = Sockets::default();
    let web = app(&["a=127.0.0.1:0"]);
    let _kept = sockets.bind(&web).expect("bound");
    let port = port(&sockets, &web, "a");
    let both = app(&["a=127.0.0.1:0", &format!("b=127.0.0.2:{port}")]);
    let _kept = sockets.bind(&both).expect("bound");
    for (address, name) in [("127.0.0.2", "b"), ("127.0.0.1", "a"), ("0.0.0.0", "a")] {
        let mut api = app(&[&format!("http={address}:{port}")]);
        api.name = AppName::new("api").expect("a name");
        let error = sockets.bind(&api).expect_err("in use");
        assert!(
            matches!(&error.problem, Problem::Ours(_, its) if its == name),
            "{error:?}"
        );
    }
}

#[test]
fn a_check_finds_what_binding_would_and_binds_nothing() {
    let mut sockets = Sockets::default();
    let before = app(&["http=127.0.0.1:0"]);
    let _kept = sockets.bind(&before).expect("bound");
    let http = port(&sockets, &before, "http");
    assert!(sockets.check(&before, Next::alone(&before)).is_empty());
    let plain = tempfile::NamedTempFile::new().expect("a file");
    let after = [
        "http=127.0.0.1:0".to_owned(),
        format!("in-use=127.0.0.1:{http}"),
        format!("plain=unix:{}", plain.path().display()),
        "nowhere=unix:/no/where/a.sock".to_owned(),
        "other=192.0.2.1:80".to_owned(),
        "fine=127.0.0.1:0".to_owned(),
    ];
    let mut after = app(&after.each_ref().map(String::as_str));
    after.listen[0].options.mode = SocketMode::Slot;
    let problems = sockets.check(&after, Next::alone(&after));
    assert!(
        matches!(
            problems
                .iter()
                .map(|error| &error.problem)
                .collect::<Vec<_>>()[..],
            [
                Problem::Changed(_),
                Problem::Ours(..),
                Problem::NotASocket,
                Problem::NoDirectory,
                Problem::NoSuchAddress
            ]
        ),
        "{problems:#?}"
    );
    assert_eq!(sockets.listeners(&before.name).len(), 1);
    // Alone it could be bound, and nobody could connect meanwhile.
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let free = other.local_addr().expect("an address").port();
    drop(other);
    let alone = app(&["http=127.0.0.1:0", &format!("b=127.0.0.1:{free}")]);
    assert!(sockets.check(&alone, Next::alone(&alone)).is_empty());
    assert!(!listens(free));
}

#[test]
fn what_is_late_for_a_closed_socket_finds_no_other() {
    let mut sockets = Sockets::default();
    let app = app(&["http=127.0.0.1:0"]);
    let _kept = sockets.bind(&app).expect("bound");
    let old = sockets.listeners(&app.name)[0];
    sockets.forget(&app.name);
    assert!(sockets.get(old).is_none());
    let _kept = sockets.bind(&app).expect("bound again");
    assert!(sockets.listen_again(old).is_none() && sockets.watch(old).is_none());
    let new = sockets.listeners(&app.name)[0];
    assert_ne!(new, old);
    let again = sockets.listen_again(new).expect("it is there");
    assert_eq!((again.app, again.name), (app.name, "http".to_owned()));
}

#[test]
fn workers_may_share_a_socket_otherwise_than_before() {
    let mut sockets = Sockets::default();
    let mut app = app(&["http=127.0.0.1:0", "log=udp:127.0.0.1:0"]);
    let _kept = sockets.bind(&app).expect("bound");
    let handed = |sockets: &Sockets, app: &AppDefinition| {
        let handing = sockets.handing_over(app, Slot(0)).into_iter();
        let names = handing.map(|(_, socket)| socket.name().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(handed(&sockets, &app), ["http"], "no datagrams");
    app.listen[0].options.mode = SocketMode::Shared;
    let added = sockets.bind(&app).expect("no other socket");
    assert!(added.is_empty());
    // Not before the definition is taken up.
    assert_eq!(handed(&sockets, &app), ["http"]);
    sockets.share(&app);
    assert_eq!(handed(&sockets, &app), [""; 0]);
    let balanced = SocketMode::Balanced {
        max_connections: None,
    };
    app.listen[0].options.mode = balanced;
    sockets.share(&app);
    assert_eq!(handed(&sockets, &app), ["http"]);
    // As a socket of the starter's shows only when it is there.
    app.listen[1].options.mode = balanced;
    let errors = sockets.check(&app, Next::alone(&app));
    assert!(
        matches!(&errors[..], [error] if error.name == "log" && matches!(error.problem, Problem::NoStreams)),
        "{errors:?}"
    );
}

#[test]
fn what_each_slot_has_for_itself_is_not_handed_over() {
    let mut sockets = Sockets::default();
    let mut app = app(&["http=127.0.0.1:0"]);
    app.listen[0].options.per_slot = true;
    let _kept = sockets.bind(&app).expect("bound");
    assert_eq!(sockets.of_worker(&app, Slot(0)).len(), 1);
    assert!(sockets.handing_over(&app, Slot(0)).is_empty());
}

#[test]
fn what_waits_at_a_slots_own_that_was_passed_on_is_not_thrown_away() {
    let mut sockets = Sockets::default();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let at = free.local_addr().expect("an address");
    drop(free);
    let mut web = app(&[&format!("dns=udp:{at}")]);
    web.listen[0].options.per_slot = true;
    let _kept = sockets.bind(&web).expect("bound");
    let mut api = web.clone();
    api.name = AppName::new("api").expect("a name");
    web.listen.clear();
    let apps = [api, web];
    let added = sockets.bind_for_next(&apps[0], Next::all(&apps));
    let _kept = added.expect("passed on");
    let client = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.send_to(b"x", at).expect("sent");
    assert_eq!(sockets.free(&apps[1].name, |_| true), []);
    let its = sockets.of_worker(&apps[0], Slot(0))[0];
    let fd = its.duplicate(&sockets.table).expect("a duplicate");
    let its = std::net::UdpSocket::from(fd);
    its.set_nonblocking(true).expect("set");
    assert_eq!(its.recv(&mut [0; 8]).expect("it waits there still"), 1);
}

fn group(instances: u32, address: &str) -> AppDefinition {
    let mut app = app(&[&format!("http={address}")]);
    app.instances = instances;
    app.listen[0].options.mode = SocketMode::Slot;
    app
}

#[test]
fn slots_have_a_socket_each_at_one_address() {
    let mut sockets = Sockets::default();
    let web = group(3, "127.0.0.1:0");
    let _kept = sockets.bind(&web).expect("bound");
    let addresses: Vec<_> = sockets.of(&web.name).iter().map(|s| s.port()).collect();
    assert_eq!((addresses.len(), addresses[0]), (3, addresses[2]));
    assert!(addresses[0].is_some_and(|port| port > 0));
    assert!(
        sockets.check(&web, Next::alone(&web)).is_empty(),
        "it has them"
    );
    // One more slot, and one that was there.
    assert!(!sockets.bind_slot(&web, Slot(3)).expect("bound").is_empty());
    assert!(sockets.bind_slot(&web, Slot(1)).expect("there").is_empty());
    let own = sockets.of_worker(&web, Slot(3));
    assert_eq!((own.len(), own[0].port()), (1, addresses[0]));
    let slots: Vec<u32> = sockets
        .groups(&web.name)
        .expect("duplicates")
        .iter()
        .map(|it| it.slot.0)
        .collect();
    assert_eq!(slots, [0, 1, 2, 3]);
    // It has to be one socket for all, or one for each, for ever.
    let mut shared = web.clone();
    shared.listen[0].options.mode = SocketMode::Shared;
    assert!(matches!(
        sockets.bind(&shared).expect_err("changed").problem,
        Problem::Changed(_)
    ));
    let mut sticky = web.clone();
    sticky.listen[0].options.mode = SocketMode::Sticky;
    assert!(sockets.bind(&sticky).expect("as it is").is_empty());
    sockets.share(&sticky);
    assert_eq!(sockets.status("web")[0].1.mode, "sticky");
    sockets.forget(&web.name);
    assert!(!listens(addresses[0].expect("a port")));
    // An app that has no workers has its address all the same.
    let _kept = sockets.bind(&group(0, "127.0.0.1:0")).expect("bound");
    assert_eq!(sockets.of(&web.name).len(), 1);
}

/// The kernel would let all programs of one user share what comes.
#[test]
fn a_group_is_joined_by_no_other_and_joins_none() {
    let mut ours = Sockets::default();
    let web = group(2, "127.0.0.1:0");
    let _kept = ours.bind(&web).expect("bound");
    let port = port(&ours, &web, "http");
    let mut others = Sockets::default();
    let same = group(2, &format!("127.0.0.1:{port}"));
    assert!(!others.check(&same, Next::alone(&same)).is_empty());
    let refused = others.bind(&same).expect_err("in use");
    assert!(matches!(refused.problem, Problem::InUse(_)), "{refused}");
    let everywhere = group(2, &format!("0.0.0.0:{port}"));
    assert!(others.bind(&everywhere).is_err());
    assert_eq!(others.of(&web.name).len(), 0);
    assert!(listens(port));
}

#[test]
fn what_waits_keeps_a_socket_open_until_it_is_to_be_closed_anyway() {
    let mut sockets = Sockets::default();
    let web = group(3, "127.0.0.1:0");
    let _kept = sockets.bind(&web).expect("bound");
    let port = port(&sockets, &web, "http");
    // By the kernel's own choice.
    let clients: Vec<TcpStream> = (0..60)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connected"))
        .collect();
    let waiting = |sockets: &Sockets, slot| {
        let own = sockets.of_worker(&web, Slot(slot));
        own[0].waiting(&sockets.table)
    };
    assert!(waits_in(&sockets, &web.name, 2));
    let all: Vec<u32> = (0..3).map(|slot| waiting(&sockets, slot)).collect();
    assert_eq!(all.iter().sum::<u32>(), 60);
    assert!(all.iter().all(|some| *some > 0), "{all:?}");
    let gone = |slot: Slot| slot.0 >= 1;
    let (closing, left) = sockets.retiring(&web.name, gone, |_| false);
    assert_eq!((closing.len(), left), (0, [1, 2].map(Slot).into()));
    let (closing, left) = sockets.retiring(&web.name, gone, |slot| slot == Slot(2));
    assert_eq!(
        (closing.len(), left),
        (1, [Slot(1)].into()),
        "each by itself"
    );
    let (closing, left) = sockets.retiring(&web.name, gone, |_| true);
    assert!(left.is_empty());
    let retired: Vec<Retired> = closing
        .into_iter()
        .map(|id| sockets.retire(id, true).expect("bound"))
        .collect();
    let lost: Vec<(u32, u32)> = retired.iter().map(|it| (it.slot.0, it.lost)).collect();
    assert_eq!(lost, [(2, all[2]), (1, all[1])], "the highest first");
    let (closing, left) = sockets.retiring(&web.name, gone, |_| true);
    assert!(closing.is_empty() && left.is_empty());
    assert!(!waits_in(&sockets, &web.name, 2), "it has gone");
    assert_eq!(waiting(&sockets, 0), all[0]);
    assert!(listens(port));
    drop(clients);
}

#[test]
fn all_listeners_of_a_group_that_are_shut_down_are_found_by_any_of_them() {
    let mut sockets = Sockets::default();
    let mut web = group(3, "127.0.0.1:0");
    web.listen.extend(app(&["admin=127.0.0.1:0"]).listen);
    let _kept = sockets.bind(&web).expect("bound");
    let groups = sockets.groups(&web.name).expect("duplicates");
    let ids: Vec<SocketId> = groups.iter().map(|it| it.id).collect();
    assert_eq!(sockets.shut_in_group(ids[1]), []);
    let shut = |fd: &OwnedFd| rustix::net::shutdown(fd, rustix::net::Shutdown::Both);
    for slot in [0, 2] {
        shut(&groups[slot].listener).expect("shut");
    }
    let listeners = sockets.listeners(&web.name);
    let admin = listeners.into_iter().find(|id| !ids.contains(id));
    let admin = admin.expect("one that all share");
    shut(
        &sockets
            .duplicate(admin)
            .expect("bound")
            .expect("a duplicate"),
    )
    .expect("shut");
    for any in &ids {
        assert_eq!(sockets.shut_in_group(*any), [ids[0], ids[2]]);
    }
    assert_eq!(sockets.shut_in_group(admin), [], "it is in no group");
    let again = sockets.listen_again(ids[0]).expect("bound");
    again.outcome.expect("listens");
    assert_eq!(sockets.shut_in_group(ids[0]), [ids[2]]);
}
