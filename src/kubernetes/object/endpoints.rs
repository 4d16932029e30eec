use std::net::IpAddr;

use serde::Deserialize;
use smallvec::SmallVec;

use super::{
    Meta, Port,
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
    endpoints: Box<[Endpoint]>,
    ports: Box<[Port]>,
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
    /// Namespace, in lower case.
    pub namespace: Box<str>,
    /// The service that it belongs to, in lower case.
    pub service: Box<str>,
    /// The cluster that it comes from, for imported services.
    pub cluster: Option<Box<str>>,
    /// The ready endpoints.
    pub endpoints: Box<[Endpoint]>,
    /// The ports; without any, one without name and number.
    pub ports: Box<[Port]>,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses, practically always one.
    pub addresses: SmallVec<[IpAddr; 1]>,
    /// Its host name, in lower case, if it has one; or, for an address that is not written in canonical form, the name
    /// that its text gives.
    pub hostname: Option<Box<str>>,
    /// The pod behind it, in lower case.
    pub target: Option<Box<str>>,
    /// The zone that it runs in, in lower case.
    pub zone: Option<Box<str>>,
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
    fn kept(self) -> Option<Endpoint> {
        // Absent counts as ready (EndpointSlice API); serving and terminating are not looked at, as in CoreDNS.
        if self.conditions.and_then(|conditions| conditions.ready) == Some(false) {
            return None;
        }
        let texts = self.addresses.unwrap_or_default();
        let addresses: SmallVec<[IpAddr; 1]> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        if addresses.is_empty() {
            return None;
        }
        // A name made of the text as it is written: fd62:0000::1 gives fd62-0000--1.
        let odd = || texts.first().filter(|text| **text != addresses[0].to_string()).map(|text| lower(dashed(text)));
        let hostname = self.hostname.filter(|name| !name.is_empty()).map(lower).or_else(odd);
        let target = self.target_ref.and_then(|target| target.name).filter(|name| name.len() < 64).map(lower);
        Some(Endpoint { addresses, hostname, target, zone: self.zone.map(lower) })
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
            endpoints: endpoints.into_iter().filter_map(WireEndpoint::kept).collect(),
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
    /// The slice of a service of this cluster; `None` if it belongs to none.
    pub fn local(&self) -> Option<Slice> {
        self.of(self.meta.labels.get(SERVICE_NAME)?, None)
    }

    /// The slice of a service that is imported from another cluster; `None` if it belongs to none.
    pub fn imported(&self) -> Option<Slice> {
        let cluster = self.meta.labels.get(SOURCE_CLUSTER).map(|cluster| lower(cluster.clone()));
        self.of(self.meta.labels.get(IMPORT_NAME)?, cluster)
    }

    fn of(&self, service: &str, cluster: Option<Box<str>>) -> Option<Slice> {
        (!service.is_empty()).then(|| Slice {
            namespace: self.meta.namespace().to_ascii_lowercase().into(),
            service: service.to_ascii_lowercase().into(),
            cluster,
            endpoints: self.endpoints.clone(),
            ports: self.ports.clone(),
        })
    }
}
