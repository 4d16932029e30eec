use std::sync::Arc;

use serde::Deserialize;

use super::{
    Key, Meta, Service, ServiceKind,
    service::{WirePort, kept_ports},
    watched,
};

/// A ServiceImport of the Multi-Cluster Services API as it arrives.
#[derive(Debug, Clone)]
pub struct WatchedImport {
    pub(super) meta: Meta,
    /// What is kept.
    pub service: Service,
}

watched!(
    WatchedImport,
    k8s_openapi::NamespaceResourceScope,
    "ServiceImport",
    "serviceimports",
    "multicluster.x-k8s.io",
    "v1alpha1",
    "serviceimports.multicluster.x-k8s.io"
);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    metadata: Meta,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    #[serde(rename = "type")]
    kind: Option<String>,
    ips: Option<Vec<String>>,
    ports: Option<Vec<WirePort>>,
}

impl From<Wire> for WatchedImport {
    fn from(Wire { metadata, spec }: Wire) -> Self {
        let kind = if spec.kind.as_deref() == Some("Headless") {
            ServiceKind::Headless
        } else {
            ServiceKind::Addresses(spec.ips.unwrap_or_default().iter().filter_map(|ip| ip.parse().ok()).collect())
        };
        // An import without ports does not exist for CoreDNS; only a headless one gets the port without a number.
        let ports = match (&kind, spec.ports) {
            (ServiceKind::Addresses(_), None) => Arc::default(),
            (_, ports) => kept_ports(ports),
        };
        let service = Service { key: Key::new(metadata.namespace(), metadata.name()), kind, ports, external: None };
        Self { meta: metadata, service }
    }
}

impl<'de> Deserialize<'de> for WatchedImport {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}
