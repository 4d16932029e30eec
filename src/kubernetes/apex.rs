use std::{net::IpAddr, sync::Arc};

use super::{
    answer::service_labels,
    index::Index,
    object::{Endpoint, ServiceKind, Slice},
};
use crate::{
    versions::Seen,
    wire::{NameRef, Prefix, RData, Record, Section, Soa},
};

/// The version of the DNS schema that `dns-version` states.
pub(super) const VERSION: &str = "1.1.0";
/// Its TTL, seconds.
pub(super) const VERSION_TTL: u32 = 28_800;
/// The SOA is kept for this long at most, seconds.
const SOA_TTL: u32 = 300;

const NS_DNS: Prefix = Prefix::Fixed(b"\x02ns\x03dns");
const HOSTMASTER: Prefix = Prefix::Fixed(b"\x0ahostmaster");

/// The SOA of the zone that stands `above` labels up from the question, in the question's spelling.
pub(super) fn soa(above: usize, ttl: u32, serial: u32) -> Record {
    let tail = above as u8;
    let data = RData::Soa(Soa {
        mname: NameRef::Under(NS_DNS, tail),
        rname: NameRef::Under(HOSTMASTER, tail),
        serial,
        refresh: 7200,
        retry: 1800,
        expire: 86_400,
        minimum: ttl,
    });
    Record::new(NameRef::Tail(tail), ttl.min(SOA_TTL), data)
}

/// NS records with their addresses: the services in front of this server if the cluster knows any, else `ns.dns`.
pub(super) fn name_servers(
    index: &Index,
    own: &[IpAddr],
    above: usize,
    ttl: u32,
    seen: &mut Seen,
    endpoint_labels: impl Fn(&Slice, Endpoint<'_>) -> Prefix,
) -> (Section, Section) {
    let tail = above as u8;
    let mut targets: Vec<(Prefix, IpAddr)> = Vec::new();
    for &address in own {
        for slice in index.local.slices_of(address, seen) {
            targets.extend(in_front_of(index, &slice, seen, &endpoint_labels));
        }
    }
    if targets.is_empty() {
        targets.extend(own.iter().map(|&address| (NS_DNS, address)));
    }
    let (mut answer, mut additional) = (Section::new(), Section::new());
    for (labels, address) in targets {
        let target = NameRef::Under(labels, tail);
        let ns = Record::new(NameRef::Tail(tail), ttl, RData::Ns(target.clone()));
        let glue = Record::new(target, ttl, RData::address(address));
        for (section, record) in [(&mut answer, ns), (&mut additional, glue)] {
            if !section.contains(&record) {
                section.push(record);
            }
        }
    }
    (answer, additional)
}

/// The names of the service of a slice: its own with its cluster addresses, or those of its endpoints if it has none.
fn in_front_of(
    index: &Index,
    slice: &Arc<Slice>,
    seen: &mut Seen,
    endpoint_labels: impl Fn(&Slice, Endpoint<'_>) -> Prefix,
) -> Vec<(Prefix, IpAddr)> {
    let Some(service) =
        index.local.service(slice.service.namespace().as_bytes(), slice.service.name().as_bytes(), seen)
    else {
        return Vec::new();
    };
    match &service.kind {
        ServiceKind::Addresses(addresses) => {
            let labels = service_labels(&service);
            addresses.iter().map(|&address| (labels.clone(), address)).collect()
        }
        ServiceKind::Headless => {
            slice.endpoints.iter().map(|endpoint| (endpoint_labels(slice, endpoint), endpoint.address)).collect()
        }
        ServiceKind::External(_) => Vec::new(),
    }
}
