use std::sync::Arc;

use super::{RecordSet, SigningKey, Validity, nsec, sign};
use crate::{
    wire::{Class, Name, RData, Record, RecordType, Soa},
    zone::{Zone, text::TextRecord},
};

use RecordType as T;

/// What signing makes, and so does not take from the source.
const MADE: [RecordType; 7] = [T::RRSIG, T::NSEC, T::NSEC3, T::NSEC3PARAM, T::DNSKEY, T::CDNSKEY, T::CDS];

/// A name and its sets.
struct Node {
    owner: Name,
    sets: Vec<RecordSet>,
    /// Where another zone begins, or what is below it or below a DNAME.
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Cut,
    /// Glue, or what nobody is given (RFC 6672 section 2.4).
    Below,
}

impl Node {
    fn has(&self, record_type: RecordType) -> bool {
        self.sets.iter().any(|set| set.record_type == record_type)
    }

    fn add(&mut self, record_type: RecordType, ttl: u32, data: Vec<u8>) {
        match self.sets.iter_mut().find(|set| set.record_type == record_type) {
            Some(set) => {
                // RFC 2181 section 5.2: the records of a set have one TTL.
                set.ttl = set.ttl.min(ttl);
                set.data.push(data);
            }
            None => {
                self.sets.push(RecordSet { owner: self.owner, class: Class::IN, record_type, ttl, data: vec![data] })
            }
        }
    }
}

/// The records of a zone with signatures by each of the keys, in canonical order, the SOA first: with the keys themselves, what a
/// parent may take over (RFC 7344), and NSEC records (RFC 4035 section 2). `None` if a key cannot sign.
pub fn sign_zone(zone: &Arc<Zone>, keys: &[SigningKey], serial: u32, validity: Validity) -> Option<Vec<TextRecord>> {
    let origin = *zone.origin();
    let mut nodes = nodes(zone, serial);
    let soa_ttl = nodes.first().and_then(|apex| apex.sets.first()).map_or(0, |soa| soa.ttl);
    if let Some(apex) = nodes.first_mut() {
        for key in keys {
            apex.add(T::DNSKEY, soa_ttl, key.data().to_vec());
            apex.add(T::CDNSKEY, soa_ttl, key.data().to_vec());
            apex.add(T::CDS, soa_ttl, key.delegation(&origin));
        }
    }
    // RFC 9077: as long as a denial may be kept.
    let denial_ttl = soa_ttl.min(zone.soa().minimum);
    let ours: Vec<Name> = nodes.iter().filter(|node| node.kind != Kind::Below).map(|node| node.owner).collect();
    for (node, next) in nodes.iter_mut().filter(|node| node.kind != Kind::Below).zip(ours.iter().cycle().skip(1)) {
        let mut types: Vec<RecordType> = node.sets.iter().map(|set| set.record_type).collect();
        if node.kind == Kind::Cut {
            types.retain(|kind| matches!(*kind, T::NS | T::DS));
        }
        types.extend([T::RRSIG, T::NSEC]);
        node.add(T::NSEC, denial_ttl, nsec(next, &mut types));
    }
    let mut records = Vec::new();
    for node in nodes {
        for set in node.sets {
            let is_signed = match node.kind {
                Kind::Ours => true,
                Kind::Cut => matches!(set.record_type, T::DS | T::NSEC),
                Kind::Below => false,
            };
            push(&set, set.record_type, set.data.clone(), &mut records);
            if is_signed {
                let canonical = set.clone().canonical();
                let signed: Option<Vec<Vec<u8>>> =
                    keys.iter().map(|key| sign(&canonical, &origin, key, validity)).collect();
                push(&set, T::RRSIG, signed?, &mut records);
            }
        }
    }
    Some(records)
}

/// The names of a zone in canonical order, the apex with its SOA first.
fn nodes(zone: &Arc<Zone>, serial: u32) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    // The last cut or DNAME: what is below comes right behind.
    let mut closed: Option<Name> = None;
    for record in zone.records() {
        let Record { owner, ttl, data, .. } = record;
        let owner = owner.resolve(&Name::root());
        let record_type = data.record_type();
        if MADE.contains(&record_type) {
            continue;
        }
        let data = match data {
            RData::Soa(soa) => RData::Soa(Soa { serial, ..soa }),
            other => other,
        };
        if nodes.last().is_none_or(|node| node.owner != owner) {
            if let Some(last) = nodes.last() {
                let is_closed = last.kind == Kind::Cut || last.kind == Kind::Ours && last.has(T::DNAME);
                closed = if is_closed { Some(last.owner) } else { closed };
            }
            let is_below = closed.is_some_and(|closed| owner.is_within(&closed));
            let kind = if is_below { Kind::Below } else { Kind::Ours };
            nodes.push(Node { owner, sets: Vec::new(), kind });
        }
        if let Some(node) = nodes.last_mut() {
            if record_type == T::NS && node.kind == Kind::Ours && owner != *zone.origin() {
                node.kind = Kind::Cut;
            }
            node.add(record_type, ttl, data.to_wire());
        }
    }
    nodes
}

fn push(set: &RecordSet, record_type: RecordType, data: Vec<Vec<u8>>, records: &mut Vec<TextRecord>) {
    let RecordSet { owner, class, ttl, .. } = *set;
    records.extend(data.into_iter().map(|data| TextRecord { owner, class, ttl, record_type, data }));
}
