//! Over a network. The hub there wants a token ([`ConnectOptions::token`](crate::client::ConnectOptions::token)), and TLS unless it is
//! on this machine.

use std::io;

use async_trait::async_trait;
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use super::TlsClient;
use super::{ByteStream, Transport, liveness};

/// A hub's network address.
#[derive(Clone, Debug)]
pub struct TcpTransport {
    address: String,
    #[cfg(feature = "tls")]
    tls: Option<TlsClient>,
}

impl TcpTransport {
    /// The hub at `address`: host and port. Without TLS, what is said can be read on the way.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The same, with TLS.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: TlsClient) -> Self {
        self.tls = Some(tls);
        self
    }
}

#[async_trait]
impl Transport for TcpTransport {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        liveness::watch_over(&stream)?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let stream = tls.connect(&self.address, stream).await?;
            return Ok(Box::new(stream));
        }
        Ok(Box::new(stream))
    }

    fn target(&self) -> String {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return format!("tls://{}", self.address);
        }
        format!("tcp://{}", self.address)
    }
}
