//! Zones in memory: read from master files or taken from another server, asked as RFC 1034 section 4.3.2 says.
//!
//! ```text
//! text/     a master file → records, errors at file, line and column
//! load.rs   records of a file → Zone
//! tree.rs   Zone: names in canonical order, with their record sets
//! lookup.rs a question → the sections of an answer: aliases, cuts, wildcards, denials
//! change.rs updates (RFC 2136): what must be so, what becomes of it
//! ```
//!
//! It has never heard of a Corefile; `file`, `auto` and `secondary` drive it.

mod change;
mod key;
mod load;
mod lookup;
#[cfg(test)]
mod tests;
pub mod text;
mod tree;

pub use change::{Changing, is_changeable, is_of_records};
pub use load::{Extent, Signature, contents, load, read, signature};
pub use lookup::{Found, Outcome};
pub use tree::{AllRecords, Zone, ZoneError};
