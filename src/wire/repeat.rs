use super::{Flags, Packet, RecordType, encode::shuffle_addresses, packet::Entry};

/// An answer that has left, to be sent again to the same query under another id.
#[derive(Debug)]
pub struct Repeat {
    /// The query behind its id, then the answer.
    octets: Box<[u8]>,
    /// How many of them are the query's.
    query: u16,
    /// Its records, as far as anything in them changes from one time to the next.
    entries: Box<[Entry]>,
}

impl Repeat {
    /// Takes the octets of an answer and of the query that it is to. `aging` says whether it is to be sent with other TTLs,
    /// `shuffle` whether with its addresses in another order. `None` if it was cut, so that others of its records might
    /// have left as well.
    pub fn of(query: &[u8], answer: &[u8], aging: bool, shuffle: bool) -> Option<Self> {
        if Flags::of_message(answer).truncated() {
            return None;
        }
        let packet = Packet::parse(answer).ok()?;
        let entries = packet.entries();
        let is_address =
            |entry: &&Entry| entry.section == 0 && matches!(entry.record_type, RecordType::A | RecordType::AAAA);
        let changes = aging || shuffle && entries.iter().filter(is_address).count() > 1;
        let query = query.get(2..)?;
        Some(Self {
            octets: [query, answer].concat().into(),
            query: query.len().try_into().ok()?,
            entries: if changes { entries.into() } else { Box::default() },
        })
    }

    /// Whether the answer is to this query, but for the id.
    pub fn is_to(&self, query: &[u8]) -> bool {
        query.get(2..).is_some_and(|query| *query == self.octets[..usize::from(self.query)])
    }

    /// The memory that it takes, octets.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.octets.len() + size_of_val(&*self.entries)
    }

    /// The TTLs of its records, seconds.
    #[cfg(test)]
    pub fn ttls(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.ttl)
    }

    /// Writes the answer and gives its length: with the id of this query, with `ttl` seconds in all records if it is given
    /// and the answer ages, its addresses in another order if there is a `seed` and it has several. `None` if `out` or the
    /// query is too short.
    pub fn write(&self, query: &[u8], ttl: Option<u32>, seed: Option<u32>, out: &mut [u8]) -> Option<usize> {
        let octets = &self.octets[usize::from(self.query)..];
        let out = out.get_mut(..octets.len())?;
        out.copy_from_slice(octets);
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
