use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// Metadata of an object: what answers, and the watch, need of it.
#[derive(Debug, Clone, Default)]
pub struct Meta {
    /// What the watch machinery asks for: name, namespace, resourceVersion.
    pub(super) standard: ObjectMeta,
    /// Labels, for those who join or select by them.
    pub labels: BTreeMap<String, String>,
    /// When the change was made that led to this slice (RFC 3339), as the endpoint controller noted it.
    pub last_change: Option<String>,
    /// The object is being deleted.
    pub terminating: bool,
    /// When it was made, Unix time in seconds; 0 if that is not said.
    pub created: u32,
}

impl Meta {
    /// Namespace, in lower case; empty for objects without one.
    pub fn namespace(&self) -> &str {
        self.standard.namespace.as_deref().unwrap_or_default()
    }

    /// Name, in lower case.
    pub fn name(&self) -> &str {
        self.standard.name.as_deref().unwrap_or_default()
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Wire {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<String>,
    creation_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
}

#[derive(Deserialize, Default)]
struct Annotations {
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    last_change: Option<String>,
}

impl<'de> Deserialize<'de> for Meta {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let lower = |text: Option<String>| text.map(|text| text.to_ascii_lowercase());
        let standard = ObjectMeta {
            name: lower(wire.name),
            namespace: lower(wire.namespace),
            resource_version: wire.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self {
            standard,
            labels: wire.labels.unwrap_or_default(),
            last_change: wire.annotations.and_then(|annotations| annotations.last_change),
            created: wire
                .creation_timestamp
                .and_then(|text| text.parse().ok())
                .map_or(0, |time: Timestamp| time.as_second() as u32),
            terminating: wire.deletion_timestamp.is_some(),
        })
    }
}
