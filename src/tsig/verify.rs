use std::sync::Arc;

use ring::hmac;

use super::{Algorithm, Keyring, Seal};
use crate::wire::{SignedMessage, Tsig, octets};

/// Why a signed query is not believed.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// Its signature is longer than it can be, or too short to say anything (RFC 8945 section 5.2.2.1): FORMERR.
    Malformed,
    /// NOTAUTH, with the error that the seal puts into the answer.
    NotAuthentic(Arc<Seal>),
}

impl Keyring {
    /// Verifies a signed query at a time in seconds since 1970, in the order of RFC 8945 section 5.2; gives what signs its
    /// answer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, query: &SignedMessage, now: u64) -> Result<Arc<Seal>, Refusal> {
        let tsig = &query.tsig;
        let refuse = |error, key| Err(Refusal::NotAuthentic(Arc::new(Seal::of(tsig, key, error))));
        let Some((secret, algorithm)) = self.secret(&tsig.key).zip(Algorithm::of(&tsig.algorithm)) else {
            return refuse(Tsig::BADKEY, None);
        };
        let key = algorithm.key(secret);
        let length = algorithm.length();
        if tsig.mac.len() > length || tsig.mac.len() < (length / 2).max(10) {
            return Err(Refusal::Malformed);
        }
        let right = digest(&key, &[], query, &tsig.variables());
        if !is_start(&tsig.mac, right.as_ref()) {
            return refuse(Tsig::BADSIG, None);
        }
        let key = Some((key, algorithm));
        if now.abs_diff(tsig.time) > u64::from(tsig.fudge) {
            return refuse(Tsig::BADTIME, key);
        }
        // Section 5.2.4: whole signatures are wanted here.
        if tsig.mac.len() < length {
            return refuse(Tsig::BADTRUNC, key);
        }
        Ok(Arc::new(Seal::of(tsig, key, 0)))
    }
}

/// The signature of a message: over that of the message before it, itself, and what the record says (RFC 8945 section 4.3).
pub(super) fn digest(key: &hmac::Key, before: &[u8], message: &SignedMessage, behind: &[u8]) -> hmac::Tag {
    sign(key, before, &message.bytes, behind)
}

pub(super) fn sign(key: &hmac::Key, before: &[u8], message: &[u8], behind: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    if !before.is_empty() {
        context.update(&octets(before.len() as u16));
        context.update(before);
    }
    context.update(message);
    context.update(behind);
    context.sign()
}

/// Whether a signature begins like the right one; takes as long wherever they differ.
pub(super) fn is_start(given: &[u8], right: &[u8]) -> bool {
    given.len() <= right.len() && given.iter().zip(right).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
