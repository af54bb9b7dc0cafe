//! Whoever started the master, and how it is told.

use std::{
    io::{self, ErrorKind},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// For how long each time.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long somebody who doesn't read is told again.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// How often.
const AGAIN: Duration = Duration::from_millis(50);

/// Who started the master and wants to know.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    to: SocketAddr,
    /// It wants to hear of the master at least so often.
    pub(super) watchdog: Option<Duration>,
    pub(super) ready: AtomicBool,
    /// It was told that workers are being replaced, and not yet that they were.
    pub(super) reloading: AtomicBool,
    stopping: AtomicBool,
    /// What it was told last of how things stand.
    said: Mutex<String>,
}

impl ServiceManager {
    /// Of this process's environment; `None` if nobody wants to know.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let address = var("NOTIFY_SOCKET")?;
        let of_us = var("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = var("WATCHDOG_USEC").filter(|_| of_us);
        let micros = micros.and_then(|micros| micros.parse::<u64>().ok());
        let watchdog = micros
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        Self::at(&address, watchdog)
            .inspect_err(|error| {
                tracing::warn!("NOTIFY_SOCKET is {address:?}, where nothing can be told: {error}");
            })
            .ok()
    }

    fn at(address: &str, watchdog: Option<Duration>) -> io::Result<Self> {
        let to = match address.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Who doesn't read must not hold the master up.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            to,
            watchdog,
            ready: AtomicBool::new(false),
            reloading: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            said: Mutex::default(),
        })
    }

    /// Says it once; who doesn't read just now doesn't hear it.
    pub(super) fn tell(&self, message: &str) {
        if let Err(error) = self.send(message) {
            not_told(message, &error);
        }
    }

    /// Says what must be heard: who doesn't read just now is told again, for a while.
    pub(super) async fn make_heard(&self, message: &str) {
        let until = Instant::now() + HEARD_WITHIN;
        while let Err(error) = self.send(message) {
            if error.kind() != ErrorKind::WouldBlock || Instant::now() > until {
                return not_told(message, &error);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn send(&self, message: &str) -> io::Result<()> {
        self.socket
            .send_to_addr(message.as_bytes(), &self.to)
            .map(drop)
    }

    pub(super) fn ask_for_time(&self) {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}", PATIENCE.as_micros()));
    }

    /// Notes what it is told of how things stand; whether that is something else than before.
    pub(super) fn says(&self, status: String) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = *said != status;
        *said = status;
        differs
    }

    /// Tells, once, that the master ends.
    pub fn stopping(&self) {
        if !self.stopping.swap(true, Ordering::AcqRel) {
            self.tell("STOPPING=1\nSTATUS=workers finish what they have");
        }
    }
}

fn not_told(message: &str, error: &io::Error) {
    tracing::warn!("the service manager was not told {message:?}: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_address_are_reached_and_the_end_is_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("bound");
        let name = format!("ostler-{}", dir.path().display());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&address).expect("bound");
        let path = path.display().to_string();
        for (heard, address) in [(by_path, path), (by_name, format!("@{name}"))] {
            let manager = ServiceManager::at(&address, None).expect("an address");
            manager.stopping();
            manager.stopping();
            heard.set_nonblocking(true).expect("set");
            let mut message = [0; 64];
            let length = heard.recv(&mut message).expect("told");
            assert!(message[..length].starts_with(b"STOPPING=1\n"));
            assert!(heard.recv(&mut message).is_err(), "told once");
        }
    }
}
