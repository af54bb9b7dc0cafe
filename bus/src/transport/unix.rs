//! Unix stream sockets: by path, or inherited and already connected.

use std::{
    io,
    os::unix::net::UnixStream as StdUnixStream,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::net::UnixStream;

use super::{ByteStream, Transport};

/// A hub's socket by its path.
#[derive(Clone, Debug)]
pub struct UnixTransport {
    path: PathBuf,
}

impl UnixTransport {
    /// The hub that listens at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl Transport for UnixTransport {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(UnixStream::connect(&self.path).await?))
    }

    fn target(&self) -> String {
        self.path.display().to_string()
    }
}

/// A socket that was connected before this process began. It connects once; after that by the path, if it is given one.
#[derive(Debug)]
pub struct InheritedTransport {
    stream: Mutex<Option<StdUnixStream>>,
    successor: Option<UnixTransport>,
}

impl InheritedTransport {
    /// Takes over an inherited, connected socket.
    #[must_use]
    pub fn new(stream: StdUnixStream) -> Self {
        Self {
            stream: Mutex::new(Some(stream)),
            successor: None,
        }
    }

    /// The same; when its connection was lost the hub is looked for at `path`. It must know the client by its token.
    #[must_use]
    pub fn or_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.successor = Some(UnixTransport::new(path));
        self
    }
}

#[async_trait]
impl Transport for InheritedTransport {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let taken = self
            .stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let stream = match (taken, &self.successor) {
            (Some(stream), _) => stream,
            (None, Some(successor)) => return successor.connect().await,
            (None, None) => {
                return Err(io::Error::new(
                    io::ErrorKind::NotConnected,
                    "the inherited bus socket was used up",
                ));
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Box::new(UnixStream::from_std(stream)?))
    }

    fn target(&self) -> String {
        match &self.successor {
            None => "the inherited bus socket".into(),
            Some(path) => path.target(),
        }
    }

    fn again(&self) -> bool {
        self.successor.is_some()
    }
}
