use rustls::pki_types::CertificateDer;

/// The system's authorities, from where the system or SSL_CERT_FILE and SSL_CERT_DIR have them; Mozilla's if the system
/// has none.
pub fn system() -> Vec<CertificateDer<'static>> {
    let known = rustls_native_certs::load_native_certs().certs;
    if known.is_empty() { webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec() } else { known }
}
