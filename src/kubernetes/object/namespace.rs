use serde::Deserialize;

use super::{Meta, watched};

/// A Namespace as it arrives: its name is all that is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WatchedNamespace {
    #[serde(rename = "metadata")]
    pub(super) meta: Meta,
}

watched!(WatchedNamespace, k8s_openapi::ClusterResourceScope, "Namespace", "namespaces", "", "v1", "namespaces");

impl WatchedNamespace {
    /// A namespace of this name.
    pub fn named(name: &str) -> Self {
        let mut namespace = Self::default();
        namespace.meta.standard.name = Some(name.to_owned());
        namespace
    }
}
