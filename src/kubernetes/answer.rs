//! Lookup and index become records: what exists, what has no data, what is not there.

use std::{cell::RefCell, collections::HashSet, hash::Hash, net::IpAddr, sync::Arc};

use smallvec::SmallVec;

use super::{
    apex,
    grammar::{self, Dialect, Lookup, Part, ServiceName, pod_address, reverse_address},
    index::{Half, Index},
    object::{Endpoint, Port, Service, ServiceKind, Slice, dashed},
};
use crate::{
    versions::Seen,
    wire::{
        Body, Name, NameRef, Origin, Prefix, Question, RData, Rcode, Record, RecordType, Records, Response, Section,
        spare,
    },
};

/// How a cluster is answered: what the stanza says, as far as answers depend on it.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Seconds for which records may be kept.
    pub ttl: u32,
    /// Namespaces that are visible; empty = all.
    pub namespaces: HashSet<Box<[u8]>>,
    /// How pod names are answered.
    pub pods: PodMode,
    /// Endpoints without a host name are named after their pod.
    pub endpoint_pod_names: bool,
    /// ClusterIP services without a ready endpoint do not exist.
    pub ignore_empty: bool,
    /// Endpoints are not watched.
    pub no_endpoints: bool,
    /// `_zone` names exist.
    pub zonal: bool,
    /// Zones that are answered from imported services.
    pub multicluster: Vec<Name>,
    /// The suffix of reverse answers: the first zone that is not a reverse one.
    pub primary: Name,
    /// Addresses of this server, for NS.
    pub own_addresses: Vec<IpAddr>,
}

/// The `pods` property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PodMode {
    /// No pod name exists.
    #[default]
    Disabled,
    /// Any address is answered.
    Insecure,
    /// Only addresses of pods of the namespace.
    Verified,
}

/// What the cluster says to a question.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "an answer from memory costs no heap")]
pub enum Answer {
    /// This.
    Here(Response),
    /// The name does not exist: NXDOMAIN, unless there is somebody else to ask.
    Nowhere,
    /// The name is an alias for one that is not in the zone: somebody else must be asked for it. The records so far.
    Elsewhere {
        /// The chain of CNAME records.
        chain: Section,
        /// The last target.
        target: Name,
    },
}

/// The longest chain of aliases that is followed.
const LONGEST_CHAIN: usize = 11;

/// Everything that one answer needs.
pub(super) struct Asking<'a> {
    index: &'a Index,
    policy: &'a Policy,
    half: &'a Half,
    dialect: Dialect,
    /// Labels of the question left of the zone.
    above: usize,
    ttl: u32,
    /// What of the index has been read.
    seen: &'a RefCell<Seen>,
}

/// Answers a question for `zone`, which holds it, and notes what was read for it.
pub fn answer(index: &Index, policy: &Policy, zone: &Name, question: &Question, seen: &mut Seen) -> Answer {
    let Some(above) = question.name.labels_above(zone) else { return Answer::Nowhere };
    let multicluster = policy.multicluster.contains(zone);
    let read = RefCell::new(std::mem::take(seen));
    let asking = Asking {
        index,
        policy,
        half: if multicluster { &index.imported } else { &index.local },
        dialect: Dialect { multicluster, zonal: policy.zonal },
        above,
        ttl: policy.ttl,
        seen: &read,
    };
    let answer = asking.answer(zone, question);
    *seen = read.into_inner();
    answer
}

/// The SOA of a zone below which a question stands, for negative answers.
pub fn denial(
    index: &Index,
    policy: &Policy,
    zone: &Name,
    question: &Question,
    rcode: Rcode,
    seen: &mut Seen,
) -> Response {
    let above = question.name.labels_above(zone).unwrap_or(0);
    let half = if policy.multicluster.contains(zone) { &index.imported } else { &index.local };
    empty(apex::soa(above, policy.ttl, half.serial(seen)), rcode)
}

pub(super) fn empty(soa: Record, rcode: Rcode) -> Response {
    let mut authority = Section::new();
    authority.push(soa);
    let records = Records { authority, ..Records::default() };
    Response { authoritative: true, origin: Origin::Live, body: Body::Records(records), ..Response::new(rcode) }
}

