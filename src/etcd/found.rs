use std::{cell::Cell, time::Instant};

use super::{
    key::Root,
    lease::Bounds,
    mirror::{Entry, Records, Span},
    service::{Host, Service},
};
use crate::wire::{Name, RecordType};

/// The TTL where neither the service nor a lease has one, seconds.
const TTL: u32 = 300;
/// The priority of services that have none.
const PRIORITY: i64 = 10;

/// The most keys that are looked at for one question: a wildcard is compared with all keys below it.
pub(super) const LOOKED: usize = 20_000;

/// A service that answers a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) key: &'a str,
    pub(super) service: &'a Service,
    pub(super) ttl: u32,
    pub(super) priority: i64,
}

impl Found<'_> {
    /// Whether its host is an address.
    pub(super) const fn is_at_address(&self) -> bool {
        matches!(self.service.host, Host::Address(_))
    }
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// There is no key.
    Nowhere,
    /// All there is is no service.
    Broken(String),
}

/// The records at a moment.
pub(super) struct Finder<'a> {
    pub(super) root: &'a Root,
    pub(super) records: &'a Records,
    pub(super) bounds: Bounds,
    pub(super) now: Instant,
    /// How many more keys may be looked at for this question.
    pub(super) budget: Cell<usize>,
}

impl<'a> Finder<'a> {
    /// The services of a name `above` labels below its zone, as far as they can answer this type: those below its key, or the one
    /// at it if there are none; with `exact` only that one.
    pub(super) fn services(
        &self,
        name: &Name,
        above: usize,
        kind: RecordType,
        exact: bool,
    ) -> Result<Vec<Found<'a>>, Missing> {
        let place = self.root.place(name, above).ok_or(Missing::Nowhere)?;
        let below = Span::below(&place.key);
        let mut entries = self.records.within(&below).peekable();
        let mut own = None;
        if exact || entries.peek().is_none() {
            let (key, entry) = self.records.by_key.get_key_value(place.key.as_str()).ok_or(Missing::Nowhere)?;
            own = Some((&**key, entry));
        }
        let below = own.is_none().then_some(entries).into_iter().flatten();
        let below = below.take_while(|_| {
            self.budget.set(self.budget.get().saturating_sub(1));
            self.budget.get() > 0
        });
        let mut found = Vec::new();
        let mut broken = None;
        for (key, entry) in own.into_iter().chain(below).filter(|(key, _)| place.fits(key)) {
            match &entry.service {
                None => broken = Some(key),
                Some(service) => found.push(self.found(key, service, entry)),
            }
        }
        if self.budget.get() == 0 && found.is_empty() {
            return Err(Missing::Broken(format!("the question is about more than {LOOKED} keys")));
        }
        if let Some(key) = broken.filter(|_| found.is_empty()) {
            return Err(Missing::Broken(format!("what etcd holds at {key} is no service")));
        }
        found.retain(|found| fits(found.service, kind));
        Ok(group(found))
    }

    fn found(&self, key: &'a str, service: &'a Service, entry: &Entry) -> Found<'a> {
        let lease = self.records.leases.get(&entry.lease).and_then(|lease| lease.ttl(self.now, self.bounds));
        let ttl = match (lease, service.ttl) {
            (None | Some(0), 0) => TTL,
            (None | Some(0), own) => own,
            (Some(lease), 0) => lease,
            (Some(lease), own) => lease.min(own),
        };
        let priority = if service.priority == 0 { PRIORITY } else { service.priority };
        Found { key, service, ttl, priority }
    }
}

/// Only TXT can do without a host.
fn fits(service: &Service, kind: RecordType) -> bool {
    service.host != Host::None || kind == RecordType::TXT && !service.text.is_empty()
}

/// The services of the group that the shortest key is of, and those of none. If the shortest ones do not agree there is no group.
fn group(all: Vec<Found<'_>>) -> Vec<Found<'_>> {
    let Some(first) = all.first() else { return all };
    let depth = |found: &Found<'_>| found.key.matches('/').count();
    let (mut group, mut shortest) = (&*first.service.group, depth(first));
    // What stands behind a short key without a group is not looked at, as in CoreDNS.
    let mut looked = 0;
    for found in &all {
        looked += 1;
        if depth(found) < shortest {
            if found.service.group.is_empty() {
                break;
            }
            (group, shortest) = (&found.service.group, depth(found));
        }
    }
    let disagrees = |(at, found): (usize, &Found<'_>)| {
        let own = &*found.service.group;
        at < looked && depth(found) == shortest && !own.is_empty() && own != group
    };
    if group.is_empty() || all.iter().enumerate().any(disagrees) {
        return all;
    }
    let group = group.to_owned();
    let is_of_it = |found: &Found<'_>| found.service.group.is_empty() || *found.service.group == *group;
    all.into_iter().filter(is_of_it).collect()
}
