//! A blocking HTTP server on an inherited socket, as a careful author without any framework would write it.
//!
//! It loses no request of its own accord when it is asked to go: it stops accepting, serves the first request of every
//! connection that it had accepted (a second of patience for one that is silent), finishes what is under way, ends kept
//! connections that are idle, and exits when none is left. The descriptor is made non-blocking, as servers that wait for
//! readiness do: with siblings on the same socket, a blocking `accept` could not be left.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
};

use crate::life;

/// Connections at once; over it none is accepted until one ends.
const MOST: usize = 512;
/// How long a fresh connection may be silent once the server drains.
const PATIENCE: Duration = Duration::from_secs(1);
/// What an idle kept connection may last.
const IDLE: Duration = Duration::from_secs(60);

/// What connections share.
struct Server {
    body: String,
    /// Readable (hung up) once the server drains.
    draining: OwnedFd,
    open: Mutex<usize>,
    changed: Condvar,
}

/// Serves until asked to go.
pub(super) fn serve(version_file: &str) -> Result<ExitCode, String> {
    let asked = life::signals();
    let version =
        std::fs::read_to_string(version_file).map_err(|e| format!("{version_file}: {e}"))?;
    let listener = listenfd::ListenFd::from_env()
        .take_tcp_listener(0)
        .map_err(|e| format!("descriptor 3: {e}"))?
        .ok_or("no inherited socket: LISTEN_FDS and LISTEN_PID don't name one")?;
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let (draining, drain) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| e.to_string())?;
    let server = Arc::new(Server {
        body: body(version.trim()),
        draining,
        open: Mutex::new(0),
        changed: Condvar::new(),
    });
    let acceptor = std::thread::spawn({
        let server = Arc::clone(&server);
        move || {
            if let Err(why) = accept(&server, &listener) {
                eprintln!("misbehave: {why}");
                std::process::exit(1);
            }
        }
    });
    println!("listening {}", version.trim());
    life::until_asked(&asked);
    println!("draining");
    drop(drain);
    acceptor.join().map_err(|_| "the acceptor panicked")?;
    server.wait_below(1);
    println!("bye");
    Ok(ExitCode::SUCCESS)
}

fn body(version: &str) -> String {
    let given = |name| std::env::var(name).map_or(serde_json::Value::Null, Into::into);
    serde_json::json!({
        "pid": std::process::id(),
        "slot": given("OSTLER_SLOT"),
        "generation": given("OSTLER_GENERATION"),
        "version": version,
    })
    .to_string()
}

/// What a wait ended with.
enum Woken {
    Readable,
    Draining,
    TimedOut,
}

impl Server {
    /// Waits for input, or (if `heed`) for the drain, whichever is first; input wins when both are there.
    fn wait(&self, input: impl AsFd, heed: bool, within: Duration) -> Result<Woken, String> {
        let within = Timespec {
            tv_sec: within.as_secs() as i64,
            tv_nsec: within.subsec_nanos().into(),
        };
        let mut fds = [
            PollFd::new(&input, PollFlags::IN),
            PollFd::new(&self.draining, PollFlags::IN),
        ];
        let watched = if heed { 2 } else { 1 };
        loop {
            match poll(&mut fds[..watched], Some(&within)) {
                Ok(0) => return Ok(Woken::TimedOut),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(Woken::Readable),
                Ok(_) => return Ok(Woken::Draining),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn draining(&self) -> bool {
        let mut fds = [PollFd::new(&self.draining, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Waits until fewer than `bound` connections are open.
    fn wait_below(&self, bound: usize) {
        let open = self.open.lock().expect("no holder panics");
        drop(
            self.changed
                .wait_timeout_while(open, life::LONGEST, |open| *open >= bound),
        );
    }

    fn count(&self, change: impl Fn(&mut usize)) {
        change(&mut self.open.lock().expect("no holder panics"));
        self.changed.notify_all();
    }
}

/// Accepts until the server drains. A connection is counted before this returns, so none is forgotten.
fn accept(server: &Arc<Server>, listener: &TcpListener) -> Result<(), String> {
    loop {
        server.wait_below(MOST);
        // A listener always has input under load: ask for the drain first, or it would never be seen.
        if server.draining() {
            return Ok(());
        }
        match server.wait(listener, true, life::LONGEST)? {
            Woken::Readable => {}
            Woken::Draining | Woken::TimedOut => return Ok(()),
        }
        match listener.accept() {
            Ok((stream, _)) => {
                server.count(|open| *open += 1);
                let server = Arc::clone(server);
                std::thread::spawn(move || {
                    // A client that goes away is its own business.
                    converse(&server, stream).ok();
                    server.count(|open| *open -= 1);
                });
            }
            // A sibling was faster, or the client has gone already.
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::ConnectionAborted
                ) => {}
            Err(e) => return Err(format!("accept: {e}")),
        }
    }
}

/// Serves one connection to its end.
fn converse(server: &Server, mut stream: TcpStream) -> Result<(), String> {
    stream.set_nonblocking(false).map_err(|e| e.to_string())?;
    stream.set_nodelay(true).ok();
    stream
        .set_read_timeout(Some(IDLE))
        .map_err(|e| e.to_string())?;
    let mut served = 0_u64;
    loop {
        let woken = match (served, server.draining()) {
            (0, true) => server.wait(&stream, false, PATIENCE)?,
            (_, true) => Woken::Draining,
            (_, false) => server.wait(&stream, true, IDLE)?,
        };
        match woken {
            Woken::Readable => {}
            Woken::Draining if served == 0 => continue,
            Woken::Draining | Woken::TimedOut => return Ok(()),
        }
        let Some(request) = read_request(&mut stream)? else {
            return Ok(());
        };
        let keep = answer(server, &mut stream, &request)?;
        served += 1;
        if !keep {
            return Ok(());
        }
    }
}

/// Reads a head (requests have no body here); `None` at the end of the stream.
fn read_request(stream: &mut TcpStream) -> Result<Option<String>, String> {
    let mut head = Vec::new();
    let mut buffer = [0; 2048];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).map_err(|e| e.to_string())? {
            0 => return Ok(None),
            count => head.extend_from_slice(&buffer[..count]),
        }
        if head.len() > 16 * 1024 {
            return Err("a head over 16 KiB".into());
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).to_ascii_lowercase()))
}

/// Answers; true if the connection is kept.
fn answer(server: &Server, stream: &mut TcpStream, request: &str) -> Result<bool, String> {
    let path = request.split(' ').nth(1).unwrap_or("/");
    match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["slow", ms] => life::pause(crate::millis(ms)?.min(Duration::from_secs(10))),
        ["crash"] => std::process::abort(),
        ["exit", code] => std::process::exit(crate::number(code)?),
        _ => {}
    }
    let keep = !request.contains("\r\nconnection: close") && !server.draining();
    let persistence = if keep { "keep-alive" } else { "close" };
    let (body, length) = (&server.body, server.body.len());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: {persistence}\r\n\r\n{body}"
    );
    stream
        .write_all(answer.as_bytes())
        .map_err(|e| e.to_string())?;
    Ok(keep)
}
