//! A connection to a broker: a blocking socket and what came over it.

use std::{
    fmt,
    io::{Read, Write},
    net::TcpStream,
    os::{fd::AsFd, unix::net::UnixStream},
    str::FromStr,
    time::Duration,
};

/// Bytes read or written at once.
pub const BUFFER: usize = 64 << 10;

/// A broker that says nothing for so long when it should has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a broker listens: loopback, or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket's path.
    Unix(String),
    /// Host and port.
    Tcp(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::Tcp(host) => write!(f, "tcp:{host}"),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("tcp", host)) => Ok(Self::Tcp(host.into())),
            Some(_) | None => Err(format!("{text:?} is no address")),
        }
    }
}

#[derive(Debug)]
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A connection.
#[derive(Debug)]
pub struct Line {
    stream: Stream,
    /// What came and was not taken yet.
    pub came: Vec<u8>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn connect(to: &Address) -> Result<Self, String> {
        let stream = match to {
            Address::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            Address::Tcp(host) => TcpStream::connect(host).map(Stream::Tcp),
        };
        let stream = stream.map_err(|e| format!("{to}: {e}"))?;
        if let Stream::Tcp(tcp) = &stream {
            tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        }
        Ok(Self {
            stream,
            came: Vec::new(),
        })
    }

    /// The same connection, for another thread; what came stays here.
    ///
    /// # Errors
    /// If the process has no descriptor left.
    pub fn again(&self) -> Result<Self, String> {
        let stream = match &self.stream {
            Stream::Unix(unix) => unix.try_clone().map(Stream::Unix),
            Stream::Tcp(tcp) => tcp.try_clone().map(Stream::Tcp),
        };
        let stream = stream.map_err(|e| e.to_string())?;
        Ok(Self {
            stream,
            came: Vec::new(),
        })
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// If the broker is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match &mut self.stream {
            Stream::Unix(unix) => unix.write_all(bytes),
            Stream::Tcp(tcp) => tcp.write_all(bytes),
        }
        .map_err(|e| format!("writing: {e}"))
    }

    /// Reads once.
    ///
    /// # Errors
    /// If the broker is gone.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, String> {
        let read = match &mut self.stream {
            Stream::Unix(unix) => unix.read(into),
            Stream::Tcp(tcp) => tcp.read(into),
        };
        match read {
            Ok(0) => Err("the broker is gone".into()),
            Ok(n) => Ok(n),
            Err(e) => Err(format!("reading: {e}")),
        }
    }

    /// Reads until `found` finds what it looks for at the beginning of what came, and says how many bytes that is; takes them.
    ///
    /// # Errors
    /// If the broker is gone, says nothing for long, or `found` fails.
    pub fn until<T>(
        &mut self,
        mut found: impl FnMut(&[u8]) -> Result<Option<(usize, T)>, String>,
    ) -> Result<T, String> {
        self.set_patience(Some(PATIENCE))?;
        let mut buffer = [0; 4096];
        loop {
            if let Some((used, value)) = found(&self.came)? {
                self.came.drain(..used);
                self.set_patience(None)?;
                return Ok(value);
            }
            let read = self.read(&mut buffer)?;
            self.came.extend_from_slice(&buffer[..read]);
        }
    }

    /// Waits for a line of text that begins with `start`, passing others over.
    ///
    /// # Errors
    /// As [`Line::until`].
    pub fn expect(&mut self, start: &str) -> Result<String, String> {
        loop {
            let line = self.until(|came| {
                let end = came.windows(2).position(|two| two == b"\r\n");
                Ok(end.map(|end| (end + 2, String::from_utf8_lossy(&came[..end]).into_owned())))
            })?;
            if line.starts_with(start) {
                return Ok(line);
            }
            if line.starts_with('-') || line.starts_with("REJECTED") {
                return Err(line);
            }
        }
    }

    fn set_patience(&self, patience: Option<Duration>) -> Result<(), String> {
        match &self.stream {
            Stream::Unix(unix) => unix.set_read_timeout(patience),
            Stream::Tcp(tcp) => tcp.set_read_timeout(patience),
        }
        .map_err(|e| e.to_string())
    }

    /// Whether there is something to read within so many milliseconds.
    ///
    /// # Errors
    /// If the system can't tell.
    pub fn is_readable(&self, within: Duration) -> Result<bool, String> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let fd = match &self.stream {
            Stream::Unix(unix) => unix.as_fd(),
            Stream::Tcp(tcp) => tcp.as_fd(),
        };
        let within = Timespec::try_from(within).map_err(|e| e.to_string())?;
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&within)).map_err(|e| e.to_string())?;
        Ok(ready > 0)
    }
}
