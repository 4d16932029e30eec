//! Name and type → records, from the copy alone. What must be asked of others is said, not asked.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Instant,
};

use super::{
    Bounds, Mirror,
    found::{Finder, Found, LOOKED, Missing},
    service::Host,
};
use crate::wire::{Name, NameRef, Prefix, RData, Record, RecordType, Soa};

/// TTL and MINIMUM of the SOA, seconds.
const SOA_TTL: u32 = 30;
/// How many aliases may stand behind one another.
const CHAIN: usize = 11;
/// How many names one question may lead to, all aliases together.
const NAMES: usize = 500;
/// More records than any message can hold: one that has as many is cut all the same.
const RECORDS: usize = 6000;

const NS_DNS: Prefix = Prefix::Fixed(b"\x02ns\x03dns");
const HOSTMASTER: Prefix = Prefix::Fixed(b"\x0ahostmaster");

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// What leases may say for TTLs.
    pub leases: Bounds,
    /// The zone's own name has the addresses below `apex.dns` and no others.
    pub no_apex_fallback: bool,
}

/// What stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A record.
    Record(Record),
    /// What the server says of a name that is not of the zone.
    Elsewhere {
        /// The name.
        name: Name,
        /// The type.
        kind: RecordType,
        /// With the aliases on the way.
        aliases: bool,
    },
}

/// The answer to a question.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Records; none = there is no data of this type.
    Here {
        /// The answer section.
        answer: Vec<Item>,
        /// The additional section.
        additional: Vec<Item>,
    },
    /// There is no such name.
    Nowhere,
    /// What there is is of no use.
    Broken(String),
}

/// The SOA of a zone that stands `above` labels up from the question.
pub fn soa(mirror: &Mirror, above: usize) -> Record {
    let tail = above as u8;
    let data = RData::Soa(Soa {
        mname: NameRef::Under(NS_DNS, tail),
        rname: NameRef::Under(HOSTMASTER, tail),
        serial: mirror.serial(),
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: SOA_TTL,
    });
    Record::new(NameRef::Tail(tail), SOA_TTL, data)
}

/// Answers a question for a name of a zone.
pub fn answer(mirror: &Mirror, policy: &Policy, zone: &Name, name: &Name, kind: RecordType, now: Instant) -> Answer {
    let records = mirror.records();
    let finder =
        Finder { root: &mirror.root, records: &records, bounds: policy.leases, now, budget: Cell::new(LOOKED) };
    let answering = Answering { finder, policy, zone, names: Cell::new(0) };
    let is_apex = name == zone;
    let only = |answer| (answer, Vec::new());
    let result = match kind {
        RecordType::A | RecordType::AAAA | RecordType::TXT => {
            answering.chain(name, &NameRef::QUESTION, kind, &mut Vec::new()).map(only)
        }
        RecordType::CNAME => answering.alias(name).map(only),
        RecordType::PTR => answering.pointers(name).map(only),
        RecordType::SRV => answering.services(name),
        RecordType::MX => answering.mail(name),
        RecordType::SOA => {
            let above = name.labels_above(zone).unwrap_or_default();
            Ok(only(vec![Item::Record(soa(mirror, above))]))
        }
        RecordType::NS if is_apex => answering.name_servers(),
        // Whether there is anything tells NODATA from NXDOMAIN.
        _ => answering.found_or_apex(name, RecordType::A).map(|_| (Vec::new(), Vec::new())),
    };
    match result {
        Ok((answer, additional)) => Answer::Here { answer, additional },
        Err(Missing::Nowhere) => Answer::Nowhere,
        Err(Missing::Broken(text)) => Answer::Broken(text),
    }
}

type Sections = (Vec<Item>, Vec<Item>);

struct Answering<'a> {
    finder: Finder<'a>,
    policy: &'a Policy,
    zone: &'a Name,
    /// How many names have been looked for.
    names: Cell<usize>,
}

