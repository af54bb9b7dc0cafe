//! Certificates and keys from files, and what both ends of TLS share.

use std::{error::Error, io, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    SupportedProtocolVersion,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    version::TLS13,
};

/// Both ends are ours or new: older versions are not needed.
pub(crate) const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];

/// Said each time, so that nothing depends on what else the process has installed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(crate) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(path, error))?
        .collect();
    let certificates = read.map_err(|error| wrong(path, error))?;
    match certificates.is_empty() {
        true => Err(wrong(path, "there is no certificate in it")),
        false => Ok(certificates),
    }
}

pub(crate) fn key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| wrong(path, error))
}

/// What is wrong with a file, with its name.
pub(crate) fn wrong(path: &Path, error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    let error = error.into();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{}: {error}", path.display()),
    )
}
