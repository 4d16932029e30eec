//! Zones on the chain: what `file`, `auto` and `secondary` have in common. A query for a zone of theirs becomes an
//! answer, aliases that lead out of the zone are asked of the whole server, and files are followed.

mod answer;
mod cell;
mod file;
mod incoming;
mod zones;

pub use answer::answer;
pub use cell::ZoneCell;
pub use file::{Reading, ZoneFile};
pub use incoming::{IncomingError, serial, transfer};
pub use zones::Zones;
