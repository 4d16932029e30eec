//! The cluster as it is seen from outside: services by the addresses and names that lead there from elsewhere.

use std::{cell::RefCell, collections::HashSet, net::IpAddr};

use smallvec::SmallVec;

use super::{
    answer::{Asking, EndpointFilter, Policy, PortFilter, empty, fits, live},
    grammar::reverse_address,
    index::Index,
    object::{External, Service, ServiceKind, dashed},
};
use crate::{
    versions::Seen,
    wire::{Name, NameRef, Origin, Prefix, Question, RData, Rcode, Record, RecordType, Response, Section, Soa},
};

/// How services are shown outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// The label below which the zone's own names stand, in lower case.
    pub apex: Box<[u8]>,
    /// Seconds for which addresses may be kept.
    pub ttl: u32,
    /// Services without a cluster address are shown with their endpoints.
    pub headless: bool,
    /// The zone of the names that addresses have.
    pub primary: Name,
}

/// What is known outside about a question.
#[derive(Debug)]
pub enum Answer {
    /// This.
    Here(Response),
    /// The name does not exist: NXDOMAIN, unless there is somebody else to ask.
    Nowhere,
    /// An alias for a name that somebody else knows.
    Alias {
        /// The CNAME record.
        record: Record,
        /// Where it leads.
        target: Name,
    },
    /// SRV records, some of which lead to names whose addresses somebody else knows.
    Targets {
        /// The records so far.
        response: Response,
        /// The names.
        names: Vec<Name>,
    },
}

/// Answers a question for `zone`, which holds it.
pub fn answer(index: &Index, policy: &Policy, outside: &Outside, zone: &Name, question: &Question) -> Answer {
    let Some(above) = question.name.labels_above(zone) else { return Answer::Nowhere };
    // Nobody gives these answers again unasked.
    let seen = RefCell::default();
    let view = View { index, policy, outside, asking: Asking::local(index, policy, above, &seen), above };
    view.answer(question)
}

/// The answer that a name does not exist, or (SERVFAIL) that nobody can say so.
pub fn denial(index: &Index, outside: &Outside, zone: &Name, question: &Question, rcode: Rcode) -> Response {
    let above = question.name.labels_above(zone).unwrap_or(0);
    empty(soa(index, outside, above), rcode)
}

fn soa(index: &Index, outside: &Outside, above: usize) -> Record {
    let tail = above as u8;
    let below = |label: &[u8]| NameRef::Under(Prefix::of([label, &outside.apex]), tail);
    let serial = match outside.headless {
        // The addresses of endpoints are shown too.
        true => index.local.external_serial().max(index.local.serial(&mut Seen::default())),
        false => index.local.external_serial(),
    };
    let data = RData::Soa(Soa {
        mname: below(b"ns1"),
        rname: below(b"hostmaster"),
        serial,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: outside.ttl,
    });
    Record::new(NameRef::Tail(tail), outside.ttl, data)
}

/// Everything that one answer needs.
struct View<'a> {
    index: &'a Index,
    policy: &'a Policy,
    outside: &'a Outside,
    asking: Asking<'a>,
    /// Labels of the question left of the zone.
    above: usize,
}

/// Where a service is reached: the unit that weights are counted in.
struct Entry {
    host: Host,
    port: Option<u16>,
}

enum Host {
    /// An address, and the labels of its name for SRV.
    Address(IpAddr, Prefix),
    Name(Name),
}

