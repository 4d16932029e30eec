//! What is known of TLS before anybody is called: whom to believe, and who we are.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use sha2::{Digest as _, Sha256};

use super::{dial::Handshake, judge::Judge, witness::Witness};
use crate::tls::{TlsError, Validity, certificates, mismatch, private_key, system};

/// The files of `tls CERT KEY CA`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate with those that signed it, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whom to believe, instead of the system's authorities.
    pub authorities: Option<PathBuf>,
}

impl TlsFiles {
    /// As `tls [CERT KEY] [CA]` names them.
    pub fn named(words: [Option<PathBuf>; 3]) -> Self {
        match words {
            [Some(certificate), Some(key), authorities] => Self { identity: Some((certificate, key)), authorities },
            [authorities, ..] => Self { identity: None, authorities },
        }
    }

    /// The same at other places.
    #[must_use]
    pub fn placed(self, place: impl Fn(&Path) -> PathBuf) -> Self {
        let identity = self.identity.map(|(certificate, key)| (place(&certificate), place(&key)));
        Self { identity, authorities: self.authorities.map(|file| place(&file)) }
    }
}

/// Whom to believe and who we are. Sessions are resumed among all connections that are made with it.
pub struct Tls {
    dot: Arc<ClientConfig>,
    https: Arc<ClientConfig>,
    quic: Arc<ClientConfig>,
    judge: Arc<Judge>,
    fingerprint: String,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({})", self.fingerprint)
    }
}

impl Tls {
    /// Reads the files; the system's authorities if none are named, Mozilla's if the system has none.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut print = Sha256::new();
        let mut roots = RootCertStore::empty();
        let mut authorities = Vec::new();
        match &files.authorities {
            Some(path) => {
                for certificate in certificates(path)? {
                    print.update(&certificate);
                    roots.add(certificate.clone()).map_err(|error| TlsError::new(path, error))?;
                    authorities.push(certificate);
                }
            }
            None => {
                let known = system();
                known.iter().for_each(|certificate| print.update(certificate));
                roots.add_parsable_certificates(known);
            }
        }
        let identity =
            files.identity.as_ref().map(|(certificate, key)| Identity::read(certificate, key)).transpose()?;
        if let Some(identity) = &identity {
            identity.chain.iter().for_each(|certificate| print.update(certificate));
        }
        let roots = Arc::new(roots);
        let provider = Arc::new(ring::default_provider());
        let nowhere = Path::new("the system's authorities");
        let path = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::new(files.authorities.as_deref().unwrap_or(nowhere), error))?;
        let judge = Arc::new(Judge { authorities, path });
        let config = |protocol: &[u8], versions: &[&'static rustls::SupportedProtocolVersion]| {
            let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(versions)
                .map_err(|error| TlsError::new(nowhere, error))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&judge) as Arc<_>);
            let mut config = match &identity {
                None => builder.with_no_client_auth(),
                Some(Identity { chain, key, paths: (path, of_key) }) => builder
                    .with_client_auth_cert(chain.clone(), key.clone_key())
                    .map_err(|error| mismatch(path, of_key, error))?,
            };
            config.alpn_protocols = vec![protocol.to_vec()];
            Ok(Arc::new(config))
        };
        Ok(Self {
            dot: config(b"dot", &[&TLS13, &TLS12])?,
            https: config(b"h2", &[&TLS13, &TLS12])?,
            quic: config(b"doq", &[&TLS13])?,
            judge,
            fingerprint: print.finalize().iter().map(|octet| format!("{octet:02x}")).collect(),
        })
    }

    pub(super) fn dot(&self, name: ServerName<'static>) -> Handshake {
        Handshake { config: Arc::clone(&self.dot), name }
    }

    pub(super) fn https(&self, name: ServerName<'static>) -> Handshake {
        Handshake { config: Arc::clone(&self.https), name }
    }

    /// For one upstream over QUIC, with who remembers why its certificate was refused.
    pub(super) fn quic(&self) -> (ClientConfig, Witness) {
        let witness = Witness::of(Arc::clone(&self.judge) as Arc<_>);
        let mut config = ClientConfig::clone(&self.quic);
        config.dangerous().set_certificate_verifier(Arc::new(witness.clone()));
        (config, witness)
    }
}

/// A client certificate.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Of certificate and key: what is wrong shows when both are put together.
    paths: (PathBuf, PathBuf),
}

impl Identity {
    fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = certificates(certificate)?;
        let validity = chain.first().and_then(|first| Validity::of(first));
        if let Some(complaint) = validity.and_then(|validity| validity.complaint(SystemTime::now())) {
            tracing::warn!("plugin/forward: tls: {}: {complaint}", certificate.display());
        }
        Ok(Self { chain, key: private_key(key)?, paths: (certificate.to_owned(), key.to_owned()) })
    }
}
