use std::{fmt, sync::Arc};

use ring::{
    digest,
    rand::SystemRandom,
    rsa,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, RsaEncoding, RsaKeyPair},
};

use crate::wire::{Name, RecordType, octets, octets_of_short};

/// What a file of a private key has.
pub(super) struct Secret {
    pub(super) algorithm: u8,
    /// The secret itself; of RSA exponent, primes, their exponents, and the coefficient.
    pub(super) parts: Vec<Vec<u8>>,
}

/// A key of DNSSEC that can sign.
pub struct SigningKey {
    owner: Name,
    ttl: u32,
    data: Arc<[u8]>,
    tag: u16,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// Flag of a key that may sign a zone (RFC 4034 section 2.1.1).
const ZONE: u16 = 0x0100;
/// Flag of one that the parent points to.
const ENTRY: u16 = 0x0001;
/// Where the algorithm and the public key stand in the data.
const ALGORITHM: usize = 3;
const PUBLIC: usize = 4;

impl SigningKey {
    /// A key of the data of its DNSKEY record and its secret.
    pub(super) fn new(owner: Name, ttl: u32, data: &[u8], secret: &Secret) -> Result<Self, String> {
        let (Some(&algorithm), Some(public)) = (data.get(ALGORITHM), data.get(PUBLIC..)) else {
            return Err("the public key is cut off".to_owned());
        };
        if algorithm != secret.algorithm {
            return Err(format!("algorithm {}, and the public key has {algorithm}", secret.algorithm));
        }
        let first = secret.parts.first().map(Vec::as_slice).unwrap_or_default();
        let rejected = |error: ring::error::KeyRejected| match error.to_string().as_str() {
            "TooSmall" => "RSA keys need 2048 bits".to_owned(),
            reason => format!("the secret does not fit the public key ({reason})"),
        };
        let pair = match algorithm {
            8 | 10 => {
                let encoding: &dyn RsaEncoding =
                    if algorithm == 8 { &signature::RSA_PKCS1_SHA256 } else { &signature::RSA_PKCS1_SHA512 };
                Pair::Rsa(rsa_pair(public, &secret.parts).map_err(rejected)?, encoding)
            }
            13 | 14 => {
                let (length, kind) = if algorithm == 13 {
                    (32, &signature::ECDSA_P256_SHA256_FIXED_SIGNING)
                } else {
                    (48, &signature::ECDSA_P384_SHA384_FIXED_SIGNING)
                };
                // RFC 6605 section 4: both coordinates; SEC 1 puts a 4 in front of them.
                let point = [&[4], public].concat();
                let padded = [vec![0; usize::saturating_sub(length, first.len())], first.to_vec()].concat();
                let random = SystemRandom::new();
                let pair = EcdsaKeyPair::from_private_key_and_public_key(kind, &padded, &point, &random);
                Pair::Ecdsa(pair.map_err(rejected)?, random)
            }
            15 => Pair::Ed25519(Ed25519KeyPair::from_seed_and_public_key(first, public).map_err(rejected)?),
            other => {
                return Err(format!(
                    "algorithm {other} is not there; RSASHA256 (8), RSASHA512 (10), ECDSAP256SHA256 (13), ECDSAP384SHA384 \
                     (14) and ED25519 (15) are"
                ));
            }
        };
        let key = Self { owner, ttl, data: data.into(), tag: tag_of(data), pair };
        // RFC 4034 section 2.1.1: without this flag nothing that it signs counts.
        if key.flags() & ZONE == 0 { Err("it is no key of a zone".to_owned()) } else { Ok(key) }
    }

    /// The name that the key was made for.
    pub const fn owner(&self) -> &Name {
        &self.owner
    }

    /// The TTL of its record as the file has it, seconds.
    pub const fn ttl(&self) -> u32 {
        self.ttl
    }

    /// The data of its DNSKEY record.
    pub const fn data(&self) -> &Arc<[u8]> {
        &self.data
    }

    /// The tag that signatures call it by (RFC 4034 appendix B).
    pub const fn tag(&self) -> u16 {
        self.tag
    }

    fn flags(&self) -> u16 {
        octets_of_short([self.data[0], self.data[1]])
    }

    /// Whether the parent may point to it (SEP).
    pub fn is_entry(&self) -> bool {
        self.flags() & ENTRY != 0
    }

    /// Its algorithm (IANA "DNS Security Algorithm Numbers").
    pub fn algorithm(&self) -> u8 {
        self.data[ALGORITHM]
    }

    /// Signs octets; `None` if the machine has no random numbers to give.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.pair {
            Pair::Ecdsa(pair, random) => pair.sign(random, message).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }

    /// The data of a DS or CDS record for this key in a zone (RFC 4034 section 5.1.4, with SHA-256 as of RFC 4509).
    pub fn delegation(&self, zone: &Name) -> Vec<u8> {
        let digest = digest::digest(&digest::SHA256, &[zone.to_lowercase().wire(), &self.data].concat());
        [&octets(self.tag)[..], &[self.algorithm(), 2], digest.as_ref()].concat()
    }

    /// Whether it signs sets of this type beside other keys, if some are for keys only and some for all else.
    pub fn is_for(&self, record_type: RecordType, is_split: bool) -> bool {
        !is_split || self.is_entry() == (record_type == RecordType::DNSKEY)
    }
}

/// RFC 3110 section 2: length of the exponent in one octet or behind a zero in two, exponent, modulus.
fn rsa_pair(public: &[u8], parts: &[Vec<u8>]) -> Result<RsaKeyPair, ring::error::KeyRejected> {
    let (length, rest) = match public {
        [0, high, low, rest @ ..] => (usize::from(octets_of_short([*high, *low])), rest),
        [length, rest @ ..] => (usize::from(*length), rest),
        [] => (0, public),
    };
    let (e, n) = rest.split_at_checked(length).unwrap_or_default();
    let part = |index: usize| bare(parts.get(index).map(Vec::as_slice).unwrap_or_default());
    RsaKeyPair::from_components(&rsa::KeyPairComponents {
        public_key: rsa::PublicKeyComponents { n: bare(n), e: bare(e) },
        d: part(0),
        p: part(1),
        q: part(2),
        dP: part(3),
        dQ: part(4),
        qInv: part(5),
    })
}

/// A number without the zeros in front of it.
fn bare(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|&octet| octet != 0).unwrap_or(number.len())..]
}

fn tag_of(data: &[u8]) -> u16 {
    let sum: u32 =
        data.chunks(2).map(|pair| u32::from(octets_of_short([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    (sum + (sum >> 16)) as u16
}

/// Secrets are not for logs.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {} {})", self.owner, self.algorithm(), self.tag)
    }
}
