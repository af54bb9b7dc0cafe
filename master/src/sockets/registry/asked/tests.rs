use std::{net::TcpStream, path::Path};

use super::*;
use crate::config::address::{address, declaration};

const A: WorkerId = WorkerId(1);
const B: WorkerId = WorkerId(2);

fn web() -> AppName {
    AppName::new("web").expect("a name")
}

fn wanted(text: &str) -> SocketDeclaration {
    let address = address(text, Path::new("/")).expect("an address");
    declaration(String::new(), address)
}

fn ask(sockets: &mut Sockets, worker: WorkerId, question: u64, text: &str) -> Got {
    let got = sockets.ask(&web(), (worker, question), wanted(text));
    got.expect("a socket")
}

fn port(sockets: &Sockets, got: Got) -> u16 {
    let (_, socket) = sockets.get(got.id).expect("bound");
    socket.any_port().expect("a port")
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn the_nth_question_of_each_worker_for_port_0_shares_one_socket() {
    let mut sockets = Sockets::default();
    let first = ask(&mut sockets, A, 1, "127.0.0.1:0");
    let second = ask(&mut sockets, A, 2, "127.0.0.1:0");
    assert_ne!(port(&sockets, first), port(&sockets, second));
    let other = ask(&mut sockets, B, 1, "127.0.0.1:0");
    assert_eq!((other.id, other.is_new), (first.id, false));
    assert_eq!(ask(&mut sockets, B, 2, "127.0.0.1:0").id, second.id);
    // UDP is another kind, and so is another address.
    assert!(ask(&mut sockets, B, 3, "udp:127.0.0.1:0").is_new);
    assert!(ask(&mut sockets, B, 4, "127.0.0.2:0").is_new);
    // What a worker has given back is the next that it gets.
    assert!(
        sockets.give_back(&web(), A, 1).closed.is_empty(),
        "B has it"
    );
    assert_eq!(ask(&mut sockets, A, 5, "127.0.0.1:0").id, first.id);
    let names: Vec<String> = sockets
        .status("web")
        .into_iter()
        .map(|(_, s)| s.name)
        .collect();
    let expected = [
        "127.0.0.1:0",
        "127.0.0.1:0#2",
        "udp:127.0.0.1:0",
        "127.0.0.2:0",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_last_one_that_goes_frees_the_address() {
    let mut sockets = Sockets::default();
    let got = ask(&mut sockets, A, 1, "127.0.0.1:0");
    let port = port(&sockets, got);
    let same = format!("127.0.0.1:{port}");
    ask(&mut sockets, B, 1, "127.0.0.1:0");
    assert!(sockets.still_has(got.id, A, 1));
    let left = GivenBack {
        left: Some(got.id),
        closed: vec![],
    };
    assert_eq!(sockets.give_back(&web(), A, 1), left);
    assert_eq!(
        sockets.give_back(&web(), A, 1),
        GivenBack::default(),
        "once more"
    );
    assert!(!sockets.still_has(got.id, A, 1) && sockets.still_has(got.id, B, 1));
    assert!(listens(port));
    let [(_, status)] = &sockets.status("web")[..] else {
        panic!("one socket");
    };
    assert_eq!(status.asked_by.as_deref(), Some(&[B][..]));
    assert_eq!(sockets.give_back(&web(), B, 1).closed, [got.id]);
    assert!(!listens(port) && sockets.get(got.id).is_none());
    assert!(sockets.status("web").is_empty());
    assert!(ask(&mut sockets, A, 2, &same).is_new);
}

#[test]
fn an_address_is_had_once_by_a_worker_and_what_failed_is_tried_anew() {
    let mut sockets = Sockets::default();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let text = stranger.local_addr().expect("an address").to_string();
    let refused = sockets.ask(&web(), (A, 1), wanted(&text));
    let refused = refused.expect_err("in use").problem;
    assert!(
        matches!(&refused, Problem::InUse(None)),
        "{refused:?}: nobody was looked for"
    );
    assert_eq!(refused.errno(), libc::EADDRINUSE);
    drop(stranger);
    let got = ask(&mut sockets, A, 2, &text);
    let twice = sockets.ask(&web(), (A, 3), wanted(&text));
    let twice = twice.expect_err("its own").problem;
    assert!(matches!(twice, Problem::ItsOwn));
    assert_eq!(twice.errno(), libc::EADDRINUSE);
    assert_eq!(ask(&mut sockets, B, 1, &text).id, got.id, "the first stays");
}

#[test]
fn what_a_worker_held_is_its_slots_until_nobody_comes() {
    let mut sockets = Sockets::default();
    let got = ask(&mut sockets, A, 1, "127.0.0.1:0");
    let port = port(&sockets, got);
    assert!(sockets.leave_to_slot(&web(), A, Slot(3)).is_empty());
    assert!(sockets.is_left_to_slots());
    let awaited = |app: &AppName, slot| *app == web() && slot == Slot(3);
    assert!(sockets.settle(awaited).is_empty());
    assert!(listens(port));
    // Its successor asks, and is ready.
    assert_eq!(ask(&mut sockets, B, 1, "127.0.0.1:0").id, got.id);
    assert!(sockets.settle(|_, _| false).is_empty());
    assert!(listens(port) && !sockets.is_left_to_slots());
    // It ends, and nobody comes any more.
    assert!(sockets.leave_to_slot(&web(), B, Slot(3)).is_empty());
    assert_eq!(sockets.settle(|_, _| false), [(web(), got.id)]);
    assert!(!listens(port));
}

#[test]
fn what_workers_of_a_slot_ask_for_before_they_crash_does_not_pile_up() {
    let mut sockets = Sockets::default();
    let mut last = None;
    for id in 1..=4 {
        let worker = WorkerId(id);
        let got = ask(&mut sockets, worker, 1, &format!("127.0.0.{id}:0"));
        let closed = sockets.leave_to_slot(&web(), worker, Slot(3));
        assert_eq!(closed, Vec::from_iter(last.replace(got.id)));
        assert!(sockets.settle(|_, _| true).is_empty(), "one is awaited");
        // One that ends before it asks takes nothing from its successor.
        assert!(
            sockets
                .leave_to_slot(&web(), WorkerId(9), Slot(3))
                .is_empty()
        );
    }
    assert_eq!(sockets.status("web").len(), 1);
}

#[test]
fn one_that_was_let_go_of_keeps_what_it_holds() {
    let mut sockets = Sockets::default();
    let got = ask(&mut sockets, A, 1, "127.0.0.1:0");
    let kept = sockets.duplicate(got.id).expect("bound").expect("a copy");
    let port = port(&sockets, got);
    assert_eq!(sockets.leave_with(&web(), A), [got.id]);
    assert!(listens(port), "it was not shut down");
    drop(kept);
    assert!(!listens(port));
}

#[test]
fn one_that_a_worker_shut_down_listens_again() {
    let mut sockets = Sockets::default();
    let got = ask(&mut sockets, A, 1, "127.0.0.1:0");
    let port = port(&sockets, got);
    let copy = sockets.duplicate(got.id).expect("bound").expect("a copy");
    rustix::net::shutdown(copy, rustix::net::Shutdown::Both).expect("shut down");
    assert!(!listens(port));
    let again = sockets.listen_again(got.id).expect("bound");
    again.outcome.expect("opened again");
    assert!(listens(port) && again.app == web());
}

#[test]
fn a_unix_socket_goes_with_its_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("s");
    let text = format!("unix:{}", path.display());
    let mut sockets = Sockets::default();
    ask(&mut sockets, A, 1, &text);
    assert!(path.exists());
    sockets.forget(&web());
    assert!(!path.exists() && sockets.status("web").is_empty());
}
