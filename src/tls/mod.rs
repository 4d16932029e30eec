//! Certificates, keys and authorities: read from files, and followed as the files change.
//!
//! ```text
//!   pem.rs           what stands in a file
//!   authorities.rs   whom to believe if nobody says so
//!   caller.rs        connections to collectors
//!   clients.rs       whose certificates are asked for
//!   credentials.rs   who we are to those who connect, as of now
//!   validity.rs      from when to when a certificate holds
//! ```

mod authorities;
mod caller;
mod clients;
mod credentials;
mod key_log;
mod pem;
mod validity;

pub use authorities::system;
pub use caller::Caller;
pub use clients::ClientAuth;
pub use credentials::{CredentialFiles, Credentials, Identity, Look, Speech};
pub use pem::{TlsError, certificates, mismatch, private_key};
pub use validity::Validity;
