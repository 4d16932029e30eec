//! The answer store: keeps encoded answers and ages their TTLs. Has never heard of a Corefile.
//!
//! ```text
//!   classify(packet)  what is it, how long may it be kept          classify.rs
//!   AnswerCache::keep ──► Entry: packet, born, TTL, upkeep         entry.rs
//!   AnswerCache::find ──► near.rs, this thread's own copy of what is asked often
//!                    └──► store.rs, two halves of bounded size
//!   Entry::age(now)   fresh, or ended for how long
//!   Refresh           who fetches an entry again, one at a time    refresh.rs
//!   Flights           equal questions share one answer             flight.rs
//! ```
//!
//! [`Bounded`] is for those who keep something else than answers.

mod bounded;
mod classify;
mod entry;
mod flight;
mod key;
mod near;
mod refresh;
mod store;

#[cfg(test)]
mod tests;

pub use bounded::Bounded;
pub use classify::{Class, Limits, Storable, classify};
pub use entry::{Age, Entry};
pub use flight::{Boarding, Flights};
pub use key::Key;
pub use refresh::Refresh;
pub use store::{AnswerCache, Bounds, Half, Kept};