impl<'a> Answering<'a> {
    fn found(&self, name: &Name, kind: RecordType, exact: bool) -> Result<Vec<Found<'a>>, Missing> {
        self.names.set(self.names.get() + 1);
        let above = name.labels_above(self.zone).ok_or(Missing::Nowhere)?;
        self.finder.services(name, above, kind, exact)
    }

    /// The zone's own name has its addresses below `apex.dns`, or else wherever in the zone.
    fn found_or_apex(&self, name: &Name, kind: RecordType) -> Result<Vec<Found<'a>>, Missing> {
        if name != self.zone {
            return self.found(name, kind, false);
        }
        let apex = below([b"apex", b"dns"], self.zone);
        match apex.ok_or(Missing::Nowhere).and_then(|apex| self.found(&apex, kind, false)) {
            Err(Missing::Nowhere) if !self.policy.no_apex_fallback => self.found(name, kind, false),
            found => found,
        }
    }

    /// Addresses or texts, and those that aliases lead to. `behind` has the targets of the aliases that lead here.
    fn chain(
        &self,
        name: &Name,
        owner: &NameRef,
        kind: RecordType,
        behind: &mut Vec<Name>,
    ) -> Result<Vec<Item>, Missing> {
        let found = match kind {
            RecordType::TXT => self.found(name, kind, false)?,
            _ => self.found_or_apex(name, kind)?,
        };
        let mut items: Vec<Item> = Vec::new();
        let (mut addresses, mut texts) = (HashSet::new(), HashSet::new());
        for found in found {
            if items.len() > RECORDS {
                break;
            }
            let record = |data| Item::Record(Record::new(owner.clone(), found.ttl, data));
            match (&found.service.host, &*found.service.text) {
                (Host::Address(address), _) => {
                    let data = RData::address(*address);
                    if data.record_type() == kind && addresses.insert(*address) {
                        items.push(record(data));
                    }
                }
                (Host::Name(_), "") => {
                    let Some(target) = found.service.host.name() else { continue };
                    // A name finds all that stands below it: what leads there is a circle.
                    if target.is_within(name) || behind.contains(&target) || behind.len() >= CHAIN {
                        continue;
                    }
                    let alias = record(RData::Cname(target.into()));
                    if !target.is_within(self.zone) {
                        items.extend([alias, Item::Elsewhere { name: target, kind, aliases: true }]);
                        continue;
                    }
                    if self.names.get() >= NAMES {
                        continue;
                    }
                    behind.push(target);
                    let more = self.chain(&target, &target.into(), kind, behind);
                    behind.pop();
                    if let Some(more) = more.ok().filter(|more| !more.is_empty()) {
                        items.push(alias);
                        items.extend(more);
                    }
                }
                (_, "") => {}
                (_, text) => {
                    if kind == RecordType::TXT && texts.insert(text) {
                        items.push(record(RData::Txt(strings(text).into())));
                    }
                }
            }
        }
        Ok(items)
    }

    fn alias(&self, name: &Name) -> Result<Vec<Item>, Missing> {
        let found = self.found(name, RecordType::CNAME, true)?;
        let alias = found.first().and_then(|found| Some((found.ttl, found.service.host.name()?)));
        Ok(alias.map(|(ttl, target)| of_question(ttl, RData::Cname(target.into()))).into_iter().collect())
    }

    fn pointers(&self, name: &Name) -> Result<Vec<Item>, Missing> {
        let mut items = Vec::new();
        for found in self.found(name, RecordType::PTR, true)? {
            if let Some(target) = found.service.host.name() {
                items.push(of_question(found.ttl, RData::Ptr(target.into())));
            }
        }
        Ok(items)
    }

    fn services(&self, name: &Name) -> Result<Sections, Missing> {
        let found = self.found(name, RecordType::SRV, false)?;
        let mut weights: HashMap<i64, i64> = HashMap::new();
        for found in &found {
            let weight = if found.service.weight == 0 { 100 } else { found.service.weight };
            let sum = weights.entry(found.priority).or_default();
            *sum = sum.saturating_add(weight);
        }
        let (mut answer, mut glue) = (Vec::new(), Glue::default());
        let mut seen: HashSet<(Name, u16)> = HashSet::new();
        for found in found.into_iter().filter(|found| found.service.port != -1).take(RECORDS) {
            let Some(target) = self.target(&found) else { continue };
            let sum = weights.get(&found.priority).copied().unwrap_or(100);
            let (priority, port) = (found.priority as u16, found.service.port as u16);
            if !found.is_at_address() || seen.insert((target, port)) {
                let weight = share(found.service.weight, sum);
                let data = RData::Srv { priority, weight, port, target: target.into() };
                answer.push(of_question(found.ttl, data));
            }
            self.add_glue(&mut glue, &found, target);
        }
        Ok((answer, glue.items))
    }

    fn mail(&self, name: &Name) -> Result<Sections, Missing> {
        let (mut answer, mut glue) = (Vec::new(), Glue::default());
        let mut seen: HashSet<(Name, u16)> = HashSet::new();
        for found in self.found(name, RecordType::MX, false)?.into_iter().filter(|found| found.service.mail) {
            let Some(exchange) = self.target(&found) else { continue };
            let preference = found.priority as u16;
            if !found.is_at_address() || seen.insert((exchange, preference)) {
                answer.push(of_question(found.ttl, RData::Mx { preference, exchange: exchange.into() }));
            }
            self.add_glue(&mut glue, &found, exchange);
        }
        Ok((answer, glue.items))
    }

    /// The services below `ns.dns` are the zone's name servers.
    fn name_servers(&self) -> Result<Sections, Missing> {
        let own = below([b"ns", b"dns"], self.zone).ok_or(Missing::Nowhere)?;
        let (mut answer, mut additional, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for found in self.found(&own, RecordType::NS, false)? {
            let address = match &found.service.host {
                Host::Address(address) => *address,
                // What has a text as well is passed over, as in CoreDNS.
                Host::Name(text) if found.service.text.is_empty() => {
                    return Err(Missing::Broken(format!("NS record must be an IP address: {text}")));
                }
                _ => continue,
            };
            let Some(target) = self.target(&found) else { continue };
            additional.push(Item::Record(Record::new(target.into(), found.ttl, RData::address(address))));
            if !seen.contains(&target) {
                seen.push(target);
                answer.push(of_question(found.ttl, RData::Ns(target.into())));
            }
        }
        Ok((answer, additional))
    }

    /// What other records call a service: the host's name, or its own if the host is an address.
    fn target(&self, found: &Found<'_>) -> Option<Name> {
        let name = match &found.service.host {
            Host::Name(_) if !found.service.text.is_empty() => return None,
            Host::Address(_) => self.finder.root.name(found.key)?,
            _ => found.service.host.name()?,
        };
        let strip = usize::try_from(found.service.strip).unwrap_or(0);
        Some(if strip < name.label_count() { name.parent(strip) } else { name })
    }

    /// The addresses of a target.
    fn add_glue(&self, glue: &mut Glue, found: &Found<'_>, target: Name) {
        if let Host::Address(address) = found.service.host {
            let record = Record::new(target.into(), found.ttl, RData::address(address));
            if glue.addresses.insert((target, address)) {
                glue.items.push(Item::Record(record));
            }
            return;
        }
        if !glue.names.insert(target) {
            return;
        }
        if !target.is_within(self.zone) {
            let elsewhere = |kind, aliases| Item::Elsewhere { name: target, kind, aliases };
            glue.items.extend([elsewhere(RecordType::A, true), elsewhere(RecordType::AAAA, false)]);
        } else if self.names.get() < NAMES {
            glue.items.extend(self.chain(&target, &target.into(), RecordType::A, &mut Vec::new()).unwrap_or_default());
        }
    }
}

