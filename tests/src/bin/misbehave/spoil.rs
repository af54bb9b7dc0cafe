//! Habits that spoil output and process trees.

use std::{
    io::{Write, stdout},
    os::unix::process::CommandExt,
    process::{Command, ExitCode, Stdio},
};

/// The argument of a grandchild, unlikely to be typed by hand.
pub(super) const GRANDCHILD: &str = "__grandchild";

/// The argument of a grandchild that floods.
pub(super) const FLOOD: &str = "__flood";

/// Shuts the first inherited socket down: its other holders accept nothing any more.
pub(super) fn shut_listener() -> Result<(), String> {
    let listener = listenfd::ListenFd::from_env()
        .take_tcp_listener(0)
        .map_err(|e| format!("descriptor 3: {e}"))?
        .ok_or("no inherited socket: LISTEN_FDS and LISTEN_PID don't name one")?;
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).map_err(|e| e.to_string())
}

/// The same for a Unix socket.
pub(super) fn shut_unix_listener() -> Result<(), String> {
    let listener = listenfd::ListenFd::from_env()
        .take_unix_listener(0)
        .map_err(|e| format!("descriptor 3: {e}"))?
        .ok_or("no inherited socket: LISTEN_FDS and LISTEN_PID don't name one")?;
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).map_err(|e| e.to_string())
}

/// Leaves a grandchild in a group of its own that floods the notify socket.
pub(super) fn leave_flood() -> Result<(), String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let flood = Command::new(me)
        .arg(FLOOD)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    flood.map(drop).map_err(|e| e.to_string())
}

/// Prints numbered lines, each `bytes` long with its end.
pub(super) fn spam_lines(count: u64, bytes: usize) -> Result<(), String> {
    let mut out = std::io::BufWriter::new(stdout().lock());
    for number in 0..count {
        let width = bytes.saturating_sub(1);
        writeln!(out, "{:.<width$}", format!("line {number} ")).map_err(|e| e.to_string())?;
    }
    done(out)
}

/// Prints bytes without any line end.
pub(super) fn spam_bytes(count: u64) -> Result<(), String> {
    let mut out = std::io::BufWriter::new(stdout().lock());
    let piece = [b'x'; 4096];
    let mut left = count;
    while left > 0 {
        let now = left.min(piece.len() as u64);
        out.write_all(&piece[..now as usize])
            .map_err(|e| e.to_string())?;
        left -= now;
    }
    done(out)
}

fn done(mut out: impl Write) -> Result<(), String> {
    out.flush().map_err(|e| e.to_string())?;
    eprintln!("done");
    Ok(())
}

/// Where a grandchild is left.
#[derive(Clone, Copy)]
pub(super) enum Group {
    /// In the worker's process group.
    Same,
    /// In one of its own, where a signal to the worker's group doesn't reach it.
    Own,
}

/// Leaves a grandchild behind that holds this process's stdout and stderr. It ends by itself in 30 s.
pub(super) fn leave_grandchild(group: Group) -> Result<ExitCode, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut command = Command::new(own);
    command.arg(GRANDCHILD).stdin(Stdio::null());
    match group {
        Group::Same => {}
        Group::Own => {
            command.process_group(0);
        }
    }
    let grandchild = command.spawn().map_err(|e| format!("no grandchild: {e}"))?;
    println!("left {}", grandchild.id());
    Ok(ExitCode::SUCCESS)
}

/// Closes stdout and stderr, so that the reader of either sees its end while the process lives on.
pub(super) fn close_pipes() -> Result<(), String> {
    println!("closing");
    for fd in [1, 2] {
        nix::unistd::close(fd).map_err(|e| format!("descriptor {fd}: {e}"))?;
    }
    Ok(())
}
