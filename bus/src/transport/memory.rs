//! In memory, for features of the hub's own process: the same frames, handshake and rules, without a system call.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::io::DuplexStream;

use super::{ByteStream, Transport};

/// Bytes that may be under way in each direction.
const MEMORY_BYTES: usize = 64 << 10;

/// One end of a stream in memory; it connects once.
#[derive(Debug)]
pub struct MemoryTransport {
    stream: Mutex<Option<DuplexStream>>,
}

impl MemoryTransport {
    /// A connected pair: the transport for the client, the stream for the hub.
    #[must_use]
    pub fn pair() -> (Self, DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(MEMORY_BYTES);
        (
            Self {
                stream: Mutex::new(Some(ours)),
            },
            theirs,
        )
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let taken = self
            .stream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let stream = taken.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotConnected,
                "the in-memory stream was used up",
            )
        })?;
        Ok(Box::new(stream))
    }

    fn target(&self) -> String {
        "memory".into()
    }

    fn again(&self) -> bool {
        false
    }
}
