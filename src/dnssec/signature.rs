use super::{RecordSet, SigningKey};
use crate::wire::{Name, long_octets, octets, octets_of_long};

/// From when to when a signature holds, seconds since 1970 (RFC 4034 section 3.1.5: the lower 32 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of RFC 4034")]
pub struct Validity {
    pub inception: u32,
    pub expiration: u32,
}

impl Validity {
    /// That of the data of an RRSIG record; `None` if it is cut off.
    pub fn of_signature(data: &[u8]) -> Option<Self> {
        let long = |at: usize| data.get(at..)?.first_chunk().map(|field| octets_of_long(*field));
        Some(Self { expiration: long(8)?, inception: long(12)? })
    }
}

/// The data of an RRSIG record over a canonical set (RFC 4034 section 3.1); `None` if the key cannot sign.
pub fn sign(set: &RecordSet, signer: &Name, key: &SigningKey, validity: Validity) -> Option<Vec<u8>> {
    let mut data = Vec::with_capacity(18 + signer.wire().len() + 64);
    data.extend(octets(set.record_type.0));
    data.extend([key.algorithm(), set.labels()]);
    data.extend(long_octets(set.ttl));
    data.extend(long_octets(validity.expiration));
    data.extend(long_octets(validity.inception));
    data.extend(octets(key.tag()));
    data.extend_from_slice(signer.to_lowercase().wire());
    let signature = key.sign(&[data.as_slice(), &set.octets()].concat())?;
    data.extend_from_slice(&signature);
    Some(data)
}
