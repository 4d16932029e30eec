use ring::hmac;

use super::{
    Algorithm, FUDGE, Keyring,
    verify::{digest, is_start, sign},
};
use crate::wire::{Name, SignedMessage, Tsig, message_id};

/// Under whose name we ask.
#[derive(Clone)]
pub struct Identity {
    name: Name,
    algorithm: Algorithm,
    key: hmac::Key,
}

/// A question that we sign, and the messages of its answer.
pub struct Conversation {
    identity: Identity,
    /// The signature of the message before: that of the question at first.
    before: Vec<u8>,
    is_first: bool,
    /// Messages without a signature since the last one with one.
    unsigned: Vec<Box<[u8]>>,
}

/// How many messages of an answer may bear no signature in a row (RFC 8945 section 5.3.1).
const UNSIGNED: usize = 99;

impl Identity {
    /// Asks under the name of a key; `None` if there is none of this name.
    pub fn new(keyring: &Keyring, name: Name, algorithm: Algorithm) -> Option<Self> {
        let key = algorithm.key(keyring.secret(&name)?);
        Some(Self { name, algorithm, key })
    }

    /// A question with its answer.
    pub fn begin(&self) -> Conversation {
        Conversation { identity: self.clone(), before: Vec::new(), is_first: true, unsigned: Vec::new() }
    }
}

impl Conversation {
    /// Signs the question of `length` octets in a buffer with room behind it; gives the new length.
    pub fn sign(&mut self, message: &mut [u8], length: usize, now: u64) -> usize {
        let mut tsig = Tsig {
            key: self.identity.name,
            algorithm: self.identity.algorithm.name(),
            time: now,
            fudge: FUDGE,
            mac: Box::default(),
            original_id: message_id(message).unwrap_or_default(),
            error: 0,
            other: Box::default(),
        };
        let mac = sign(&self.identity.key, &[], message.get(..length).unwrap_or_default(), &tsig.variables());
        self.before = mac.as_ref().to_vec();
        tsig.mac = mac.as_ref().into();
        tsig.append(message, length)
    }

    /// Whether the next message of the answer may be believed as far as it can be said now: `Some(true)` if it bears the
    /// right signature, `Some(false)` if a later one will say so for it, `None` if it is wrong.
    pub fn accept(&mut self, message: &[u8], now: u64) -> Option<bool> {
        let Some(signed) = SignedMessage::parse(message).ok()? else {
            // RFC 8945 section 5.3.1: the first and the last message must bear one.
            if self.is_first || self.unsigned.len() >= UNSIGNED {
                return None;
            }
            self.unsigned.push(message.into());
            return Some(false);
        };
        let tsig = &signed.tsig;
        if tsig.key != self.identity.name || tsig.algorithm != self.identity.algorithm.name() || tsig.error != 0 {
            return None;
        }
        let behind = if self.is_first { tsig.variables() } else { tsig.timers().to_vec() };
        let right = if self.unsigned.is_empty() {
            digest(&self.identity.key, &self.before, &signed, &behind)
        } else {
            let all = [&self.unsigned.concat(), &*signed.bytes].concat();
            sign(&self.identity.key, &self.before, &all, &behind)
        };
        let in_time = now.abs_diff(tsig.time) <= u64::from(tsig.fudge);
        if tsig.mac.len() != right.as_ref().len() || !is_start(&tsig.mac, right.as_ref()) || !in_time {
            return None;
        }
        self.before = right.as_ref().to_vec();
        self.is_first = false;
        self.unsigned.clear();
        Some(true)
    }
}
