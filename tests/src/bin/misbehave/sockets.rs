//! Sockets in other hands: a server of datagrams, and a starter that passes on what it has bound.

use std::{
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            net::{UnixDatagram, UnixListener},
            process::CommandExt,
        },
    },
    process::{Command, ExitCode},
};

use rustix::io::FdFlags;

use crate::life;

/// Answers each datagram on the first inherited socket with this process's id, until it is asked to go.
pub(super) fn answer_datagrams() -> Result<ExitCode, String> {
    let asked = life::signals();
    let socket = listenfd::ListenFd::from_env()
        .take_udp_socket(0)
        .map_err(|e| format!("descriptor 3: {e}"))?
        .ok_or("no inherited socket: LISTEN_FDS and LISTEN_PID don't name one")?;
    let pid = std::process::id().to_string();
    std::thread::spawn(move || {
        while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
            // Who asked may be gone.
            socket.send_to(pid.as_bytes(), from).ok();
        }
    });
    life::until_asked(&asked);
    Ok(ExitCode::SUCCESS)
}

/// Binds `NAME=ADDRESS`…, up to `--`, and becomes the program behind it, as systemd would for an activated service.
pub(super) fn activate(words: &[&str]) -> Result<ExitCode, String> {
    let end = words.iter().position(|word| *word == "--");
    let (sockets, rest) = words.split_at(end.ok_or("no -- before the program")?);
    let [_, program, args @ ..] = rest else {
        return Err("no program".into());
    };
    let mut names = Vec::new();
    let mut kept = Vec::new();
    for (socket, number) in sockets.iter().zip(3..) {
        let (name, address) = socket.split_once('=').ok_or("no NAME=ADDRESS")?;
        let socket = bind(address).map_err(|e| format!("{address}: {e}"))?;
        if socket.as_raw_fd() != number {
            return Err(format!("{} is not {number}", socket.as_raw_fd()));
        }
        rustix::io::fcntl_setfd(&socket, FdFlags::empty()).map_err(|e| e.to_string())?;
        names.push(name);
        kept.push(socket);
    }
    let error = Command::new(program)
        .args(args)
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDS", kept.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .exec();
    Err(format!("{program}: {error}"))
}

fn bind(address: &str) -> std::io::Result<OwnedFd> {
    if let Some(path) = address.strip_prefix("unix:") {
        return UnixListener::bind(path).map(Into::into);
    }
    if let Some(path) = address.strip_prefix("unixgram:") {
        return UnixDatagram::bind(path).map(Into::into);
    }
    match address.strip_prefix("udp:") {
        Some(address) => UdpSocket::bind(address).map(Into::into),
        None => TcpListener::bind(address).map(Into::into),
    }
}
