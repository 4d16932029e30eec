use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;

use super::{
    Details, Endpoint, Endpoints, Key, Meta, Port,
    service::{WirePort, kept_ports},
    watched,
};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const IMPORT_NAME: &str = "multicluster.kubernetes.io/service-name";
const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// An EndpointSlice as it arrives.
#[derive(Debug, Clone)]
pub struct WatchedSlice {
    pub(super) meta: Meta,
    endpoints: Box<[Arrived]>,
    ports: Arc<[Port]>,
}

watched!(
    WatchedSlice,
    k8s_openapi::NamespaceResourceScope,
    "EndpointSlice",
    "endpointslices",
    "discovery.k8s.io",
    "v1",
    "endpointslices.discovery.k8s.io"
);

/// An EndpointSlice as it is kept: its ready endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Namespace and name of the service that it belongs to.
    pub service: Key,
    /// Its own name, in lower case.
    pub name: Box<str>,
    /// The cluster that it comes from, for imported services.
    pub cluster: Option<Box<str>>,
    /// The ready endpoints.
    pub endpoints: Endpoints,
    /// The ports; without any, one without name and number.
    pub ports: Arc<[Port]>,
}

/// An address of a ready endpoint as it arrives, with its host name, the pod behind it and its zone.
#[derive(Debug, Clone)]
struct Arrived {
    address: IpAddr,
    hostname: Option<Box<str>>,
    target: Option<Box<str>>,
    zone: Option<Box<str>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    metadata: Meta,
    address_type: Option<String>,
    endpoints: Option<Vec<WireEndpoint>>,
    ports: Option<Vec<WirePort>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireEndpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<Conditions>,
    hostname: Option<String>,
    target_ref: Option<TargetRef>,
    zone: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TargetRef {
    name: Option<String>,
}

fn lower(text: String) -> Box<str> {
    text.to_ascii_lowercase().into()
}

impl WireEndpoint {
    /// The endpoint once for each of its addresses, of which it has practically always one; none if it is not ready.
    fn kept(self) -> impl Iterator<Item = Arrived> {
        // Absent counts as ready (EndpointSlice API); serving and terminating are not looked at, as in CoreDNS.
        let ready = self.conditions.and_then(|conditions| conditions.ready) != Some(false);
        let hostname = self.hostname.filter(|name| !name.is_empty()).map(lower);
        let target = self.target_ref.and_then(|target| target.name).filter(|name| name.len() < 64).map(lower);
        let zone = self.zone.map(lower);
        self.addresses.unwrap_or_default().into_iter().filter(move |_| ready).filter_map(move |text| {
            let address = text.parse::<IpAddr>().ok()?.to_canonical();
            // A name made of the text as it is written: fd62:0000::1 gives fd62-0000--1.
            let odd = || (text != address.to_string()).then(|| lower(dashed(&text)));
            let hostname = hostname.clone().or_else(odd);
            Some(Arrived { address, hostname, target: target.clone(), zone: zone.clone() })
        })
    }
}

/// An address as a label: dots and colons become dashes; a dash may not stand at the end.
pub fn dashed(address: &str) -> String {
    let mut label = address.replace(['.', ':'], "-");
    if label.ends_with('-') {
        label.push('0');
    }
    label
}

impl From<Wire> for WatchedSlice {
    fn from(wire: Wire) -> Self {
        // Host names in place of addresses are of no use for answers.
        let endpoints = wire.endpoints.filter(|_| wire.address_type.as_deref() != Some("FQDN")).unwrap_or_default();
        Self {
            meta: wire.metadata,
            endpoints: endpoints.into_iter().flat_map(WireEndpoint::kept).collect(),
            ports: kept_ports(wire.ports),
        }
    }
}

impl<'de> Deserialize<'de> for WatchedSlice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}

impl WatchedSlice {
    /// Namespace and name of the service of this cluster that it belongs to; `None` if it belongs to none.
    pub fn local_service(&self) -> Option<Key> {
        self.service(SERVICE_NAME)
    }

    /// The slice of a service of this cluster; `None` if it belongs to none, or has no ready endpoint.
    pub fn local(&self, details: Details) -> Option<Slice> {
        self.of(self.local_service()?, None, details)
    }

    /// The slice of a service that is imported from another cluster; `None` if it belongs to none, or has no ready
    /// endpoint.
    pub fn imported(&self, details: Details) -> Option<Slice> {
        let cluster = self.meta.labels.get(SOURCE_CLUSTER).map(|cluster| lower(cluster.clone()));
        self.of(self.service(IMPORT_NAME)?, cluster, details)
    }

    fn service(&self, label: &str) -> Option<Key> {
        let service = self.meta.labels.get(label).filter(|service| !service.is_empty())?;
        Some(Key::new(self.meta.namespace(), service))
    }

    fn of(&self, service: Key, cluster: Option<Box<str>>, details: Details) -> Option<Slice> {
        let kept = self.endpoints.iter().map(|endpoint| Endpoint {
            address: endpoint.address,
            hostname: endpoint.hostname.as_deref(),
            target: endpoint.target.as_deref().filter(|_| details.targets),
            zone: endpoint.zone.as_deref().filter(|_| details.zones),
        });
        let endpoints: Endpoints = kept.collect();
        let name = self.meta.name().into();
        (!endpoints.is_empty()).then(|| Slice { service, name, cluster, endpoints, ports: Arc::clone(&self.ports) })
    }
}
