//! What is signed of an answer, and what is denied.

use std::sync::Arc;

use super::{metrics::Metrics, signer::Signer};
use crate::{
    dnssec::{RecordSet, after, nsec},
    wire::{Name, NameRef, Question, RData, Rcode, Record, RecordType, Records, Response, Section},
};

use RecordType as T;

/// What a name that is asked for may own beside what it is asked for. A denial says that all of this may be there, so that it
/// denies one type of one name and nothing else ("black lies").
const ANYWHERE: [RecordType; 24] = [
    T::A,
    T::HINFO,
    T::MX,
    T::TXT,
    T::RP,
    T::AAAA,
    T::PTR,
    T::LOC,
    T::SRV,
    T::NAPTR,
    T::CERT,
    T::SSHFP,
    T::RRSIG,
    T::NSEC,
    T::TLSA,
    T::SMIMEA,
    T::HIP,
    T::OPENPGPKEY,
    T::SVCB,
    T::HTTPS,
    T::SPF,
    T::URI,
    T::CAA,
    T::AFSDB,
];
/// And the top of a zone besides.
const AT_THE_TOP: [RecordType; 3] = [T::NS, T::SOA, T::DNSKEY];
/// What a name owns below which another zone begins that is not signed (RFC 4035 section 2.3).
const AT_A_CUT: [RecordType; 3] = [T::NS, T::RRSIG, T::NSEC];

/// An answer on its way out, and what signs it.
pub(super) struct Signing<'a> {
    pub(super) signer: &'a Signer,
    pub(super) metrics: &'a Metrics,
    pub(super) question: &'a Question,
    /// Seconds since 1970.
    pub(super) now: u32,
    /// The name that was asked for is where another zone begins.
    pub(super) is_cut: bool,
}

