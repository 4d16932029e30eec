//! Changes of a zone as clients ask for them (RFC 2136 section 3).

use super::{Zone, ZoneError, text::TextRecord};
use crate::wire::{Class, Name, RData, Rcode, Record, RecordType, Wish, is_same_data, long_octets, octets_of_long};

use RecordType as T;

/// Types that questions have, and no record.
const QUESTIONS: [RecordType; 7] = [T::AXFR, T::IXFR, T::MAILA, T::MAILB, T::OPT, T::TKEY, T::TSIG];

/// Records that would be wrong as soon as others change: signatures, and what vouches for them.
const SIGNED: [RecordType; 14] = [
    T::SIG,
    T::KEY,
    T::DS,
    T::RRSIG,
    T::NSEC,
    T::DNSKEY,
    T::NSEC3,
    T::NSEC3PARAM,
    T::TALINK,
    T::CDS,
    T::CDNSKEY,
    T::ZONEMD,
    T::TA,
    T::DLV,
];

/// Whether a zone that is changed may have records of this type.
pub fn is_changeable(record_type: RecordType) -> bool {
    // 30 is NXT, the NSEC of old.
    !SIGNED.contains(&record_type) && record_type != RecordType(30)
}

/// Whether this is the type of a record, and not of questions only.
pub fn is_of_records(record_type: RecordType) -> bool {
    record_type.mnemonic().is_some() && record_type != T::ANY && !QUESTIONS.contains(&record_type)
}

/// The records of a zone, to be changed.
#[derive(Debug, Clone)]
pub struct Changing {
    origin: Name,
    records: Vec<TextRecord>,
}

impl Changing {
    /// The records of a zone as it is.
    pub fn of(zone: &std::sync::Arc<Zone>) -> Self {
        let plain = |record: Record| TextRecord {
            owner: record.owner.resolve(&Name::root()),
            class: record.class,
            ttl: record.ttl,
            record_type: record.data.record_type(),
            data: record.data.to_wire(),
        };
        Self { origin: *zone.origin(), records: zone.records().map(plain).collect() }
    }

    /// The zone of these records.
    ///
    /// # Errors
    /// They are none.
    pub fn zone(&self) -> Result<Zone, ZoneError> {
        Zone::of_records(self.origin, self.records.iter().cloned())
    }

    /// The records.
    pub fn records(&self) -> &[TextRecord] {
        &self.records
    }

    /// Octets of all records without compression.
    pub fn size(&self) -> usize {
        self.records.iter().map(|record| record.owner.wire().len() + 10 + record.data.len()).sum()
    }

