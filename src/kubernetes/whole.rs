//! The whole of a cluster zone, for those who want to have it at once (RFC 5936): what questions for its names give, name
//! by name, so that it cannot say anything else than the answers do.

use std::sync::Arc;

use super::{
    Cluster,
    answer::{Answer, Policy, answer},
    index::Half,
    object::{Service, ServiceKind},
};
use crate::{
    versions::Seen,
    wire::{Body, Name, Question, Record, RecordType},
};

/// The records of a zone, the SOA first, services in the order of their names; pods, zonal names and reverse names are
/// left out. Services that come or go meanwhile may be there or not.
pub fn records(cluster: Arc<Cluster>, policy: Policy, zone: Name) -> impl Iterator<Item = Record> + Send {
    let mut services = half(&cluster, &policy, &zone).services();
    services.sort_by(|one, other| name_first(one).cmp(&name_first(other)));
    let apex = [RecordType::SOA, RecordType::NS].map(|kind| asked(&cluster, &policy, &zone, zone, kind, true));
    let of_services = services.into_iter().flat_map(move |service| of_service(&cluster, &policy, &zone, &service));
    apex.into_iter().flatten().chain(of_services)
}

/// The services that a zone is made of.
pub fn half<'a>(cluster: &'a Cluster, policy: &Policy, zone: &Name) -> &'a Half {
    if policy.multicluster.contains(zone) { &cluster.index().imported } else { &cluster.index().local }
}

fn of_service(cluster: &Cluster, policy: &Policy, zone: &Name, service: &Service) -> Vec<Record> {
    let (service_name, namespace) = name_first(service);
    let labels = [service_name.as_bytes(), namespace.as_bytes(), b"svc"];
    let Ok(name) = Name::under(labels, zone) else { return Vec::new() };
    let ask = |name: Name, kind: RecordType, whole: bool| asked(cluster, policy, zone, name, kind, whole);
    if let ServiceKind::External(_) = service.kind {
        return ask(name, RecordType::CNAME, false);
    }
    // The targets of a headless service's SRV records are the names of its endpoints.
    let headless = service.kind == ServiceKind::Headless;
    let mut records = ask(name, RecordType::A, false);
    records.extend(ask(name, RecordType::AAAA, false));
    records.extend(ask(name, RecordType::SRV, headless));
    let slices =
        half(cluster, policy, zone).slices(namespace.as_bytes(), service_name.as_bytes(), &mut Seen::default());
    let of_slices = slices.iter().filter(|_| headless).flat_map(|slice| slice.ports.iter());
    let mut ports: Vec<_> = service.ports.iter().filter(|_| !headless).chain(of_slices).collect();
    ports.sort_by(|one, other| (&one.name, &one.protocol).cmp(&(&other.name, &other.protocol)));
    ports.dedup_by(|one, other| (&one.name, &one.protocol) == (&other.name, &other.protocol));
    for port in ports.into_iter().filter(|port| !port.name.is_empty()) {
        let labels = [format!("_{}", port.name), format!("_{}", port.protocol)];
        if let Ok(name) = Name::under(labels.iter().map(String::as_bytes), &name) {
            records.extend(ask(name, RecordType::SRV, false));
        }
    }
    records
}

/// By what services are sorted.
fn name_first(service: &Service) -> (&str, &str) {
    (service.key.name(), service.key.namespace())
}

/// What a question is answered with; `whole`: with the addresses that come along.
fn asked(cluster: &Cluster, policy: &Policy, zone: &Name, name: Name, kind: RecordType, whole: bool) -> Vec<Record> {
    let Answer::Here(response) =
        answer(cluster.index(), policy, zone, &Question::new(name, kind), &mut Seen::default())
    else {
        return Vec::new();
    };
    let Body::Records(records) = response.body else { return Vec::new() };
    let additional = records.additional.into_iter().filter(|_| whole);
    records.answer.into_iter().chain(additional).map(|record| record.spelled_out(&name)).collect()
}
