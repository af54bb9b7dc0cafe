//! A server of packets on a Unix socket, whose connections keep each message whole; a thread for each.
//!
//! It loses nothing of its own accord when it is asked to go: it accepts no more, and serves whom it has accepted to their end.

use std::{
    os::fd::OwnedFd,
    process::ExitCode,
    thread::{JoinHandle, spawn},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    net::{
        RecvFlags, SendFlags, SocketFlags, accept_with, recv, send,
        sockopt::{Timeout, set_socket_timeout},
    },
    pipe::{PipeFlags, pipe_with},
};

use crate::life;

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest packet.
const MOST: usize = 64 * 1024;

/// Serves until asked to go. Each packet is answered by one: this process's id, the version, and how long it was.
pub(super) fn serve(version_file: &str) -> Result<ExitCode, String> {
    let asked = life::signals();
    let version =
        std::fs::read_to_string(version_file).map_err(|e| format!("{version_file}: {e}"))?;
    let kind = (libc::AF_UNIX, libc::SOCK_SEQPACKET);
    let listener: OwnedFd = listenfd::ListenFd::from_env()
        .take_custom(0, kind.0, kind.1, "Unix socket for packets")
        .map_err(|e| format!("descriptor 3: {e}"))?
        .ok_or("no inherited socket: LISTEN_FDS and LISTEN_PID don't name one")?;
    // With siblings on the same socket, a blocking `accept` could not be left.
    rustix::io::ioctl_fionbio(&listener, true).map_err(|e| e.to_string())?;
    let (draining, drain) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    let whole = format!("{} {}", std::process::id(), version.trim());
    let acceptor = spawn(move || accept_until(&draining, &listener, &whole));
    println!("listening {}", version.trim());
    life::until_asked(&asked);
    drop(drain);
    let serving = acceptor.join().map_err(|_| "the acceptor panicked")??;
    for one in serving {
        one.join().map_err(|_| "a connection's thread panicked")?;
    }
    println!("bye");
    Ok(ExitCode::SUCCESS)
}

/// Accepts until the other end of `draining` is closed; gives those that are still served.
fn accept_until(
    draining: &OwnedFd,
    listener: &OwnedFd,
    whole: &str,
) -> Result<Vec<JoinHandle<()>>, String> {
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let mut fds = [
            PollFd::new(draining, PollFlags::IN),
            PollFd::new(listener, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.to_string()),
        }
        if !fds[0].revents().is_empty() {
            return Ok(serving);
        }
        match accept_with(listener, SocketFlags::CLOEXEC) {
            Ok(connection) => {
                serving.retain(|one| !one.is_finished());
                let whole = whole.to_owned();
                // A client that goes away is its own business.
                serving.push(spawn(move || {
                    converse(&connection, &whole).ok();
                }));
            }
            // A sibling was faster, or the client has gone already.
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => {}
            Err(error) => return Err(format!("accept: {error}")),
        }
    }
}

/// Answers each packet until the client ends.
fn converse(connection: &OwnedFd, whole: &str) -> rustix::io::Result<()> {
    set_socket_timeout(connection, Timeout::Recv, Some(PATIENCE))?;
    let mut packet = vec![0; MOST];
    loop {
        match recv(connection, &mut packet, RecvFlags::empty())? {
            (0, _) => return Ok(()),
            (length, _) => {
                let answer = format!("{whole} {length}");
                send(connection, answer.as_bytes(), SendFlags::NOSIGNAL)?;
            }
        }
    }
}
