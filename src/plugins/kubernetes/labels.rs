use std::sync::Arc;

use crate::{
    chain::{Context, LabelSource, ZoneSet},
    kubernetes::{Cluster, answer::Policy, grammar::Dialect, label},
    wire::Name,
};

/// What the cluster knows of a query: what its name says, and whose address it comes from.
pub(super) struct ClusterLabels {
    zones: ZoneSet,
    multicluster: Vec<Name>,
    zonal: bool,
    cluster: Arc<Cluster>,
}

impl ClusterLabels {
    pub(super) fn new(zones: &ZoneSet, policy: &Policy, cluster: &Arc<Cluster>) -> Self {
        let (multicluster, zonal) = (policy.multicluster.clone(), policy.zonal);
        Self { zones: zones.clone(), multicluster, zonal, cluster: Arc::clone(cluster) }
    }

    /// Labels of the pod that asks, whatever it asks for. Pods are known with `pods verified` alone.
    fn client(&self, cx: &Context, name: &str) -> Option<String> {
        let pod = self.cluster.index().pod_of(cx.peer.ip().to_canonical())?;
        match name {
            "namespace" => Some(pod.key.namespace().to_owned()),
            "pod-name" => Some(pod.key.name().to_owned()),
            _ => {
                let wanted = name.strip_prefix("label/")?;
                pod.labels.iter().find(|(key, _)| **key == *wanted).map(|(_, value)| value.to_string())
            }
        }
    }
}

impl LabelSource for ClusterLabels {
    fn label(&self, cx: &Context, name: &str) -> Option<String> {
        let name = name.strip_prefix("kubernetes/")?;
        if let Some(name) = name.strip_prefix("client-") {
            return self.client(cx, name);
        }
        let question = &cx.query.question;
        let zone = self.zones.find(&question.name)?;
        let dialect = Dialect { multicluster: self.multicluster.contains(zone), zonal: self.zonal };
        label(&question.name, zone, dialect, name)
    }
}
