use super::{
    key::{Key, key_of, push},
    tree::{Node, Zone},
};
use crate::wire::{Name, NameRef, Question, RData, Rcode, Record, RecordType, Section};

/// How many aliases of the zone are followed.
const ALIASES: usize = 10;

/// What a zone knows of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it amounts to.
    pub outcome: Outcome,
    /// The sections.
    pub answer: Section,
    #[allow(missing_docs, reason = "as above")]
    pub authority: Section,
    #[allow(missing_docs, reason = "as above")]
    pub additional: Section,
    /// The answer comes from a wildcard: its name.
    pub wildcard: Option<Name>,
}

/// What an answer amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Records of the type that was asked for, or an alias that was itself asked for.
    Data,
    /// The name is there, the type is not.
    NoData,
    /// The name is there only because names below it are (RFC 4592 section 2.2.2).
    Empty,
    /// There is no such name.
    NoName,
    /// The name is below a cut; the authority section says who knows.
    Referral,
    /// An alias leads out of the zone to this name.
    Elsewhere(Box<Name>),
    /// An alias leads to itself, or DNAME makes a name that is too long.
    Failure(Rcode),
}

impl Found {
    /// Whether there is nothing that another source could not add to: no name, no alias to it.
    pub fn is_nowhere(&self) -> bool {
        matches!(self.outcome, Outcome::NoName | Outcome::Empty) && self.answer.is_empty()
    }

    /// The response code that goes with it.
    pub const fn rcode(&self) -> Rcode {
        match self.outcome {
            Outcome::NoName => Rcode::NXDOMAIN,
            Outcome::Failure(rcode) => rcode,
            _ => Rcode::NOERROR,
        }
    }

    /// AA: we know the first name of the answer ourselves (RFC 1034 section 6.2).
    pub fn is_authoritative(&self) -> bool {
        match self.outcome {
            Outcome::Referral => !self.answer.is_empty(),
            Outcome::Failure(rcode) => rcode != Rcode::SERVFAIL,
            _ => true,
        }
    }
}

