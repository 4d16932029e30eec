//! Certificates that a person has named one by one: who signs a certificate with its own key, and gives that same
//! certificate as the authority, is believed by Go. The usual path through authorities has no place for it.

use std::{sync::Arc, time::Duration};

use jiff::{civil, tz::TimeZone};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// Believes what authorities have signed, and the authorities' own certificates.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) path: Arc<WebPkiServerVerifier>,
}

impl Judge {
    fn own(&self, certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        let (start, end) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
        if now < start {
            return Err(CertificateError::NotValidYetContext { time: now, not_before: start }.into());
        }
        if now > end {
            return Err(CertificateError::ExpiredContext { time: now, not_after: end }.into());
        }
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.path.verify_server_cert(certificate, between, name, ocsp, now);
        // "A CA used as end entity" has no variant of its own.
        let is_authority = matches!(verdict, Err(Error::InvalidCertificate(CertificateError::Other(_))));
        if !is_authority || !self.authorities.iter().any(|own| own.as_ref() == certificate.as_ref()) {
            return verdict;
        }
        self.own(certificate, name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.path.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.path.supported_verify_schemes()
    }
}

const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when until when a certificate is valid (RFC 5280 section 4.1.2.5).
fn validity(certificate: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut fields, _) = element(certificate)? else { return None };
    if let (VERSION, _, rest) = element(fields)? {
        fields = rest;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (SEQUENCE, times, _) = element(fields)? else { return None };
    let (kind, start, rest) = element(times)?;
    let start = time(kind, start)?;
    let (kind, end, _) = element(rest)?;
    Some((start, time(kind, end)?))
}

/// The first element of DER: its kind, what is in it, what stands behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
        let length =
            octets.iter().try_fold(0usize, |length, &octet| Some(length.checked_mul(256)? + usize::from(octet)))?;
        (length, rest)
    };
    let (inside, behind) = rest.split_at_checked(length)?;
    Some((kind, inside, behind))
}

/// `250131235959Z` or `20500131235959Z`.
fn time(kind: u8, text: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let date = civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    let seconds = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    // What ended before 1970 ended at 1970, too.
    Some(UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn from_when_until_when() {
        let key = KeyPair::generate().unwrap();
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (start, end, expected) in [
            ((1999, 12, 31), (2049, 12, 31), (at(946_598_400), at(2_524_521_600))),
            ((2025, 1, 31), (2050, 1, 1), (at(1_738_281_600), at(2_524_608_000))),
        ] {
            let mut params = CertificateParams::new(vec!["dns.test".to_owned()]).unwrap();
            params.not_before = date_time_ymd(start.0, start.1, start.2);
            params.not_after = date_time_ymd(end.0, end.1, end.2);
            let certificate = params.self_signed(&key).unwrap();
            let der = certificate.der().as_ref();
            assert_eq!(validity(der), Some(expected));
            for cut in 0..der.len() / 2 {
                // Whatever is cut off is found out, or does not matter; nothing panics.
                _ = validity(&der[..cut]);
            }
            assert_eq!(validity(&der[..der.len() - 1]), None);
        }
    }
}
