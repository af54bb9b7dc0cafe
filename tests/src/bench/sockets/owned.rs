//! The same worker program without a master: workers that each own a SO_REUSEPORT socket, and one of threads.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    thread::park_timeout,
    time::{Duration, Instant},
};

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, listen, socket_with,
    sockopt::set_socket_reuseport,
};

use super::{Absent, service::socket_name};
use crate::bench::roles;

/// As the master's sockets have it.
const BACKLOG: i32 = 1024;

/// How long they may take until they answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Workers without a master. Killed on drop.
#[derive(Debug)]
pub struct Owned {
    children: Vec<Child>,
    /// Where they serve.
    pub address: SocketAddr,
}

impl Owned {
    /// So many workers, each the only owner of a socket of its own at the port that all have.
    ///
    /// # Errors
    /// If they can't be started.
    pub fn reuseport(workers: usize) -> Result<Self, Absent> {
        let first = reusable("127.0.0.1:0".parse().map_err(|_| "no address")?)?;
        let address = first.local_addr().map_err(|e| e.to_string())?;
        let mut owned = Self::at(address);
        owned.start(0, 1, first.into())?;
        for slot in 1..workers {
            owned.start(slot, 1, reusable(address)?.into())?;
        }
        owned.answers()
    }

    /// One process of so many threads, which accept on one socket.
    ///
    /// # Errors
    /// If it can't be started.
    pub fn threads(threads: usize) -> Result<Self, Absent> {
        let socket = reusable("127.0.0.1:0".parse().map_err(|_| "no address")?)?;
        let mut owned = Self::at(socket.local_addr().map_err(|e| e.to_string())?);
        owned.start(0, threads, socket.into())?;
        owned.answers()
    }

    fn at(address: SocketAddr) -> Self {
        let children = Vec::new();
        Self { children, address }
    }

    /// Starts the program with its socket at descriptors 3 and on, one for each thread; it is killed when we end.
    fn start(&mut self, slot: usize, threads: usize, socket: OwnedFd) -> Result<(), Absent> {
        let copies: String = (0..threads).map(|n| format!(" {}<&0", 3 + n)).collect();
        let names: Vec<String> = (0..threads).map(socket_name).collect();
        let script = format!(
            "exec{copies} </dev/null; LISTEN_PID=$$ LISTEN_FDS={threads} LISTEN_FDNAMES={} exec \"$@\"",
            names.join(":")
        );
        let ended_with_us = roles::command("broker")?;
        let child = Command::new(&ended_with_us[0])
            .args(&ended_with_us[1..])
            .arg(std::process::id().to_string())
            .args(["sh", "-c", &script, "sh"])
            .args(roles::command("service")?)
            .args([slot.to_string(), threads.to_string()])
            .stdin(Stdio::from(socket))
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        self.children.push(child);
        Ok(())
    }

    /// Waits until each has answered somebody: nobody else accepts what waits at a worker's own socket.
    fn answers(mut self) -> Result<Self, Absent> {
        let until = Instant::now() + PATIENCE;
        for _ in 0..16 * self.children.len() {
            while let Err(why) = asked(self.address) {
                if let Some(Ok(Some(status))) = self
                    .children
                    .iter_mut()
                    .map(Child::try_wait)
                    .find(|ended| !matches!(ended, Ok(None)))
                {
                    return Err(format!("a worker has ended: {status}"));
                }
                if Instant::now() > until {
                    return Err(format!("no answer at {}: {why}", self.address));
                }
                park_timeout(Duration::from_millis(10));
            }
        }
        Ok(self)
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn reusable(address: SocketAddr) -> Result<TcpListener, Absent> {
    let made = || -> rustix::io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        set_socket_reuseport(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, BACKLOG)?;
        Ok(socket)
    };
    made()
        .map(TcpListener::from)
        .map_err(|e| format!("{address}: {e}"))
}

/// One request, on a connection of its own.
pub(super) fn asked(address: SocketAddr) -> Result<(), String> {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new())
    };
    match ask() {
        Ok(0) => Err("an empty answer".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}
