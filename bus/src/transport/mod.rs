//! How bytes get to a hub. Unix stream, in memory, and over a network.

use std::io;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) mod liveness;
mod memory;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod unix;

pub use memory::MemoryTransport;
pub use tcp::TcpTransport;
#[cfg(feature = "tls")]
pub use tls::TlsClient;
pub use unix::{InheritedTransport, UnixTransport};

/// A duplex stream of bytes.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A way to a hub.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Opens a connection.
    ///
    /// # Errors
    /// What the system said; the caller adds where to.
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>>;

    /// Where to, for people.
    fn target(&self) -> String;

    /// Whether it can be gone again when its connection was lost. Default: yes.
    fn again(&self) -> bool {
        true
    }
}
