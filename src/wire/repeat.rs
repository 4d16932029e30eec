use smallvec::SmallVec;

use super::{Flags, Packet, encode::shuffle_addresses, packet::Entry};

/// An answer that has left, to be sent again to the same query under another id.
#[derive(Debug)]
pub struct Repeat {
    bytes: SmallVec<[u8; 128]>,
    entries: SmallVec<[Entry; 1]>,
}

impl Repeat {
    /// Takes the bytes of an answer. `None` if it was cut, so that others of its records might have left as well.
    pub fn of(answer: &[u8]) -> Option<Self> {
        if Flags::of_message(answer).truncated() {
            return None;
        }
        let packet = Packet::parse(answer).ok()?;
        Some(Self { bytes: SmallVec::from_slice(answer), entries: packet.entries().into() })
    }

    /// The TTLs of its records, seconds.
    #[cfg(test)]
    pub fn ttls(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.ttl)
    }

    /// Writes the answer and gives its length: with the id of this query, with `ttl` seconds in all records if it is given,
    /// its addresses in another order if there is a `seed`. `None` if `out` or the query is too short.
    pub fn write(&self, query: &[u8], ttl: Option<u32>, seed: Option<u32>, out: &mut [u8]) -> Option<usize> {
        let out = out.get_mut(..self.bytes.len())?;
        out.copy_from_slice(&self.bytes);
        out[..2].copy_from_slice(query.get(..2)?);
        if let Some(ttl) = ttl {
            for entry in &self.entries {
                let at = usize::from(entry.ttl_at);
                out[at..at + 4].copy_from_slice(&ttl.to_be_bytes());
            }
        }
        if let Some(seed) = seed {
            shuffle_addresses(out, &self.entries, seed);
        }
        Some(out.len())
    }
}
