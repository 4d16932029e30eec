use std::net::IpAddr;

use serde::Deserialize;
use smallvec::SmallVec;

use super::{Key, Meta, watched};

/// A Pod as it arrives.
#[derive(Debug, Clone)]
pub struct WatchedPod {
    pub(super) meta: Meta,
    /// Its addresses.
    addresses: SmallVec<[IpAddr; 1]>,
    /// It has ended, or nobody knows how it is.
    over: bool,
    host_network: bool,
}

watched!(WatchedPod, k8s_openapi::NamespaceResourceScope, "Pod", "pods", "", "v1", "pods");

/// A Pod as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub key: Key,
    /// All its addresses.
    pub addresses: SmallVec<[IpAddr; 1]>,
    /// Its labels, if somebody wants them.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Its addresses are those of its node, which other pods have too.
    pub host_network: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// When it was made, Unix time in seconds; 0 if that is not said.
    pub created: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wire {
    metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    #[serde(rename = "hostNetwork")]
    host_network: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodIp>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodIp {
    ip: Option<String>,
}

impl From<Wire> for WatchedPod {
    fn from(Wire { metadata, spec, status }: Wire) -> Self {
        let all = status.pod_ips.unwrap_or_default().into_iter().filter_map(|entry| entry.ip);
        let mut addresses: SmallVec<[IpAddr; 1]> =
            status.pod_ip.into_iter().chain(all).filter_map(|ip| ip.parse().ok()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let over = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed" | "Unknown"));
        Self { meta: metadata, addresses, over, host_network: spec.host_network == Some(true) }
    }
}

impl<'de> Deserialize<'de> for WatchedPod {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Self::from)
    }
}

impl WatchedPod {
    /// The pod as it is kept, with or without its labels; `None` if it has ended or has no address.
    pub fn kept(&self, with_labels: bool) -> Option<Pod> {
        let labels = self.meta.labels.iter().filter(|_| with_labels);
        (!self.over && !self.addresses.is_empty()).then(|| Pod {
            key: Key::new(self.meta.namespace(), self.meta.name()),
            addresses: self.addresses.clone(),
            labels: labels.map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
            host_network: self.host_network,
            terminating: self.meta.terminating,
            created: self.meta.created,
        })
    }
}
