//! A client of HTTPS that keeps its sessions and connects anew for each question.

use std::{net::SocketAddr, path::Path, sync::Arc};

use ostler_tests::harness::{PATIENCE, deadline};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// A certificate for localhost and its key, as PEM.
pub(super) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// How it went.
pub(super) struct Visit {
    /// Whether an earlier session was resumed.
    pub(super) resumes: bool,
    /// What the worker said of itself.
    pub(super) worker: String,
}

pub(super) struct Client {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Client {
    /// One that trusts this certificate, and speaks this version of TLS.
    pub(super) fn new(
        certificate: impl AsRef<Path>,
        address: SocketAddr,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        roots.add(certificate).expect("a certificate to trust");
        let config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            address,
            connector: Arc::new(config).into(),
        }
    }

    /// Connects, asks, and hangs up.
    pub(super) async fn visit(&self) -> Visit {
        deadline("an answer", PATIENCE, self.ask()).await
    }

    async fn ask(&self) -> Visit {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let connected = self.connector.connect(name, stream).await;
        let mut stream = connected.expect("a handshake");
        let kind = stream.get_ref().1.handshake_kind();
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("an open connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (_, worker) = answer.split_once("\r\n\r\n").expect("a body");
        Visit {
            resumes: kind == Some(HandshakeKind::Resumed),
            worker: worker.to_owned(),
        }
    }
}