pub(super) fn live(answer: Section, additional: Section) -> Response {
    let records = Records { answer, additional, ..Records::default() };
    Response {
        authoritative: true,
        origin: Origin::Live,
        body: Body::Records(records),
        ..Response::new(Rcode::NOERROR)
    }
}

/// What a name stands for.
enum Found {
    /// It exists and has no data.
    Empty,
    /// A service with addresses, and the ports that match.
    Service(Arc<Service>, PortFilter),
    /// Endpoints of these slices that match.
    Endpoints(SmallVec<[Arc<Slice>; 2]>, EndpointFilter, PortFilter),
    /// An alias.
    Alias(Arc<Service>),
    /// A pod.
    Pod(IpAddr),
}

/// Which ports match. Both labels in lower case; empty matches any.
#[derive(Clone, Default)]
pub(super) struct PortFilter {
    pub(super) port: SmallVec<[u8; 24]>,
    pub(super) protocol: SmallVec<[u8; 24]>,
}

impl PortFilter {
    pub(super) fn takes(&self, port: &Port) -> bool {
        let equal = |wanted: &[u8], found: &str| wanted.is_empty() || wanted == found.as_bytes();
        equal(&self.port, &port.name) && equal(&self.protocol, &port.protocol)
    }
}

/// Which endpoints match.
pub(super) enum EndpointFilter {
    All,
    Named(SmallVec<[u8; 64]>, Option<SmallVec<[u8; 64]>>),
    Zone(SmallVec<[u8; 64]>),
}

/// One address with one port of what was found: the unit that weights are counted in.
pub(super) struct Entry<'a> {
    pub(super) slice: &'a Slice,
    pub(super) endpoint: Endpoint<'a>,
    pub(super) port: Option<u16>,
}

impl<'a> Asking<'a> {
    /// For the names of this cluster's services, wherever they are shown.
    pub(super) fn local(index: &'a Index, policy: &'a Policy, above: usize, seen: &'a RefCell<Seen>) -> Self {
        Self { index, policy, half: &index.local, dialect: Dialect::default(), above, ttl: policy.ttl, seen }
    }
}