    /// What no update may make of a zone, and so must not be there before the first; `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        for record in &self.records {
            let TextRecord { owner, record_type, .. } = record;
            if !is_changeable(*record_type) {
                return Some(format!("records of type {record_type}, which updates would make wrong"));
            }
            if *record_type == T::CNAME && self.of_name(owner).count() > 1 {
                return Some(format!("{owner} is an alias and has other records"));
            }
        }
        // RFC 2136 section 7.11.
        (self.serial() == Some(0)).then(|| "the serial 0, which updates do not have".to_owned())
    }

    fn of_name(&self, name: &Name) -> impl Iterator<Item = &TextRecord> {
        self.records.iter().filter(move |record| record.owner == *name)
    }

    fn of_set(&self, name: &Name, record_type: RecordType) -> impl Iterator<Item = &TextRecord> {
        self.of_name(name).filter(move |record| record.record_type == record_type)
    }

    fn serial(&self) -> Option<u32> {
        let soa = self.of_set(&self.origin, T::SOA).next()?;
        serial_of(&soa.data)
    }

    /// Makes the serial the next one, and never zero (RFC 2136 section 7.11).
    pub fn advance(&mut self) {
        let origin = self.origin;
        let soa = self.records.iter_mut().find(|record| record.record_type == T::SOA && record.owner == origin);
        if let Some(soa) = soa
            && let Some(at) = soa.data.len().checked_sub(20)
        {
            let next = serial_of(&soa.data).unwrap_or_default().wrapping_add(1).max(1);
            soa.data[at..at + 4].copy_from_slice(&long_octets(next));
        }
    }

    /// Whether everything is so that must be (RFC 2136 section 3.2); the response code if not.
    ///
    /// # Errors
    /// What is not so, as a response code.
    pub fn meets(&self, prerequisites: &[Wish]) -> Result<(), Rcode> {
        let mut sets: Vec<(&Name, RecordType, Vec<&[u8]>)> = Vec::new();
        for wish in prerequisites {
            let Wish { owner, class, ttl, record_type, data } = wish;
            if *ttl != 0 {
                return Err(Rcode::FORMERR);
            }
            if !owner.is_within(&self.origin) {
                return Err(Rcode::NOTZONE);
            }
            if !is_changeable(*record_type) {
                return Err(Rcode::NOTIMP);
            }
            let is_any = *record_type == T::ANY;
            let is_bare = data.is_empty() && (is_any || is_of_records(*record_type));
            let has_name = || self.of_name(owner).next().is_some();
            let has_set = || self.of_set(owner, *record_type).next().is_some();
            match *class {
                Class::ANY | Class::NONE if !is_bare => return Err(Rcode::FORMERR),
                Class::ANY if is_any && !has_name() => return Err(Rcode::NXDOMAIN),
                Class::ANY if !is_any && !has_set() => return Err(Rcode::NXRRSET),
                Class::NONE if is_any && has_name() => return Err(Rcode::YXDOMAIN),
                Class::NONE if !is_any && has_set() => return Err(Rcode::YXRRSET),
                Class::ANY | Class::NONE => {}
                Class::IN if is_of_records(*record_type) => {
                    match sets.iter_mut().find(|(name, kind, _)| *name == owner && kind == record_type) {
                        Some((_, _, all)) => all.push(data),
                        None => sets.push((owner, *record_type, vec![data])),
                    }
                }
                _ => return Err(Rcode::FORMERR),
            }
        }
        for (owner, kind, wanted) in sets {
            let there: Vec<&[u8]> = self.of_set(owner, kind).map(|record| record.data.as_slice()).collect();
            let has = |all: &[&[u8]], one: &[u8]| all.iter().any(|data| is_same_data(kind, data, one));
            if !there.iter().all(|data| has(&wanted, data)) || !wanted.iter().all(|data| has(&there, data)) {
                return Err(Rcode::NXRRSET);
            }
        }
        Ok(())
    }

    /// Whether all changes are such as can be made (RFC 2136 section 3.4.1).
    ///
    /// # Errors
    /// What is wrong with one, as a response code.
    pub fn takes(&self, changes: &[Wish]) -> Result<(), Rcode> {
        for wish in changes {
            let Wish { owner, class, ttl, record_type, data } = wish;
            if !owner.is_within(&self.origin) {
                return Err(Rcode::NOTZONE);
            }
            let is_record = is_of_records(*record_type);
            let is_right = match *class {
                Class::IN if *record_type == T::SOA => {
                    *owner == self.origin && serial_of(data).is_some_and(|serial| serial != 0)
                }
                // Some types may have no data at all, those of our own all have some.
                Class::IN => is_record && RData::from_wire(*record_type, data).is_ok(),
                Class::ANY => *ttl == 0 && data.is_empty() && (is_record || *record_type == T::ANY),
                Class::NONE => *ttl == 0 && is_record,
                _ => false,
            };
            if !is_right {
                return Err(Rcode::FORMERR);
            }
            if !is_changeable(*record_type) {
                return Err(Rcode::NOTIMP);
            }
        }
        Ok(())
    }

    /// Makes changes that it [takes](Self::takes) (RFC 2136 section 3.4.2); says whether anything is different now. Unless one of
    /// them is a new SOA, the serial is the next one.
    pub fn change(&mut self, changes: &[Wish]) -> bool {
        let (mut is_changed, mut has_serial) = (false, false);
        for wish in changes {
            let done = match wish.class {
                Class::IN => self.add(wish),
                Class::ANY => self.delete_all(wish),
                _ => self.delete_one(wish),
            };
            is_changed |= done;
            has_serial |= done && wish.class == Class::IN && wish.record_type == T::SOA;
        }
        if is_changed && !has_serial {
            self.advance();
        }
        is_changed
    }

    fn add(&mut self, wish: &Wish) -> bool {
        let Wish { owner, ttl, record_type, ref data, .. } = *wish;
        let fresh = TextRecord { owner, class: Class::IN, ttl, record_type, data: data.clone() };
        let is_known = |record: &TextRecord| record.ttl == ttl && is_same_data(record_type, &record.data, data);
        match record_type {
            T::SOA => {
                let newer = |theirs: u32, ours: u32| theirs != ours && theirs.wrapping_sub(ours) < 1 << 31;
                if !serial_of(data).zip(self.serial()).is_some_and(|(theirs, ours)| newer(theirs, ours)) {
                    return false;
                }
                self.remove(|record| record.record_type == T::SOA);
            }
            // One alias for a name, and nothing beside it.
            T::CNAME => {
                if self.of_name(&owner).any(|record| record.record_type != T::CNAME || is_known(record)) {
                    return false;
                }
                self.remove(|record| record.owner == owner);
            }
            _ => {
                if self.of_set(&owner, T::CNAME).next().is_some() || self.of_set(&owner, record_type).any(is_known) {
                    return false;
                }
                // The same with another TTL.
                self.remove(|record| {
                    record.owner == owner
                        && record.record_type == record_type
                        && is_same_data(record_type, &record.data, data)
                });
            }
        }
        self.records.push(fresh);
        true
    }

    /// Deletes a set, or all of a name; SOA and NS of the zone stay.
    fn delete_all(&mut self, wish: &Wish) -> bool {
        let Wish { owner, record_type, .. } = *wish;
        let is_top = owner == self.origin;
        self.remove(|record| {
            let stays = is_top && matches!(record.record_type, T::SOA | T::NS);
            record.owner == owner && !stays && (record_type == T::ANY || record.record_type == record_type)
        })
    }

    /// Deletes a record; the SOA and the last NS of the zone stay.
    fn delete_one(&mut self, wish: &Wish) -> bool {
        let Wish { owner, record_type, ref data, .. } = *wish;
        let is_top = owner == self.origin;
        let is_last = record_type == T::NS && self.of_set(&owner, T::NS).count() <= 1;
        if is_top && (record_type == T::SOA || is_last) {
            return false;
        }
        self.remove(|record| {
            record.owner == owner && record.record_type == record_type && is_same_data(record_type, &record.data, data)
        })
    }

    fn remove(&mut self, is_meant: impl Fn(&TextRecord) -> bool) -> bool {
        let before = self.records.len();
        self.records.retain(|record| !is_meant(record));
        self.records.len() < before
    }
}

/// The serial in the data of an SOA record: the first of five numbers at its end.
fn serial_of(data: &[u8]) -> Option<u32> {
    RData::from_wire(T::SOA, data).ok()?;
    data.get(data.len() - 20..)?.first_chunk().map(|field| octets_of_long(*field))
}
