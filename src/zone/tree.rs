use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use smallvec::SmallVec;

use super::{
    key::{Key, key_of, name_of},
    text::TextRecord,
};
use crate::wire::{Class, Name, NameRef, RData, Record, RecordType, Soa};

/// A zone: every name that owns records, in canonical order.
#[derive(Debug, Clone)]
pub struct Zone {
    origin: Name,
    nodes: BTreeMap<Box<[u8]>, Node>,
    soa: Soa,
    /// Some name below the apex has NS or DNAME records.
    pub(super) has_cuts: bool,
    /// There are NSEC records.
    pub(super) signed: bool,
    strays: usize,
    records: usize,
}

/// What a name owns.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    sets: SmallVec<[RecordSet; 1]>,
}

/// The records of one name and type, packed: TTL, length and data of each.
#[derive(Debug, Clone)]
struct RecordSet {
    record_type: RecordType,
    packed: Vec<u8>,
}

/// How many records of one type a name may have; no message holds as many.
const LARGEST_SET: usize = 6000;

/// Why records are no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// RFC 1035 section 5.2: exactly one SOA, at the top.
    #[error("no SOA record for {0}")]
    NoSoa(Box<Name>),
    /// A second SOA that says something else.
    #[error("more than one SOA record for {0}")]
    TwoSoas(Box<Name>),
    /// An SOA below or beside the apex.
    #[error("an SOA record for {0}, which is not the zone {1}")]
    ForeignSoa(Box<Name>, Box<Name>),
    /// A class other than IN.
    #[error("a record of class {0}; zones are of class IN")]
    Class(Class),
    /// More records of one type and name than a message can hold.
    #[error("more than {LARGEST_SET} records of type {1} for {0}")]
    SetTooLarge(Box<Name>, RecordType),
}

/// Collects the records of a zone.
#[derive(Debug)]
pub(super) struct Draft {
    origin: Name,
    nodes: BTreeMap<Box<[u8]>, Node>,
    strays: usize,
    records: usize,
}

impl Draft {
    pub(super) fn new(origin: Name) -> Self {
        Self { origin: origin.to_lowercase(), nodes: BTreeMap::new(), strays: 0, records: 0 }
    }

    /// Adds a record; what is not of the zone is left out and counted.
    pub(super) fn add(&mut self, record: TextRecord) -> Result<(), ZoneError> {
        let TextRecord { owner, class, ttl, record_type, data } = record;
        if record_type == RecordType::SOA && owner != self.origin {
            return Err(ZoneError::ForeignSoa(owner.into(), self.origin.into()));
        }
        let Some(above) = owner.labels_above(&self.origin) else {
            self.strays += 1;
            return Ok(());
        };
        if class != Class::IN {
            return Err(ZoneError::Class(class));
        }
        let key = key_of(&owner, above, above);
        let node = match self.nodes.entry(key.into_vec().into_boxed_slice()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Node::default()),
        };
        match node.sets.iter_mut().find(|set| set.record_type == record_type) {
            Some(set) => {
                let mut count = 0;
                // RFC 2181 section 5: a record that stands twice is one.
                if set.records().inspect(|_| count += 1).any(|(_, known)| known == data) {
                    return Ok(());
                }
                if record_type == RecordType::SOA {
                    return Err(ZoneError::TwoSoas(self.origin.into()));
                }
                if count >= LARGEST_SET {
                    return Err(ZoneError::SetTooLarge(owner.into(), record_type));
                }
                set.push(ttl, &data);
            }
            None => {
                let mut set = RecordSet { record_type, packed: Vec::with_capacity(HEAD + data.len()) };
                set.push(ttl, &data);
                node.sets.push(set);
            }
        }
        self.records += 1;
        Ok(())
    }

    /// The zone of what was added.
    pub(super) fn finish(self) -> Result<Zone, ZoneError> {
        let Self { origin, nodes, strays, records } = self;
        let apex = nodes.get(&[] as &[u8]);
        let soa = apex.and_then(|node| node.data(RecordType::SOA).next());
        let Some(RData::Soa(soa)) = soa.and_then(|data| RData::from_wire(RecordType::SOA, data).ok()) else {
            return Err(ZoneError::NoSoa(origin.into()));
        };
        let mut below = nodes.iter().filter(|(key, _)| !key.is_empty());
        let has_dname = apex.is_some_and(|node| node.has(RecordType::DNAME));
        let has_cuts = has_dname || below.any(|(_, node)| node.has(RecordType::NS) || node.has(RecordType::DNAME));
        let signed = nodes.values().any(|node| node.has(RecordType::NSEC));
        Ok(Zone { origin, nodes, soa, has_cuts, signed, strays, records })
    }
}

/// Octets in front of the data of a packed record: TTL and length.
const HEAD: usize = 6;

impl RecordSet {
    fn push(&mut self, ttl: u32, data: &[u8]) {
        self.packed.extend(ttl.to_ne_bytes());
        self.packed.extend((data.len() as u16).to_ne_bytes());
        self.packed.extend_from_slice(data);
    }

    fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = self.packed.as_slice();
        std::iter::from_fn(move || {
            let (ttl, behind) = rest.split_first_chunk::<4>()?;
            let (length, behind) = behind.split_first_chunk::<2>()?;
            let (data, behind) = behind.split_at_checked(usize::from(u16::from_ne_bytes(*length)))?;
            rest = behind;
            Some((u32::from_ne_bytes(*ttl), data))
        })
    }
}

impl Node {
    pub(super) fn has(&self, record_type: RecordType) -> bool {
        self.sets.iter().any(|set| set.record_type == record_type)
    }

    fn set(&self, record_type: RecordType) -> impl Iterator<Item = (u32, &[u8])> {
        self.sets.iter().filter(move |set| set.record_type == record_type).flat_map(RecordSet::records)
    }

    pub(super) fn data(&self, record_type: RecordType) -> impl Iterator<Item = &[u8]> {
        self.set(record_type).map(|(_, data)| data)
    }

    /// The records of a type.
    pub(super) fn records(&self, owner: &NameRef, record_type: RecordType) -> impl Iterator<Item = Record> {
        self.set(record_type).filter_map(move |(ttl, data)| record(owner, record_type, ttl, data))
    }

    /// The signatures over the records of a type: the type covered stands first (RFC 4034 section 3.1).
    pub(super) fn signatures(&self, owner: &NameRef, covered: RecordType) -> impl Iterator<Item = Record> {
        let covered = crate::wire::octets(covered.0);
        let signatures = self.set(RecordType::RRSIG).filter(move |(_, data)| data.starts_with(&covered));
        signatures.filter_map(move |(ttl, data)| record(owner, RecordType::RRSIG, ttl, data))
    }
}

fn record(owner: &NameRef, record_type: RecordType, ttl: u32, data: &[u8]) -> Option<Record> {
    let data = RData::from_wire(record_type, data).ok()?;
    Some(Record { owner: owner.clone(), class: Class::IN, ttl, data })
}

impl Zone {
    /// A zone of these records.
    ///
    /// # Errors
    /// They are none.
    pub fn of_records(origin: Name, records: impl IntoIterator<Item = TextRecord>) -> Result<Self, ZoneError> {
        let mut draft = Draft::new(origin);
        for record in records {
            draft.add(record)?;
        }
        draft.finish()
    }

    /// The name of the zone.
    pub const fn origin(&self) -> &Name {
        &self.origin
    }

    /// The start of authority.
    pub const fn soa(&self) -> &Soa {
        &self.soa
    }

    /// How many records there are.
    pub const fn len(&self) -> usize {
        self.records
    }

    /// Whether there is no record, which no zone is.
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// How many records of the source do not belong to the zone and were left out.
    pub const fn strays(&self) -> usize {
        self.strays
    }

    pub(super) fn node(&self, key: &[u8]) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// Whether there are names below that of a key, or that of the key.
    pub(super) fn reaches(&self, key: &Key) -> bool {
        let from = self.nodes.range::<[u8], _>((Bound::Included(key.as_slice()), Bound::Unbounded));
        from.map(|(known, _)| known).next().is_some_and(|known| known.starts_with(key))
    }

    /// The last name at or before a key that has an NSEC record (RFC 4035 section 3.1.3).
    pub(super) fn covering(&self, key: &Key) -> Option<(Name, &Node)> {
        let mut before = self.nodes.range::<[u8], _>((Bound::Unbounded, Bound::Included(key.as_slice()))).rev();
        let (key, node) = before.find(|(_, node)| node.has(RecordType::NSEC))?;
        Some((name_of(key, &self.origin), node))
    }

    /// All records, the SOA first, names in canonical order (RFC 5936 section 2.2).
    pub fn records(self: &Arc<Self>) -> AllRecords {
        AllRecords { zone: Arc::clone(self), last: None, of_name: Vec::new().into_iter() }
    }
}

/// The records of a zone one by one; holds on to the zone as it was.
#[derive(Debug)]
pub struct AllRecords {
    zone: Arc<Zone>,
    last: Option<Box<[u8]>>,
    /// What is left of the name that was reached.
    of_name: std::vec::IntoIter<Record>,
}

impl Iterator for AllRecords {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            if let Some(record) = self.of_name.next() {
                return Some(record);
            }
            let from = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let (key, node) = self.zone.nodes.range::<[u8], _>((from, Bound::Unbounded)).next()?;
            let owner = NameRef::from(name_of(key, &self.zone.origin));
            let mut sets: Vec<&RecordSet> = node.sets.iter().collect();
            sets.sort_by_key(|set| set.record_type != RecordType::SOA);
            let records = sets
                .into_iter()
                .flat_map(|set| set.records().filter_map(|(ttl, data)| record(&owner, set.record_type, ttl, data)));
            let records: Vec<Record> = records.collect();
            self.last = Some(key.clone());
            self.of_name = records.into_iter();
        }
    }
}