impl Asking<'_> {
    fn answer(&self, zone: &Name, question: &Question) -> Answer {
        let kind = question.record_type;
        if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return Answer::Here(Response { origin: Origin::Live, ..Response::new(Rcode::REFUSED) });
        }
        if kind == RecordType::SOA {
            return Answer::Here(self.soa());
        }
        let name = question.name.to_lowercase();
        if let Some(fixed) = self.fixed(&name, kind) {
            return fixed;
        }
        if kind == RecordType::PTR
            && let Some(address) = reverse_address(&name)
        {
            return self.reverse(address);
        }
        match self.find(&name) {
            None => Answer::Nowhere,
            Some(found) => self.records(&found, zone, question),
        }
    }

    fn zone_soa(&self) -> Record {
        apex::soa(self.above, self.ttl, self.half.serial(&mut self.seen.borrow_mut()))
    }

    fn no_data(&self) -> Answer {
        Answer::Here(empty(self.zone_soa(), Rcode::NOERROR))
    }

    fn or_no_data(&self, answer: Section, additional: Section) -> Answer {
        if answer.is_empty() { self.no_data() } else { Answer::Here(live(answer, additional)) }
    }

    /// The apex has an SOA; below it a question for one never has data, and never NXDOMAIN.
    fn soa(&self) -> Response {
        let soa = self.zone_soa();
        if self.above > 0 { empty(soa, Rcode::NOERROR) } else { live(Section::from_iter([soa]), Section::new()) }
    }

    /// Names that exist whatever the cluster holds.
    fn fixed(&self, name: &Name, kind: RecordType) -> Option<Answer> {
        let labels: SmallVec<[&[u8]; 3]> = name.labels().take(self.above.min(3)).collect();
        match (labels.as_slice(), kind) {
            ([], RecordType::NS) => {
                let (answer, additional) = apex::name_servers(
                    self.index,
                    &self.policy.own_addresses,
                    self.above,
                    self.ttl,
                    &mut self.seen.borrow_mut(),
                    |slice, endpoint| self.endpoint_labels(slice, endpoint),
                );
                Some(self.or_no_data(answer, additional))
            }
            ([b"dns-version"], RecordType::TXT) => {
                let record = Record::of_question(apex::VERSION_TTL, RData::text(apex::VERSION));
                Some(Answer::Here(live(Section::from_iter([record]), Section::new())))
            }
            ([b"ns", b"dns"], RecordType::A | RecordType::AAAA) => {
                let own = self.policy.own_addresses.iter().filter(|address| fits(**address, kind));
                let answer = own.map(|&address| Record::of_question(self.ttl, RData::address(address))).collect();
                Some(self.or_no_data(answer, Section::new()))
            }
            ([b"ns", b"dns"], RecordType::TXT) => Some(Answer::Nowhere),
            ([b"ns", b"dns"], _) => Some(self.no_data()),
            _ => None,
        }
    }

    pub(super) fn exposed(&self, namespace: &[u8]) -> bool {
        (self.policy.namespaces.is_empty() || self.policy.namespaces.contains(namespace))
            && self.index.has_namespace(namespace, &mut self.seen.borrow_mut())
    }

    fn find(&self, name: &Name) -> Option<Found> {
        match grammar::read(name, self.above, self.dialect) {
            Lookup::Structure => Some(Found::Empty),
            Lookup::Namespace { namespace, pod } => {
                let exists = !pod || self.policy.pods != PodMode::Disabled;
                (exists && self.exposed(namespace)).then_some(Found::Empty)
            }
            Lookup::Pod { namespace, label } => self.pod(namespace, label),
            Lookup::Service(service) if self.exposed(service.namespace) => self.service(&service),
            Lookup::Service(_) | Lookup::Nothing => None,
        }
    }

    fn pod(&self, namespace: &[u8], label: &[u8]) -> Option<Found> {
        if self.policy.pods == PodMode::Disabled || !self.exposed(namespace) {
            return None;
        }
        let address = pod_address(label)?;
        let known = self.policy.pods == PodMode::Insecure
            || self.index.has_pod(namespace, address, &mut self.seen.borrow_mut());
        known.then_some(Found::Pod(address))
    }

    fn service(&self, name: &ServiceName<'_>) -> Option<Found> {
        let service = self.half.service(name.namespace, name.service, &mut self.seen.borrow_mut())?;
        let ports = match &name.part {
            Part::Port { port, protocol } => {
                PortFilter { port: SmallVec::from_slice(port), protocol: SmallVec::from_slice(protocol) }
            }
            _ => PortFilter::default(),
        };
        match (&service.kind, &name.part) {
            (ServiceKind::External(target), Part::Whole) => {
                target.parse::<IpAddr>().is_err().then_some(Found::Alias(service))
            }
            (ServiceKind::External(_), _) => None,
            (ServiceKind::Addresses(addresses), part) => {
                if self.policy.ignore_empty
                    && !self.half.has_endpoint(name.namespace, name.service, &mut self.seen.borrow_mut())
                {
                    return None;
                }
                if let Part::Endpoint { .. } = part {
                    return self.endpoints(name, PortFilter::default());
                }
                let matches = !matches!(part, Part::Zonal { .. }) && service.ports.iter().any(|port| ports.takes(port));
                (matches && !addresses.is_empty()).then_some(Found::Service(service, ports))
            }
            (ServiceKind::Headless, _) => self.endpoints(name, ports),
        }
    }

    fn endpoints(&self, name: &ServiceName<'_>, ports: PortFilter) -> Option<Found> {
        let slices = self.half.slices(name.namespace, name.service, &mut self.seen.borrow_mut());
        let filter = match &name.part {
            Part::Whole | Part::Port { .. } => EndpointFilter::All,
            Part::Endpoint { name, cluster } => {
                EndpointFilter::Named(SmallVec::from_slice(name), cluster.map(SmallVec::from_slice))
            }
            Part::Zonal { zone, prefer } => {
                let filter = EndpointFilter::Zone(zone.clone());
                let any = self.entries(&slices, &filter, &ports).next().is_some();
                match (any, prefer) {
                    (true, _) => filter,
                    (false, true) => EndpointFilter::All,
                    // Pinned to a zone without endpoints: the name exists, and has no data.
                    (false, false) => return Some(Found::Empty),
                }
            }
        };
        let any = self.entries(&slices, &filter, &ports).next().is_some();
        any.then_some(Found::Endpoints(slices, filter, ports))
    }

    pub(super) fn entries<'s>(
        &'s self,
        slices: &'s [Arc<Slice>],
        filter: &'s EndpointFilter,
        ports: &'s PortFilter,
    ) -> impl Iterator<Item = Entry<'s>> + 's {
        slices.iter().flat_map(move |slice| {
            let endpoints = slice.endpoints.iter().filter(move |endpoint| self.matches(slice, *endpoint, filter));
            endpoints.flat_map(move |endpoint| {
                slice.ports.iter().filter(|port| ports.takes(port)).map(move |port| Entry {
                    slice,
                    endpoint,
                    port: port.number,
                })
            })
        })
    }

    fn matches(&self, slice: &Slice, endpoint: Endpoint<'_>, filter: &EndpointFilter) -> bool {
        match filter {
            EndpointFilter::All => true,
            EndpointFilter::Zone(zone) => endpoint.zone.map(str::as_bytes) == Some(zone.as_slice()),
            EndpointFilter::Named(name, cluster) => {
                let cluster_fits =
                    cluster.is_none() || slice.cluster.as_deref().map(str::as_bytes) == cluster.as_deref();
                cluster_fits && self.is_named(endpoint, name)
            }
        }
    }

    fn is_named(&self, endpoint: Endpoint<'_>, name: &[u8]) -> bool {
        match self.known_name(endpoint) {
            Some(known) => known.as_bytes() == name,
            // The text is made only for the one that it can be.
            None => pod_address(name) == Some(endpoint.address) && own_label(endpoint.address).as_bytes() == name,
        }
    }

    /// The name of an endpoint that does not come from its address.
    pub(super) fn known_name<'e>(&self, endpoint: Endpoint<'e>) -> Option<&'e str> {
        // A host name goes first, then the pod's; an address, oddly written, stands where host names do.
        match (endpoint.hostname, endpoint.target.filter(|_| self.policy.endpoint_pod_names)) {
            (Some(name), Some(pod)) if pod_address(name.as_bytes()) == Some(endpoint.address) => Some(pod),
            (name, pod) => name.or(pod),
        }
    }

    /// The labels of an endpoint's own name that stand left of its service's.
    fn own_labels(&self, slice: &Slice, endpoint: Endpoint<'_>) -> Prefix {
        let made;
        let name = match self.known_name(endpoint) {
            Some(name) => name,
            None => {
                made = own_label(endpoint.address);
                &made
            }
        };
        let cluster = slice.cluster.as_deref().filter(|_| self.dialect.multicluster);
        Prefix::of([Some(name), cluster].into_iter().flatten().map(str::as_bytes))
    }

    /// The labels of an endpoint's own name, up to `svc`.
    fn endpoint_labels(&self, slice: &Slice, endpoint: Endpoint<'_>) -> Prefix {
        let service = [slice.service.name(), slice.service.namespace(), "svc"].map(str::as_bytes);
        self.own_labels(slice, endpoint).and(service)
    }

    fn records(&self, found: &Found, zone: &Name, question: &Question) -> Answer {
        match (found, question.record_type) {
            // A name without entries has nothing for TXT to be empty of (as CoreDNS).
            (Found::Empty, RecordType::TXT) => Answer::Nowhere,
            (Found::Empty, _) => self.no_data(),
            (Found::Alias(service), RecordType::A | RecordType::AAAA) => self.follow(service, zone, question),
            (Found::Alias(service), RecordType::CNAME) => match external_name(service) {
                Some(target) => {
                    let record = Record::of_question(self.ttl, RData::Cname(target.into()));
                    Answer::Here(live(Section::from_iter([record]), Section::new()))
                }
                None => self.no_data(),
            },
            (Found::Alias(_), _) => self.no_data(),
            (_, RecordType::A | RecordType::AAAA) => {
                self.or_no_data(self.addresses(found, question.record_type, &NameRef::QUESTION), Section::new())
            }
            (_, RecordType::SRV) => {
                let (answer, additional) = self.services(found, question);
                self.or_no_data(answer, additional)
            }
            _ => self.no_data(),
        }
    }

    /// Address records of one family, each address once.
    fn addresses(&self, found: &Found, kind: RecordType, owner: &NameRef) -> Section {
        let mut section = Section::new();
        let mut add = |address: IpAddr| {
            let data = RData::address(address);
            if fits(address, kind) && !section.iter().any(|record: &Record| record.data == data) {
                section.push(Record::new(owner.clone(), self.ttl, data));
            }
        };
        match found {
            Found::Service(service, _) => {
                if let ServiceKind::Addresses(addresses) = &service.kind {
                    addresses.iter().for_each(|&address| add(address));
                }
            }
            Found::Endpoints(slices, filter, ports) => {
                let entries = self.entries(slices, filter, ports).map(|entry| entry.endpoint.address);
                let entries: SmallVec<[IpAddr; 16]> = entries.filter(|&address| fits(address, kind)).collect();
                let mut seen = Distinct::new(entries.len());
                section = spare::section(entries.len());
                let new = entries.into_iter().filter(|&address| seen.is_new(address));
                section.extend(new.map(|address| Record::new(owner.clone(), self.ttl, RData::address(address))));
            }
            Found::Pod(address) => add(*address),
            Found::Empty | Found::Alias(_) => {}
        }
        section
    }

    /// SRV records with the addresses of their targets.
    fn services(&self, found: &Found, question: &Question) -> (Section, Section) {
        // Where the name of the service begins, or of the pod: labels left of it are no part of it.
        let tail = self.above.saturating_sub(3) as u8;
        // Targets are in small letters, as in CoreDNS: part of the question's name only if that is.
        let is_small = !question.name.wire().iter().any(u8::is_ascii_uppercase);
        match found {
            Found::Pod(address) => {
                let target = NameRef::Tail(tail);
                let srv = RData::Srv { priority: 0, weight: 100, port: 0, target: target.clone() };
                let glue = Record::new(target, self.ttl, RData::address(*address));
                (Section::from_iter([Record::of_question(self.ttl, srv)]), Section::from_iter([glue]))
            }
            Found::Service(service, ports) => {
                let ServiceKind::Addresses(addresses) = &service.kind else { return Default::default() };
                let matching = service.ports.iter().filter(|port| ports.takes(port));
                let each = matching.flat_map(|port| addresses.iter().map(move |&address| (port.number, address)));
                let above = self.above as u8;
                let target =
                    if is_small { NameRef::Tail(tail) } else { NameRef::Under(service_labels(service), above) };
                self.weighted(&each.map(|(port, ip)| (target.clone(), port, ip)).collect::<Targets>())
            }
            Found::Endpoints(slices, filter, ports) => {
                let entries = self.entries(slices, filter, ports);
                let target = |Entry { slice, endpoint, .. }: &Entry<'_>| match is_small {
                    true => NameRef::Under(self.own_labels(slice, *endpoint), tail),
                    false => NameRef::Under(self.endpoint_labels(slice, *endpoint), self.above as u8),
                };
                let targets = entries.map(|entry| (target(&entry), entry.port, entry.endpoint.address));
                self.weighted(&targets.collect::<Targets>())
            }
            Found::Empty | Found::Alias(_) => Default::default(),
        }
    }

    /// The weight is counted over all entries, those too that turn out to be alike (as CoreDNS).
    fn weighted(&self, targets: &Targets) -> (Section, Section) {
        let weight = (100 / targets.len().max(1)).max(1) as u16;
        let [mut answer, mut additional] = [(); 2].map(|()| spare::section(targets.len()));
        let (mut seen, mut glued) = (Distinct::new(targets.len()), Distinct::new(targets.len()));
        for (target, port, address) in targets {
            let Some(port) = *port else { continue };
            let labels = target.labels();
            if seen.is_new((labels, port)) {
                let data = RData::Srv { priority: 0, weight, port, target: target.clone() };
                answer.push(Record::of_question(self.ttl, data));
            }
            if glued.is_new((labels, *address)) {
                additional.push(Record::new(target.clone(), self.ttl, RData::address(*address)));
            }
        }
        (answer, additional)
    }

    /// The names of an address.
    fn reverse(&self, address: IpAddr) -> Answer {
        let visible = |namespace: &str| {
            self.policy.namespaces.is_empty() || self.policy.namespaces.contains(namespace.as_bytes())
        };
        let pointer = |labels: &Prefix| {
            let name = NameRef::Under(labels.clone(), 0).resolve(&self.policy.primary);
            Record::of_question(self.ttl, RData::Ptr(name.into()))
        };
        let index = &self.index.local;
        let service = index.service_of(address, &mut self.seen.borrow_mut());
        if let Some(service) = service {
            if !visible(service.key.namespace()) {
                return Answer::Nowhere;
            }
            return Answer::Here(live(Section::from_iter([pointer(&service_labels(&service))]), Section::new()));
        }
        let mut answer = Section::new();
        let slices = index.slices_of(address, &mut self.seen.borrow_mut());
        for slice in slices.iter().filter(|slice| visible(slice.service.namespace())) {
            for endpoint in slice.endpoints.having(address) {
                let record = pointer(&self.endpoint_labels(slice, endpoint));
                if !answer.contains(&record) {
                    answer.push(record);
                }
            }
        }
        if answer.is_empty() { Answer::Nowhere } else { Answer::Here(live(answer, Section::new())) }
    }

    /// Follows an alias as far as it stays in the zone.
    fn follow(&self, service: &Arc<Service>, zone: &Name, question: &Question) -> Answer {
        let mut chain = Section::new();
        let mut seen: Vec<Name> = Vec::new();
        let mut owner = NameRef::QUESTION;
        let mut service = Arc::clone(service);
        loop {
            let Some(target) = external_name(&service) else { return self.no_data() };
            let last = seen.last().unwrap_or(&question.name);
            // A target at or below its own name, or seen before, leads nowhere.
            if target.is_within(last) || seen.contains(&target) || seen.len() >= LONGEST_CHAIN {
                return self.no_data();
            }
            seen.push(target);
            chain.push(Record::new(owner, self.ttl, RData::Cname(target.into())));
            let Some(above) = target.labels_above(zone) else { return Answer::Elsewhere { chain, target } };
            let inner = Asking { above, ..*self };
            match inner.find(&target.to_lowercase()) {
                Some(Found::Alias(next)) => {
                    service = next;
                    owner = target.into();
                }
                Some(found) => {
                    let addresses = inner.addresses(&found, question.record_type, &target.into());
                    if addresses.is_empty() {
                        return self.no_data();
                    }
                    chain.extend(addresses);
                    return Answer::Here(live(chain, Section::new()));
                }
                None => return self.no_data(),
            }
        }
    }
}

