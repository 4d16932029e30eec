use std::sync::Arc;

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        NoClientAuth, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

/// Whose certificates are asked for (`client_auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClientAuth {
    /// Nobody's.
    #[default]
    None,
    /// Everybody's; those who have none come in as well, and nobody's is looked at.
    Request,
    /// Everybody must have one, whoever has signed it.
    Require,
    /// Who has one must have it from our authorities.
    VerifyIfGiven,
    /// Everybody must have one from our authorities.
    RequireAndVerify,
}

impl ClientAuth {
    /// All, as the Corefile writes them.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("nocert", Self::None),
        ("request", Self::Request),
        ("require", Self::Require),
        ("verify_if_given", Self::VerifyIfGiven),
        ("require_and_verify", Self::RequireAndVerify),
    ];

    /// Whether authorities are needed.
    pub(super) const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    /// Who decides at a handshake.
    pub(super) fn verifier(
        self,
        authorities: RootCertStore,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        match self {
            Self::None => Ok(Arc::new(NoClientAuth)),
            Self::Request | Self::Require => {
                Ok(Arc::new(Anybody { must: self == Self::Require, provider: Arc::clone(provider) }))
            }
            Self::VerifyIfGiven | Self::RequireAndVerify => {
                let builder = WebPkiClientVerifier::builder_with_provider(authorities.into(), Arc::clone(provider));
                let builder = if self == Self::VerifyIfGiven { builder.allow_unauthenticated() } else { builder };
                let verifier = builder.build().map_err(|error| error.to_string())?;
                Ok(verifier)
            }
        }
    }
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct Anybody {
    must: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Anybody {
    fn client_auth_mandatory(&self) -> bool {
        self.must
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