#[derive(Default)]
struct Glue {
    items: Vec<Item>,
    addresses: HashSet<(Name, IpAddr)>,
    names: HashSet<Name>,
}

const fn of_question(ttl: u32, data: RData) -> Item {
    Item::Record(Record::of_question(ttl, data))
}

fn below(labels: [&[u8]; 2], zone: &Name) -> Option<Name> {
    Name::under(labels, zone).ok()
}

/// The part of a hundred that a weight is of all of one priority.
fn share(weight: i64, sum: i64) -> u16 {
    let weight = if weight == 0 { 100 } else { weight };
    let part = 100. / sum as f64 * weight as f64;
    (part.floor() as u16).max(1)
}

/// A text as character strings of at most 255 octets, `\DDD` and `\X` being one octet each, as in zone files.
fn strings(text: &str) -> Vec<Box<[u8]>> {
    let octets = text.as_bytes();
    let parts = octets.chunks(255).map(|part| unescaped(part).into());
    let parts: Vec<Box<[u8]>> = parts.collect();
    if parts.is_empty() { vec![Box::default()] } else { parts }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first != b'\\' {
            octets.push(first);
            continue;
        }
        let digits = behind.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        match (digits, behind.split_first()) {
            (Some(digits), _) => {
                let number = digits.iter().fold(0u16, |number, digit| number * 10 + u16::from(digit - b'0'));
                octets.push(number as u8);
                rest = &behind[3..];
            }
            (None, Some((&character, behind))) => {
                octets.push(character);
                rest = behind;
            }
            (None, None) => {}
        }
    }
    octets
}
