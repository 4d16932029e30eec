//! Signatures of record sets (RFC 4034), made with keys in the files of BIND.
//!
//! ```text
//! files.rs      Kname.+013+12345.key and .private → SigningKey
//! key.rs        SigningKey: signs, has a tag, makes DNSKEY and CDS
//! set.rs        a record set in canonical form
//! signature.rs  set + key + times → the data of an RRSIG record
//! nsec.rs       what is not there
//! zone.rs       all of a zone
//! ```
//!
//! It has no clock: seconds since 1970 are handed in, as the 32 bits that signatures have.

mod files;
mod key;
mod nsec;
mod set;
mod signature;
#[cfg(test)]
mod tests;
mod zone;

pub use files::{KeyFileError, read_key};
pub use key::SigningKey;
pub use nsec::{after, nsec};
pub use set::RecordSet;
pub use signature::{Validity, sign};
pub use zone::sign_zone;
