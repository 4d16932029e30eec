use std::{net::IpAddr, sync::Arc};

use serde::Deserialize;
use smallvec::SmallVec;

use super::{Key, Meta, watched};

/// A Service as it arrives.
#[derive(Debug, Clone)]
pub struct WatchedService {
    pub(super) meta: Meta,
    /// What is kept.
    pub service: Service,
}

watched!(WatchedService, k8s_openapi::NamespaceResourceScope, "Service", "services", "", "v1", "services");

/// A Service, or an imported one, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub key: Key,
    /// How it is answered.
    pub kind: ServiceKind,
    /// The ports; a service without any has one without name and number.
    pub ports: Arc<[Port]>,
    /// How it is reached from outside of the cluster, if it is.
    pub external: Option<Box<External>>,
}

/// How a service is reached from outside of the cluster: `externalIPs`, and what its load balancer has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct External {
    /// Addresses; one that stands in both lists is here twice, and counts twice for the weights of SRV.
    pub addresses: Box<[IpAddr]>,
    /// Names of load balancers, each once.
    pub names: Box<[Box<str>]>,
}

/// How a service is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// With its cluster addresses (ClusterIP, NodePort, LoadBalancer).
    Addresses(SmallVec<[IpAddr; 1]>),
    /// With the addresses of its endpoints.
    Headless,
    /// With an alias.
    External(Box<str>),
}

/// A port of a service or of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its name, in lower case; may be empty.
    pub name: Box<str>,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: Box<str>,
    /// Its number; `None` if there is none, which gives no SRV record.
    pub number: Option<u16>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    load_balancer: LoadBalancer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancer {
    ingress: Option<Vec<Ingress>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ingress {
    ip: Option<String>,
    hostname: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: Option<String>,
    external_name: Option<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Option<Vec<String>>,
    ports: Option<Vec<WirePort>>,
}

/// A port as the API writes it, for services, imports and slices alike.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct WirePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<i64>,
}

impl WirePort {
    pub(super) fn kept(self) -> Port {
        let lower = |text: Option<String>, default: &str| {
            text.map_or_else(|| default.into(), |text| text.to_ascii_lowercase().into_boxed_str())
        };
        Port {
            name: lower(self.name, ""),
            protocol: lower(self.protocol, "tcp"),
            number: self.port.and_then(|port| u16::try_from(port).ok()),
        }
    }
}

/// Ports as they are kept; none at all counts as one without name and number, so that addresses are answered.
pub(super) fn kept_ports(ports: Option<Vec<WirePort>>) -> Arc<[Port]> {
    let ports: Arc<[Port]> = ports.unwrap_or_default().into_iter().map(WirePort::kept).collect();
    if ports.is_empty() { Arc::new([Port { name: "".into(), protocol: "".into(), number: None }]) } else { ports }
}

fn external(addresses: Option<Vec<String>>, ingress: Option<Vec<Ingress>>) -> Option<Box<External>> {
    let mut texts = addresses.unwrap_or_default();
    let mut names: Vec<Box<str>> = Vec::new();
    for Ingress { ip, hostname } in ingress.unwrap_or_default() {
        match (ip.filter(|ip| !ip.is_empty()), hostname) {
            (Some(ip), _) => texts.push(ip),
            (None, Some(name)) if !name.is_empty() && !names.iter().any(|known| **known == name) => {
                names.push(name.into());
            }
            _ => {}
        }
    }
    let addresses = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let external = External { addresses, names: names.into() };
    (external != External::default()).then(|| Box::new(external))
}

impl From<Wire> for WatchedService {
    fn from(Wire { metadata, spec, status }: Wire) -> Self {
        let addresses =
            spec.cluster_ips.filter(|all| !all.is_empty()).unwrap_or_else(|| Vec::from_iter(spec.cluster_ip));
        let kind = if spec.kind.as_deref() == Some("ExternalName") {
            ServiceKind::External(spec.external_name.unwrap_or_default().into())
        } else if addresses.first().is_some_and(|address| address == "None") {
            ServiceKind::Headless
        } else {
            ServiceKind::Addresses(addresses.iter().filter_map(|address| address.parse().ok()).collect())
        };
        let service = Service {
            key: Key::new(metadata.namespace(), metadata.name()),
            kind,
            ports: kept_ports(spec.ports),
            external: external(spec.external_ips, status.load_balancer.ingress),
        };
        Self { meta: metadata, service }
    }
}

impl<'de> Deserialize<'de> for WatchedService {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}