impl Signing<'_> {
    /// Puts signatures behind the sets of the zones, and a proof where something is not there.
    pub(super) fn sign(&self, response: &mut Response) {
        let transfer = matches!(self.question.record_type, T::AXFR | T::IXFR);
        if !matches!(response.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) || transfer || response.following.is_some() {
            return;
        }
        let Ok(records) = response.records_mut() else { return };
        let cuts = self.cuts(&records.authority);
        for cut in &cuts {
            self.prove_cut(cut, &mut records.authority);
        }
        let is_denied = cuts.is_empty() && self.deny(records);
        let Records { answer, authority, additional } = records;
        for section in [answer, authority, additional] {
            self.sign_section(section, &cuts);
        }
        if is_denied {
            // The proof says that the name is there, whatever it owns.
            response.rcode = Rcode::NOERROR;
        }
    }

    fn owner(&self, record: &Record) -> Name {
        record.owner.resolve(&self.question.name)
    }

    /// Where other zones begin that a referral leads to.
    fn cuts(&self, authority: &Section) -> Vec<Name> {
        let mut cuts: Vec<Name> = Vec::new();
        for record in authority.iter().filter(|record| record.data.record_type() == T::NS) {
            let owner = self.owner(record);
            let is_below = self.signer.zone_of(&owner).is_some_and(|zone| *zone != owner);
            if is_below && !cuts.contains(&owner) {
                cuts.push(owner);
            }
        }
        cuts
    }

    /// RFC 4035 section 3.1.4: without DS, that there is none.
    fn prove_cut(&self, cut: &Name, authority: &mut Section) {
        let of_cut = |record: &&Record| self.owner(record) == *cut;
        let ttl = authority.iter().find(of_cut).map_or(0, |record| record.ttl);
        if !authority.iter().filter(of_cut).any(|record| matches!(record.data.record_type(), T::DS | T::NSEC)) {
            authority.push(denial(*cut, ttl, &mut AT_A_CUT.to_vec()));
        }
    }

    /// Adds the proof that there is nothing of the type that was asked for; says whether that is so.
    fn deny(&self, records: &mut Records) -> bool {
        let Some((ttl, minimum)) = records.authority.iter().find_map(|record| match &record.data {
            RData::Soa(soa) => Some((record.ttl, soa.minimum)),
            _ => None,
        }) else {
            return false;
        };
        let name = self.last_alias(&records.answer);
        let wanted = self.question.record_type;
        let has_it = |record: &Record| {
            let kind = record.data.record_type();
            (kind == wanted || wanted == T::ANY) && self.owner(record) == name
        };
        let Some(zone) = self.signer.zone_of(&name) else { return false };
        if records.answer.iter().any(has_it)
            || records.authority.iter().any(|record| record.data.record_type() == T::NSEC)
        {
            return false;
        }
        let mut types = if self.is_cut && name == self.question.name { AT_A_CUT.to_vec() } else { ANYWHERE.to_vec() };
        if name == *zone {
            types.extend(AT_THE_TOP);
        }
        types.retain(|kind| *kind != wanted || wanted == T::NSEC);
        // RFC 9077: as long as the denial itself may be kept.
        let proof = denial(name, ttl.min(minimum), &mut types);
        if wanted == T::NSEC && records.answer.is_empty() {
            // What was asked for is what there is.
            records.authority.clear();
            records.answer.push(proof);
        } else {
            records.authority.push(proof);
        }
        true
    }

    /// The name that the aliases of an answer lead to.
    fn last_alias(&self, answer: &Section) -> Name {
        let mut name = self.question.name;
        for _ in 0..answer.len() {
            let alias = answer.iter().find_map(|record| match &record.data {
                RData::Cname(target) if self.owner(record) == name => Some(target.resolve(&self.question.name)),
                _ => None,
            });
            match alias {
                Some(target) if self.question.record_type != T::CNAME => name = target,
                _ => break,
            }
        }
        name
    }

    /// Puts signatures behind a section, but for what belongs to other zones, and what has signatures.
    fn sign_section(&self, section: &mut Section, cuts: &[Name]) {
        let mut sets: Vec<(RecordSet, NameRef)> = Vec::new();
        let mut signed: Vec<(Name, RecordType)> = Vec::new();
        for record in section.iter() {
            let (owner, kind) = (self.owner(record), record.data.record_type());
            if let RData::Other(T::RRSIG, data) = &record.data {
                signed.extend(data.first_chunk().map(|kind| (owner, RecordType(crate::wire::octets_of_short(*kind)))));
                continue;
            }
            let data = record.clone().spelled_out(&self.question.name).data.to_wire();
            let same = |(set, _): &&mut (RecordSet, NameRef)| {
                set.record_type == kind && set.class == record.class && set.owner == owner
            };
            match sets.iter_mut().find(same) {
                Some((set, _)) => set.data.push(data),
                None => {
                    let set =
                        RecordSet { owner, class: record.class, record_type: kind, ttl: record.ttl, data: vec![data] };
                    sets.push((set, record.owner.clone()));
                }
            }
        }
        for (set, owner) in sets {
            let is_others = |cut: &Name| {
                set.owner.is_within(cut) && !(set.owner == *cut && matches!(set.record_type, T::DS | T::NSEC))
            };
            if cuts.iter().any(is_others) || signed.contains(&(set.owner, set.record_type)) {
                continue;
            }
            let Some(zone) = self.signer.zone_of(&set.owner) else { continue };
            let (ttl, class) = (set.ttl, set.class);
            for data in self.signer.signatures(set, zone, self.now, self.metrics).iter() {
                let data = RData::Other(T::RRSIG, Arc::clone(data));
                section.push(Record { owner: owner.clone(), class, ttl, data });
            }
        }
    }
}

fn denial(owner: Name, ttl: u32, types: &mut [RecordType]) -> Record {
    let data = nsec(&after(&owner), types);
    Record::new(owner.into(), ttl, RData::Other(T::NSEC, data.into()))
}