impl View<'_> {
    fn answer(&self, question: &Question) -> Answer {
        let kind = question.record_type;
        if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return Answer::Here(Response { origin: Origin::Live, ..Response::new(Rcode::REFUSED) });
        }
        let name = question.name.to_lowercase();
        let labels: SmallVec<[&[u8]; 6]> = name.labels().take(self.above).collect();
        match labels.as_slice() {
            [] => return Answer::Here(self.apex(kind)),
            [own @ .., apex] if **apex == *self.outside.apex => return Answer::Here(self.below_apex(own, kind)),
            _ => {}
        }
        if kind == RecordType::PTR
            && let Some(address) = reverse_address(&name)
        {
            return self.reverse(address);
        }
        match self.find(&labels) {
            None => Answer::Nowhere,
            Some(entries) => self.records(&entries, kind),
        }
    }

    fn no_data(&self, rcode: Rcode) -> Response {
        empty(soa(self.index, self.outside, self.above), rcode)
    }

    fn apex(&self, kind: RecordType) -> Response {
        match kind {
            RecordType::SOA => live(Section::from_iter([soa(self.index, self.outside, self.above)]), Section::new()),
            RecordType::NS => {
                let target = NameRef::Under(Prefix::of([b"ns1", &*self.outside.apex]), self.above as u8);
                let glue = self.own_addresses().into_iter();
                let glue = glue.map(|ip| Record::new(target.clone(), self.outside.ttl, RData::address(ip))).collect();
                let record = Record::of_question(self.outside.ttl, RData::Ns(target.clone()));
                live(Section::from_iter([record]), glue)
            }
            _ => self.no_data(Rcode::NOERROR),
        }
    }

    /// The zone's own names: there is `ns1` and nothing else.
    fn below_apex(&self, own: &[&[u8]], kind: RecordType) -> Response {
        match own {
            [] => self.no_data(Rcode::NOERROR),
            [b"ns1"] => {
                let own = self.own_addresses().into_iter().filter(|&address| fits(address, kind));
                let answer: Section = own.map(|ip| Record::of_question(self.outside.ttl, RData::address(ip))).collect();
                if answer.is_empty() { self.no_data(Rcode::NOERROR) } else { live(answer, Section::new()) }
            }
            _ => self.no_data(Rcode::NXDOMAIN),
        }
    }

    /// The addresses of this server as they are outside: those of the services in front of it. A server that no service
    /// leads to is asked at its own.
    fn own_addresses(&self) -> Vec<IpAddr> {
        let own = &self.policy.own_addresses;
        let slices: Vec<_> =
            own.iter().flat_map(|&address| self.index.local.slices_of(address, &mut Seen::default())).collect();
        if slices.is_empty() {
            return own.clone();
        }
        let mut found = Vec::new();
        for slice in slices {
            let service = self.index.local.service(
                slice.service.namespace().as_bytes(),
                slice.service.name().as_bytes(),
                &mut Seen::default(),
            );
            match service {
                Some(service) if self.outside.headless && service.kind == ServiceKind::Headless => {
                    found.extend(slice.endpoints.addresses());
                }
                Some(service) => found.extend(addresses(&service)),
                None => {}
            }
        }
        let mut seen = HashSet::new();
        found.retain(|&address| seen.insert(address));
        found
    }

    /// The services that an address leads to.
    fn reverse(&self, address: IpAddr) -> Answer {
        let visible = |service: &Service| {
            self.policy.namespaces.is_empty() || self.policy.namespaces.contains(service.key.namespace().as_bytes())
        };
        let services = self.index.local.services_at(address);
        let records = services.iter().filter(|service| visible(service)).map(|service| {
            let name = NameRef::Under(labels(service), 0).resolve(&self.outside.primary);
            Record::of_question(self.outside.ttl, RData::Ptr(name.into()))
        });
        let answer: Section = records.collect();
        if answer.is_empty() { Answer::Nowhere } else { Answer::Here(live(answer, Section::new())) }
    }

    /// What a name stands for: nothing to show for a namespace, `None` if it does not exist.
    fn find(&self, labels: &[&[u8]]) -> Option<Vec<Entry>> {
        let bare = |label: &[u8]| SmallVec::from_slice(label.strip_prefix(b"_").unwrap_or(label));
        let (left, service, namespace) = match labels {
            [namespace] => return self.asking.exposed(namespace).then(Vec::new),
            [left @ .., service, namespace] if left.len() <= 2 => (left, *service, *namespace),
            _ => return None,
        };
        if !self.asking.exposed(namespace) {
            return None;
        }
        let service = self.index.local.service(namespace, service, &mut Seen::default())?;
        let (endpoint, ports) = match left {
            [endpoint] => (Some(bare(endpoint)), PortFilter::default()),
            [port, protocol] => {
                let short = |label: &[u8]| SmallVec::from_slice(label.strip_prefix(b"_").unwrap_or(label));
                (None, PortFilter { port: short(port), protocol: short(protocol) })
            }
            _ => (None, PortFilter::default()),
        };
        let entries = match &service.external {
            // Whatever stands left of a service with addresses of its own is not looked at, as in CoreDNS.
            Some(external) => outer(&service, external, &ports),
            None if self.outside.headless && (service.kind == ServiceKind::Headless || endpoint.is_some()) => {
                let filter = endpoint.map_or(EndpointFilter::All, |name| EndpointFilter::Named(name, None));
                self.endpoints(&service, &filter, &ports)
            }
            None => Vec::new(),
        };
        (!entries.is_empty()).then_some(entries)
    }

    fn endpoints(&self, service: &Service, filter: &EndpointFilter, ports: &PortFilter) -> Vec<Entry> {
        let slices = self.index.local.slices(
            service.key.namespace().as_bytes(),
            service.key.name().as_bytes(),
            &mut Seen::default(),
        );
        let entries = self.asking.entries(&slices, filter, ports).map(|entry| {
            let address = entry.endpoint.address;
            let known = self.asking.known_name(entry.endpoint);
            let name = known.map_or_else(|| dashed(&address.to_string()), str::to_owned);
            let labels = Prefix::of([&name, service.key.name(), service.key.namespace()].map(str::as_bytes));
            Entry { host: Host::Address(address, labels), port: entry.port }
        });
        entries.collect()
    }

    fn records(&self, entries: &[Entry], kind: RecordType) -> Answer {
        match kind {
            RecordType::A | RecordType::AAAA | RecordType::CNAME => self.addresses_or_alias(entries, kind),
            RecordType::SRV => self.services(entries),
            _ => Answer::Here(self.no_data(Rcode::NOERROR)),
        }
    }

    /// A name has addresses or one alias, not both and not two (RFC 2181 section 10.1).
    fn addresses_or_alias(&self, entries: &[Entry], kind: RecordType) -> Answer {
        let mut seen = HashSet::new();
        let addresses = entries.iter().filter_map(|entry| match entry.host {
            Host::Address(address, _) => (fits(address, kind) && seen.insert(address)).then_some(address),
            Host::Name(_) => None,
        });
        let answer: Section = addresses.map(|ip| Record::of_question(self.outside.ttl, RData::address(ip))).collect();
        if !answer.is_empty() {
            return Answer::Here(live(answer, Section::new()));
        }
        let only_names = entries.iter().all(|entry| matches!(entry.host, Host::Name(_)));
        let Some(Entry { host: Host::Name(target), .. }) = entries.first().filter(|_| only_names) else {
            return Answer::Here(self.no_data(Rcode::NOERROR));
        };
        let record = Record::of_question(self.policy.ttl, RData::Cname((*target).into()));
        if kind == RecordType::CNAME {
            return Answer::Here(live(Section::from_iter([record]), Section::new()));
        }
        Answer::Alias { record, target: *target }
    }

    /// SRV records. The weight is counted over all entries, those too that turn out to be alike (as CoreDNS).
    fn services(&self, entries: &[Entry]) -> Answer {
        let weight = (100 / entries.len().max(1)).max(1) as u16;
        let tail = self.above as u8;
        let (mut answer, mut additional, mut names) = (Section::new(), Section::new(), Vec::new());
        let mut seen = HashSet::new();
        let mut glued = HashSet::new();
        for Entry { host, port } in entries {
            let Some(port) = *port else { continue };
            let target = match host {
                Host::Address(_, labels) => NameRef::Under(labels.clone(), tail),
                Host::Name(name) => NameRef::from(*name),
            };
            let key = match host {
                Host::Address(_, labels) => labels.wire(),
                Host::Name(name) => name.wire(),
            };
            if seen.insert((key, port)) {
                let data = RData::Srv { priority: 0, weight, port, target: target.clone() };
                answer.push(Record::of_question(self.policy.ttl, data));
            }
            match host {
                Host::Address(address, _) if glued.insert((key, *address)) => {
                    additional.push(Record::new(target, self.outside.ttl, RData::address(*address)));
                }
                Host::Name(name) if !names.contains(name) => names.push(*name),
                _ => {}
            }
        }
        if answer.is_empty() {
            return Answer::Here(self.no_data(Rcode::NOERROR));
        }
        let response = live(answer, additional);
        if names.is_empty() { Answer::Here(response) } else { Answer::Targets { response, names } }
    }
}

fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    service.external.iter().flat_map(|external| external.addresses.iter().copied())
}

/// The labels of a service's name outside.
fn labels(service: &Service) -> Prefix {
    Prefix::of([service.key.name().as_bytes(), service.key.namespace().as_bytes()])
}

/// Each address and name of a service with each of its ports that match.
fn outer(service: &Service, external: &External, ports: &PortFilter) -> Vec<Entry> {
    let labels = labels(service);
    let numbers: SmallVec<[Option<u16>; 4]> =
        service.ports.iter().filter(|port| ports.takes(port)).map(|port| port.number).collect();
    let each = |host: &dyn Fn() -> Host| -> SmallVec<[Entry; 4]> {
        numbers.iter().map(|&port| Entry { host: host(), port }).collect()
    };
    let mut entries = Vec::new();
    for &address in &external.addresses {
        entries.extend(each(&|| Host::Address(address, labels.clone())));
    }
    // What a load balancer calls a name and is none leads nowhere.
    for name in external.names.iter().filter_map(|name| Name::parse(name).ok()) {
        entries.extend(each(&|| Host::Name(name)));
    }
    entries
}
