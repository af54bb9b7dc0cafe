//! HTTPS by several workers that open each other's session tickets: a client that comes back resumes, whichever it reaches.
//!
//! ```sh
//! cargo build -p ostler-worker-sdk --features rustls --examples
//! ostler run -n shop -i 4 -l https=127.0.0.1:8443 -- target/debug/examples/tls_service
//!
//! curl -k https://localhost:8443/         # which worker it was
//! # One handshake from the beginning and five that resume; with OWN_TICKETS=1 in the workers' environment, six from the beginning:
//! openssl s_client -connect localhost:8443 -tls1_2 -reconnect </dev/null 2>&1 | grep -E '^(New|Reused)'
//! ```
//!
//! `tls_service CERT KEY` takes a certificate and its key (PEM); without, each worker makes a certificate for localhost.
//! Started by itself, it serves the same on port 8443.

use std::{error::Error, sync::Arc};

use axum::{Router, routing::get};
use ostler_worker_sdk::{TicketSecrets, Worker};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::Ticketer,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt::init();
    let worker = Worker::start().await?;
    let listener = worker.listen("https", "127.0.0.1:8443")?;
    let (chain, key) = certificate()?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if std::env::var_os("OWN_TICKETS").is_some() {
        config.ticketer = Ticketer::new()?;
    } else {
        let secrets = worker.ticket_secrets("https").await?;
        config.ticketer = secrets.ticketer();
        tokio::spawn(tell_rotations(secrets));
    }
    let me = worker.identity().id;
    let routes = Router::new().route("/", get(move || async move { format!("worker {me}\n") }));
    println!("serving on {}", listener.address());
    worker.ready().await?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let handshake = move |connection| acceptor.accept(connection);
    worker.serve_with(listener, handshake, routes).await?; // until told to drain, and done with that
    Ok(())
}

fn certificate() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Failure> {
    let mut args = std::env::args().skip(1);
    if let (Some(chain), Some(key)) = (args.next(), args.next()) {
        let chain: Result<_, _> = CertificateDer::pem_file_iter(chain)?.collect();
        return Ok((chain?, PrivateKeyDer::from_pem_file(key)?));
    }
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok((vec![made.cert.der().clone()], key))
}

/// The ticketer follows by itself: this is only to be seen.
async fn tell_rotations(mut secrets: TicketSecrets) {
    loop {
        secrets.changed().await;
        println!("the secrets of session tickets have rotated");
    }
}
