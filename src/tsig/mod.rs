//! Transaction signatures (RFC 8945): who asks proves that he has a secret, and gets his answer signed with it.
//!
//! ```text
//! keyring.rs    names and secrets; reads the key files of BIND
//! algorithm.rs  the HMACs
//! verify.rs     a signed query → a seal for its answer, or what is wrong
//! seal.rs       signs the messages of an answer
//! ask.rs        signs our own questions, and verifies what comes back
//! ```
//!
//! Where the record stands in a message is `wire`'s affair. It has no clock: seconds since 1970 are handed in.

mod algorithm;
mod ask;
mod keyring;
mod seal;
#[cfg(test)]
mod tests;
mod verify;

pub use algorithm::Algorithm;
pub use ask::{Conversation, Identity};
pub use keyring::{Keyring, KeyringError, secret};
pub use seal::Seal;
pub use verify::Refusal;

use std::time::{SystemTime, UNIX_EPOCH};

/// How far clocks may be apart, seconds (RFC 8945 section 10 recommends it).
const FUDGE: u16 = 300;

/// Seconds since 1970 by the clock of the machine.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
