//! What a journal gets.

use std::{
    io::Read as _,
    os::unix::net::UnixDatagram,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ostler_bus::{Generation, Slot, WorkerId};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use super::*;
use crate::config::app::AppName;

fn who() -> Arc<Identity> {
    Arc::new(Identity {
        app: AppName::new("web").expect("a name"),
        slot: Slot(2),
        id: WorkerId(7),
        generation: Generation(3),
    })
}

fn line(stream: Stream, text: &str) -> OutputLine {
    OutputLine {
        worker: who(),
        pid: 99,
        number: 1,
        stream,
        at: SystemTime::UNIX_EPOCH,
        text: text.into(),
        cut: false,
    }
}

fn encoded(line: &OutputLine) -> String {
    let mut out = Vec::new();
    of_line(line, &mut out);
    String::from_utf8(out).expect("text")
}

fn listening(dir: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(dir.join("journal")).expect("bound");
    let patience = Some(Duration::from_secs(20));
    socket.set_read_timeout(patience).expect("set");
    socket
}

#[test]
fn a_line_is_fields_and_may_name_its_own_priority() {
    assert_eq!(
        encoded(&line(Stream::Stderr, "it broke")),
        "MESSAGE=it broke\nPRIORITY=3\nSYSLOG_PID=99\nOSTLER_PID=99\nOSTLER_STREAM=stderr\nSYSLOG_IDENTIFIER=web\n\
         OSTLER_APP=web\nOSTLER_SLOT=2\nOSTLER_WORKER_ID=7\nOSTLER_GENERATION=3\n"
    );
    let begins = |text: &str| {
        let text = encoded(&line(Stream::Stdout, text));
        text.lines().take(2).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(begins("<4>mind"), "MESSAGE=mind PRIORITY=4");
    for plain in ["<8>x", "<44>x", "<>x", "<4 x", "x<4>"] {
        assert_eq!(begins(plain), format!("MESSAGE={plain} PRIORITY=6"));
    }
    let mut out = Vec::new();
    field("MESSAGE", "a\nPRIORITY=0", &mut out);
    assert_eq!(out, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
}

#[test]
fn what_is_too_large_for_a_datagram_comes_as_a_sealed_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = listening(dir.path());
    let sender = Sender::new(dir.path().join("journal")).expect("a socket");
    sockopt::set_socket_send_buffer_size(&sender.socket, 4096).expect("small");
    let message = "x".repeat(64 << 10);
    sender.send(message.as_bytes()).expect("sent");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(&journal, &mut [], &mut control, RecvFlags::CMSG_CLOEXEC).expect("heard");
    assert_eq!(got.bytes, 0);
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let fd = fds.expect("a file");
    let seals = rustix::fs::fcntl_get_seals(&fd).expect("seals");
    assert!(
        seals.contains(SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)
    );
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
    let mut text = String::new();
    let mut file = File::open(path).expect("opened");
    file.read_to_string(&mut text).expect("read");
    assert_eq!(text, message);
}

#[tokio::test]
async fn a_journal_that_comes_later_gets_what_is_printed_then_to_the_last_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("journal");
    let mut sender = Sender::new(place.clone()).expect("a socket");
    assert_eq!(sender.failed, Some(0), "it is not there");
    let (queue, mut waiting) = line_queue(10, 10_000);
    let mut untold = 0;
    assert!(queue.line(&line(Stream::Stdout, "too early"), &mut untold));
    queue.end().await;
    let sent = tokio::task::spawn_blocking(move || {
        sender.send_all(&mut waiting);
        sender.failed
    });
    assert_eq!(sent.await.expect("sent"), Some(1));
    let socket = listening(dir.path());
    let journal = Journal::default();
    let queue = journal.queue_to(place).expect("a thread");
    for n in 0..3 {
        assert!(queue.line(&line(Stream::Stdout, &n.to_string()), &mut untold));
    }
    journal.finish().await;
    let mut buffer = [0; 4096];
    for n in 0..3 {
        let length = socket.recv(&mut buffer).expect("sent before the end");
        assert!(buffer[..length].starts_with(format!("MESSAGE={n}\n").as_bytes()));
    }
}
