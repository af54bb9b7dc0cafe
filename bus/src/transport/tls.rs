//! The client's end of TLS: the authorities it trusts are those it is given, no others.

use std::{io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, pki_types::ServerName},
};

use crate::pem;

/// How to know the hub's machine, and how to be known there. TLS 1.3.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Trusts hubs whose certificate comes from an authority of the file `ca` (PEM); `identity` is a certificate and its key, for
    /// hubs that ask for one.
    ///
    /// # Errors
    /// If a file can't be read or has not what it should, with its name.
    pub fn from_files(ca: &Path, identity: Option<(&Path, &Path)>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in pem::certificates(ca)? {
            roots
                .add(certificate)
                .map_err(|error| pem::wrong(ca, error))?;
        }
        let config = ClientConfig::builder_with_provider(pem::provider())
            .with_protocol_versions(pem::VERSIONS)
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match identity {
            Some((certificate, key)) => config
                .with_client_auth_cert(pem::certificates(certificate)?, pem::key(key)?)
                .map_err(|error| pem::wrong(certificate, error))?,
            None => config.with_no_client_auth(),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Makes `stream` to `address` (host and port) a private one.
    pub(super) async fn connect(
        &self,
        address: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.connector.connect(name, stream).await
    }
}