/// Where a name is in a zone.
enum Spot<'z> {
    Exact(&'z Node),
    /// A name below a cut, or the cut itself.
    Cut(Key, &'z Node),
    /// A name below one with DNAME, `depth` labels above the apex.
    Redirected(usize, &'z Node),
    /// Nothing but names below it.
    Empty,
    /// Made from `*` below a name of so many labels above the apex.
    Wildcard(usize, &'z Node),
    /// The same, `*` being an empty name.
    EmptyWildcard,
    Nowhere(usize),
}

impl Zone {
    /// Answers a question for a name in the zone (RFC 1034 section 4.3.2). `dnssec`: with signatures and denials.
    pub fn lookup(&self, question: &Question, dnssec: bool) -> Found {
        let mut lookup = Lookup { zone: self, question, dnssec, found: Found::new() };
        let outcome = lookup.follow();
        let mut found = lookup.found;
        found.outcome = outcome;
        found
    }

    /// The records of a type at the top of the zone, for an answer to a question.
    pub fn apex(&self, question: &Question, record_type: RecordType, dnssec: bool) -> Section {
        let mut lookup = Lookup { zone: self, question, dnssec, found: Found::new() };
        lookup.apex(record_type);
        lookup.found.authority
    }

    fn spot(&self, name: &Name, above: usize, record_type: RecordType) -> Spot<'_> {
        if self.has_cuts {
            for depth in 0..=above {
                let key = key_of(name, above, depth);
                let Some(node) = self.node(&key) else { continue };
                // DS belongs to the parent's side of a cut (RFC 4035 section 3.1.4.1).
                if depth > 0 && node.has(RecordType::NS) && !(depth == above && record_type == RecordType::DS) {
                    return Spot::Cut(key, node);
                }
                if depth < above && node.has(RecordType::DNAME) {
                    return Spot::Redirected(depth, node);
                }
            }
        }
        let key = key_of(name, above, above);
        if let Some(node) = self.node(&key) {
            return Spot::Exact(node);
        }
        if self.reaches(&key) {
            return Spot::Empty;
        }
        // RFC 4592 section 3.3.1: only the wildcard right below the closest encloser counts.
        let encloser = (0..above).rev().find(|&depth| depth == 0 || self.reaches(&key_of(name, above, depth)));
        let depth = encloser.unwrap_or_default();
        let mut star = key_of(name, above, depth);
        push(&mut star, b"*");
        match self.node(&star) {
            Some(node) => Spot::Wildcard(depth, node),
            None if self.reaches(&star) => Spot::EmptyWildcard,
            None => Spot::Nowhere(depth),
        }
    }
}

impl Found {
    fn new() -> Self {
        let (answer, authority, additional) = (Section::new(), Section::new(), Section::new());
        Self { outcome: Outcome::NoName, answer, authority, additional, wildcard: None }
    }
}

struct Lookup<'z> {
    zone: &'z Zone,
    question: &'z Question,
    dnssec: bool,
    found: Found,
}

impl<'z> Lookup<'z> {
    /// Goes from alias to alias.
    fn follow(&mut self) -> Outcome {
        let mut seen = vec![self.question.name];
        loop {
            let name = seen[seen.len() - 1];
            let Some(above) = name.labels_above(self.zone.origin()) else { return Outcome::Elsewhere(name.into()) };
            let owner = self.refer(&name);
            let target = match self.zone.spot(&name, above, self.question.record_type) {
                Spot::Exact(node) => match self.here(node, &owner, &name, above) {
                    Ok(outcome) => return outcome,
                    Err(target) => *target,
                },
                Spot::Wildcard(depth, node) => {
                    self.found.wildcard = Some(name.parent(above - depth));
                    match self.here(node, &owner, &name, above) {
                        Ok(outcome) => return outcome,
                        Err(target) => *target,
                    }
                }
                Spot::Redirected(depth, node) => match self.redirect(node, &owner, &name, above - depth) {
                    Ok(target) => target,
                    Err(outcome) => return outcome,
                },
                Spot::Cut(key, node) => return self.refer_down(key, node, &name, above),
                Spot::Empty | Spot::EmptyWildcard => {
                    self.deny(&[key_of(&name, above, above)]);
                    return Outcome::Empty;
                }
                Spot::Nowhere(depth) => {
                    let mut star = key_of(&name, above, depth);
                    push(&mut star, b"*");
                    self.deny(&[key_of(&name, above, above), star]);
                    return Outcome::NoName;
                }
            };
            if target == name {
                return Outcome::Failure(Rcode::SERVFAIL);
            }
            // A circle, or a chain without end, is answered with what there is of it.
            if seen.contains(&target) || seen.len() > ALIASES {
                self.name_servers();
                return Outcome::Data;
            }
            seen.push(target);
        }
    }

    /// Answers from the records of a name; the target if it is an alias to go on from.
    fn here(&mut self, node: &'z Node, owner: &NameRef, name: &Name, above: usize) -> Result<Outcome, Box<Name>> {
        let wanted = self.question.record_type;
        if node.has(RecordType::CNAME) && !matches!(wanted, RecordType::CNAME | RecordType::NSEC | RecordType::RRSIG) {
            self.answer(node, owner, RecordType::CNAME);
            let target = node.data(RecordType::CNAME).next().and_then(|data| Name::from_wire(data).ok());
            return Err(target.unwrap_or(*name).into());
        }
        if !node.has(wanted) || wanted == RecordType::ANY {
            self.deny(&[key_of(name, above, above)]);
            return Ok(Outcome::NoData);
        }
        self.answer(node, owner, wanted);
        if self.found.wildcard.is_some() && self.dnssec {
            // RFC 4035 section 3.1.3.3: that there is no closer name.
            self.cover(&key_of(name, above, above));
        }
        self.targets(node, wanted);
        match (wanted, above) {
            (RecordType::NS, 0) => {}
            _ => self.name_servers(),
        }
        Ok(Outcome::Data)
    }

    /// RFC 6672 section 3.2: the DNAME, and an alias made from it.
    fn redirect(&mut self, node: &'z Node, owner: &NameRef, name: &Name, labels: usize) -> Result<Name, Outcome> {
        let source = self.refer(&name.parent(labels));
        self.answer(node, &source, RecordType::DNAME);
        let target = node.data(RecordType::DNAME).next().and_then(|data| Name::from_wire(data).ok());
        let Some(made) = target.and_then(|target| Name::under(name.labels().take(labels), &target).ok()) else {
            return Err(Outcome::Failure(Rcode::YXDOMAIN));
        };
        let ttl = node.records(&source, RecordType::DNAME).next().map_or(0, |record| record.ttl);
        self.found.answer.push(Record::new(owner.clone(), ttl, RData::Cname(made.into())));
        Ok(made)
    }

    /// A referral (RFC 1034 section 4.3.2, step 3b), with the addresses of name servers below the cut.
    fn refer_down(&mut self, key: Key, node: &'z Node, name: &Name, above: usize) -> Outcome {
        let depth = (0..=above).find(|&depth| key_of(name, above, depth) == key).unwrap_or(above);
        let cut = name.parent(above - depth);
        let owner = self.refer(&cut);
        self.found.authority.extend(node.records(&owner, RecordType::NS));
        if self.dnssec {
            // Signed delegations say so, others prove that they are not (RFC 4035 section 3.1.4).
            let proof = if node.has(RecordType::DS) { RecordType::DS } else { RecordType::NSEC };
            self.found.authority.extend(node.records(&owner, proof));
            self.found.authority.extend(node.signatures(&owner, proof));
        }
        for data in node.data(RecordType::NS) {
            if let Some(target) = Name::from_wire(data).ok().filter(|target| target.is_within(&cut)) {
                self.addresses(&target);
            }
        }
        Outcome::Referral
    }

    fn answer(&mut self, node: &Node, owner: &NameRef, record_type: RecordType) {
        self.found.answer.extend(node.records(owner, record_type));
        if self.dnssec && record_type != RecordType::RRSIG {
            self.found.answer.extend(node.signatures(owner, record_type));
        }
    }

    /// The zone's NS in the authority section.
    fn name_servers(&mut self) {
        self.apex(RecordType::NS);
    }

    fn apex(&mut self, record_type: RecordType) {
        let owner = self.refer(self.zone.origin());
        if let Some(apex) = self.zone.node(&[]) {
            self.found.authority.extend(apex.records(&owner, record_type));
            if self.dnssec {
                self.found.authority.extend(apex.signatures(&owner, record_type));
            }
        }
    }

    /// The SOA in the authority section (RFC 2308), and the proof for each of these names.
    fn deny(&mut self, names: &[Key]) {
        self.apex(RecordType::SOA);
        if self.dnssec {
            names.iter().for_each(|key| self.cover(key));
        }
    }

    /// The NSEC record at or before a name.
    fn cover(&mut self, key: &Key) {
        if !self.zone.signed {
            return;
        }
        if let Some((name, node)) = self.zone.covering(key) {
            let owner = self.refer(&name);
            let records = node.records(&owner, RecordType::NSEC).chain(node.signatures(&owner, RecordType::NSEC));
            for record in records {
                if !self.found.authority.contains(&record) {
                    self.found.authority.push(record);
                }
            }
        }
    }

    /// The addresses of the names that records of these types point to.
    fn targets(&mut self, node: &Node, record_type: RecordType) {
        // Where in the data the name begins.
        let skip = match record_type {
            RecordType::NS => 0,
            RecordType::MX | RecordType::SVCB | RecordType::HTTPS => 2,
            RecordType::SRV => 6,
            _ => return,
        };
        for data in node.data(record_type) {
            let length = data.get(skip..).map(name_length).unwrap_or_default();
            if let Some(target) = data.get(skip..skip + length).and_then(|wire| Name::from_wire(wire).ok()) {
                self.addresses(&target);
            }
        }
    }

    fn addresses(&mut self, name: &Name) {
        let Some(above) = name.labels_above(self.zone.origin()) else { return };
        let Some(node) = self.zone.node(&key_of(name, above, above)) else { return };
        let owner = self.refer(name);
        for record_type in [RecordType::A, RecordType::AAAA] {
            let signatures = self.dnssec.then(|| node.signatures(&owner, record_type)).into_iter().flatten();
            for record in node.records(&owner, record_type).chain(signatures) {
                if !self.found.additional.contains(&record) {
                    self.found.additional.push(record);
                }
            }
        }
    }

    /// A name as the answer says it shortest: most are the question's, or end it.
    fn refer(&self, name: &Name) -> NameRef {
        match self.question.name.labels_above(name) {
            Some(skip) => NameRef::Tail(skip as u8),
            None => (*name).into(),
        }
    }
}

/// How long the uncompressed name is with which some octets begin.
fn name_length(data: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&length) = data.get(at).filter(|length| **length > 0) {
        at += 1 + usize::from(length);
    }
    at + 1
}
