use ring::hmac;

use crate::wire::Name;

/// The keyed hash of a signature (RFC 8945 section 6). MD5 is not offered any more, and nobody uses SHA-224.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "their own names")]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

const NAMES: [(Algorithm, &str); 4] = [
    (Algorithm::Sha1, "hmac-sha1."),
    (Algorithm::Sha256, "hmac-sha256."),
    (Algorithm::Sha384, "hmac-sha384."),
    (Algorithm::Sha512, "hmac-sha512."),
];

impl Algorithm {
    /// The algorithm of this name.
    pub fn of(name: &Name) -> Option<Self> {
        let known = NAMES.iter().find(|(_, text)| Name::parse(text).is_ok_and(|known| known == *name));
        known.map(|(algorithm, _)| *algorithm)
    }

    /// Its name in a record.
    pub fn name(self) -> Name {
        let text = NAMES.iter().find(|(known, _)| *known == self).map_or(".", |(_, text)| text);
        Name::parse(text).unwrap_or_else(|_| Name::root())
    }

    pub(super) fn key(self, secret: &[u8]) -> hmac::Key {
        hmac::Key::new(
            match self {
                Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                Self::Sha256 => hmac::HMAC_SHA256,
                Self::Sha384 => hmac::HMAC_SHA384,
                Self::Sha512 => hmac::HMAC_SHA512,
            },
            secret,
        )
    }

    /// Octets of a whole signature.
    pub(super) const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}
