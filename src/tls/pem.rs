use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use rustls::{
    Error, InconsistentKeys,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// A file that TLS needs is not there, or not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tls: {}: {reason}", path.display())]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

impl TlsError {
    /// What is wrong with a file.
    pub fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), reason: reason.to_string() }
    }

    /// File and reason, for whoever has said already that it is about TLS.
    pub fn file_and_reason(&self) -> String {
        format!("{}: {}", self.path.display(), self.reason)
    }
}

/// What is wrong with a certificate and its key together: both files are named if they do not belong together.
pub fn mismatch(certificate: &Path, key: &Path, error: Error) -> TlsError {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsError::new(key, format!("this key is not that of the certificate {}", certificate.display()))
        }
        error => TlsError::new(certificate, error),
    }
}

/// What a file holds.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TlsError::new(path, "no such file"),
        _ => TlsError::new(path, error),
    })
}

/// The certificates of a file, at least one.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    certificates_in(path, &read(path)?)
}

/// The certificates of what a file holds.
pub(super) fn certificates_in(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::new(path, "no certificate in it")),
    }
}

/// The first private key of a file.
///
/// # Errors
/// It cannot be read, or holds something else.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    private_key_in(path, &read(path)?)
}

/// The first private key of what a file holds.
pub(super) fn private_key_in(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| TlsError::new(path, "no private key in it"))
}
