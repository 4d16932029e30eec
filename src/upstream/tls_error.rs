//! What went wrong with TLS, in the words of Go's crypto/tls: people have alerts on them.

use std::{error::Error as _, io};

use rustls::{AlertDescription, CertificateError, Error, pki_types::UnixTime};

/// An error of a TLS stream with its reason in words; others as they are.
pub(super) fn explained(error: io::Error) -> io::Error {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).map(reason);
    reason.map_or_else(|| error, |reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

/// What is wrong, in Go's words.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("tls: failed to verify certificate: x509: {}", certificate(error)),
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".to_owned(),
        Error::NoApplicationProtocol => "tls: server selected no application protocol of ours".to_owned(),
        _ => format!("tls: {error}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| bare(name)).collect();
            match names.as_slice() {
                [] => format!("certificate is not valid for any names, but wanted to match {}", expected.to_str()),
                names => format!("certificate is valid for {}, not {}", names.join(", "), expected.to_str()),
            }
        }
        CertificateError::ExpiredContext { time, not_after } => {
            let (time, end) = (date(*time), date(*not_after));
            format!("certificate has expired or is not yet valid: current time {time} is after {end}")
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            let (time, start) = (date(*time), date(*not_before));
            format!("certificate has expired or is not yet valid: current time {time} is before {start}")
        }
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".to_owned(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "certificate is that of an authority, which cannot be a server's as well".to_owned()
        }
        CertificateError::Other(other) => other.source().map_or_else(|| other.to_string(), ToString::to_string),
        other => other.to_string(),
    }
}

/// The name within `DnsName("dns.example.org")` or `IpAddress(192.0.2.1)`.
fn bare(presented: &str) -> &str {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"')
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// `BadCertificate` → `bad certificate`; the names of the RFC are those of Go but for a few.
fn alert_text(alert: AlertDescription) -> String {
    if alert == AlertDescription::UnknownCA {
        return "unknown certificate authority".to_owned();
    }
    let mut text = String::new();
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn errors_read_like_gos() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let name = || ServerName::try_from("dns.example.org").unwrap();
        let wrong_name = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: name(),
            presented: presented.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (error, text) in [
            (
                Error::InvalidCertificate(wrong_name(&["DnsName(\"a.example.net\")", "IpAddress(192.0.2.1)"])),
                "tls: failed to verify certificate: x509: certificate is valid for a.example.net, 192.0.2.1, \
                 not dns.example.org",
            ),
            (
                Error::InvalidCertificate(wrong_name(&[])),
                "tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match \
                 dns.example.org",
            ),
            (
                Error::InvalidCertificate(CertificateError::ExpiredContext { time: at(1_000_000), not_after: at(0) }),
                "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \
                 1970-01-12T13:46:40Z is after 1970-01-01T00:00:00Z",
            ),
            (
                Error::InvalidCertificate(CertificateError::UnknownIssuer),
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ),
            (Error::AlertReceived(AlertDescription::BadCertificate), "remote error: tls: bad certificate"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "remote error: tls: unknown certificate authority"),
        ] {
            assert_eq!(explained(io::Error::other(error)).to_string(), text);
        }
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(explained(refused).kind(), io::ErrorKind::ConnectionRefused);
    }
}