fn external_name(service: &Service) -> Option<Name> {
    match &service.kind {
        ServiceKind::External(target) => Name::parse(target).ok(),
        _ => None,
    }
}

/// Names with port and address: what SRV records and those behind them are made of.
type Targets = SmallVec<[(NameRef, Option<u16>, IpAddr); 8]>;

/// What has been met before: a few are compared one by one, many are hashed.
enum Distinct<T> {
    Few(SmallVec<[T; 16]>),
    Many(HashSet<T, foldhash::fast::RandomState>),
}

impl<T: Copy + Eq + Hash> Distinct<T> {
    /// For so many.
    fn new(count: usize) -> Self {
        if count <= 16 { Self::Few(SmallVec::new()) } else { Self::Many(HashSet::default()) }
    }

    fn is_new(&mut self, item: T) -> bool {
        match self {
            Self::Few(few) if few.contains(&item) => false,
            Self::Few(few) => {
                few.push(item);
                true
            }
            Self::Many(many) => many.insert(item),
        }
    }
}

/// The labels of a service's name, up to `svc`.
pub(super) fn service_labels(service: &Service) -> Prefix {
    Prefix::of([service.key.name().as_bytes(), service.key.namespace().as_bytes(), b"svc"])
}

/// The name of an endpoint without one.
fn own_label(address: IpAddr) -> String {
    dashed(&address.to_string())
}

pub(super) const fn fits(address: IpAddr, kind: RecordType) -> bool {
    match address {
        IpAddr::V4(_) => kind.0 == RecordType::A.0,
        IpAddr::V6(_) => kind.0 == RecordType::AAAA.0,
    }
}
