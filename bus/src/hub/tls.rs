//! The hub's end of TLS.

use std::{io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier},
    server::TlsStream,
};

use crate::pem;

/// A hub's certificate, and whose clients it takes. TLS 1.3.
#[derive(Clone)]
pub struct TlsServer {
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServer {
    /// With the certificate of the file `cert` and its key (PEM). With `client_ca`, clients must show a certificate from one of
    /// its authorities; a token they must show anyway.
    ///
    /// # Errors
    /// If a file can't be read or has not what it should, with its name.
    pub fn from_files(cert: &Path, key: &Path, client_ca: Option<&Path>) -> io::Result<Self> {
        let config = ServerConfig::builder_with_provider(pem::provider())
            .with_protocol_versions(pem::VERSIONS)
            .map_err(io::Error::other)?;
        let config = match client_ca {
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                for certificate in pem::certificates(ca)? {
                    roots
                        .add(certificate)
                        .map_err(|error| pem::wrong(ca, error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), pem::provider())
                        .build()
                        .map_err(|error| pem::wrong(ca, error))?;
                config.with_client_cert_verifier(verifier)
            }
            None => config.with_no_client_auth(),
        };
        let config = config
            .with_single_cert(pem::certificates(cert)?, pem::key(key)?)
            .map_err(|error| pem::wrong(cert, error))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Makes a peer's stream a private one.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(stream).await
    }
}
