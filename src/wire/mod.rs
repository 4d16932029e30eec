//! DNS messages as bytes: the only place that knows packet offsets (RFC 1035 section 4).
//!
//! A [`Query`] is read out of a datagram once, into a value without a lifetime. A [`Response`] is made by a
//! plugin either as [`Records`] or as a [`Packet`] (an encoded answer with its TTL offsets), and becomes bytes
//! in [`encode`]. Nothing else in this crate may read or write a message by offset; `tests/layers.rs`
//! refuses `from_be_bytes` and `to_be_bytes` outside this folder.

mod edns;
mod encode;
mod error;
mod message;
mod name;
mod packet;
mod proxy_header;
mod query;
mod record;
mod rename;
mod repeat;
mod response;
pub mod spare;
mod tsig;
mod types;
mod update;

#[cfg(test)]
mod tests;

pub use edns::{Ede, Edns, Options};
pub use encode::{
    MAX_MESSAGE, encode, encode_query, encode_reject, frame_length, framed_length, long_octets, message_id, octets,
    octets_of_long, octets_of_short, take_frame,
};
pub use error::WireError;
pub use message::Message;
pub use name::{Labels, MAX_NAME, Name, NameError};
pub use packet::{Entry, Packet, PacketHeader, freshness};
pub use proxy_header::{Carrier, LONGEST_PROXY_HEADER, Preamble, ProxyHeader};
pub use query::{Flags, Query, Question, Reject, Rejected};
pub use record::{NameRef, Owner, Prefix, RData, Record, Section, Soa};
pub use repeat::Repeat;
pub use response::{Body, Failure, Following, Kind, Origin, Records, Response};
pub use tsig::{SignedMessage, Tsig, six_octets};
pub use types::{Class, Opcode, Rcode, RecordType, lower_names, type_bitmap};
pub use update::{Update, Wish, is_same_data};
