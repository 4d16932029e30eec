use std::fmt;

use ring::hmac;

use super::{Algorithm, FUDGE, verify::sign};
use crate::wire::{Name, Tsig, six_octets};

/// Signs the answer to a signed query, or says in it what was wrong with the signature.
#[derive(Clone)]
pub struct Seal {
    key: Name,
    algorithm: Name,
    /// Without it the answer bears a record without a signature (RFC 8945 section 5.3.2).
    secret: Option<(hmac::Key, Algorithm)>,
    /// The signature of the query.
    query: Box<[u8]>,
    id: u16,
    error: u16,
    /// When the query was signed, seconds since 1970.
    time: u64,
}

impl Seal {
    pub(super) fn of(query: &Tsig, secret: Option<(hmac::Key, Algorithm)>, error: u16) -> Self {
        let Tsig { key, algorithm, time, original_id, ref mac, .. } = *query;
        Self { key, algorithm, secret, query: mac.clone(), id: original_id, error, time }
    }

    /// The key whose secret the asker has; `None` if he has not proved it.
    pub fn proven_key(&self) -> Option<&Name> {
        (self.error == 0).then_some(&self.key)
    }

    /// What was wrong with the signature of the query (RFC 8945 section 3); 0 if nothing was.
    pub const fn error(&self) -> u16 {
        self.error
    }

    /// Octets that the record takes.
    pub fn room(&self) -> u16 {
        let mac = self.secret.as_ref().map_or(0, |(_, algorithm)| algorithm.length());
        let other = if self.error == Tsig::BADTIME { 6 } else { 0 };
        Tsig::room(&self.key, &self.algorithm, mac, other) as u16
    }

    /// Signs the message of `length` octets in a buffer that has room behind it; gives the new length. `before` has the
    /// signature of the message before it in the same answer, nothing for the first one, and takes that of this one.
    pub fn apply(&self, message: &mut [u8], length: usize, now: u64, before: &mut Vec<u8>) -> usize {
        let mut tsig = Tsig {
            key: self.key,
            algorithm: self.algorithm,
            time: now,
            fudge: FUDGE,
            mac: Box::default(),
            original_id: self.id,
            error: self.error,
            other: Box::default(),
        };
        if self.error == Tsig::BADTIME {
            // RFC 8945 section 5.2.3: the asker's own time, so that he believes it, and ours behind it.
            tsig.time = self.time;
            tsig.other = six_octets(now).into();
        }
        if let Some((key, _)) = &self.secret {
            let whole = message.get(..length).unwrap_or_default();
            let mac = if before.is_empty() {
                sign(key, &self.query, whole, &tsig.variables())
            } else {
                sign(key, before, whole, &tsig.timers())
            };
            before.clear();
            before.extend_from_slice(mac.as_ref());
            tsig.mac = mac.as_ref().into();
        }
        tsig.append(message, length)
    }
}

/// Secrets are not for logs.
impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({}, {})", self.key, self.error)
    }
}
