//! API objects as we keep them: trimmed while they are decoded, so that a whole object never exists in memory.

mod endpoints;
mod import;
mod key;
mod meta;
mod namespace;
mod packed;
mod pod;
mod service;

use std::fmt::Debug;

use kube::Resource;
use serde::de::DeserializeOwned;

pub use endpoints::{Slice, WatchedSlice, dashed};
pub use import::WatchedImport;
pub use key::Key;
pub use meta::Meta;
pub use namespace::WatchedNamespace;
pub use packed::{Endpoint, Endpoints};
pub use pod::{Pod, WatchedPod};
pub use service::{External, Port, Service, ServiceKind, WatchedService};

/// What is kept of the objects for the sake of some answers; without, less memory does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Details {
    /// The labels of pods.
    pub pod_labels: bool,
    /// The names of the pods behind endpoints.
    pub targets: bool,
    /// The zones of endpoints.
    pub zones: bool,
}

/// An API kind that can be watched and kept.
pub trait Watched: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static {
    /// Plural name with its group, as RBAC and error messages have it.
    const RESOURCE: &'static str;
    /// Metadata as we keep it.
    fn trimmed(&self) -> &Meta;
}

macro_rules! watched {
    ($kind:ty, $scope:ty, $name:literal, $plural:literal, $group:literal, $version:literal, $resource:literal) => {
        impl kube::Resource for $kind {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(_: &()) -> std::borrow::Cow<'_, str> {
                $name.into()
            }
            fn group(_: &()) -> std::borrow::Cow<'_, str> {
                $group.into()
            }
            fn version(_: &()) -> std::borrow::Cow<'_, str> {
                $version.into()
            }
            fn plural(_: &()) -> std::borrow::Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &self.meta.standard
            }
            fn meta_mut(&mut self) -> &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                &mut self.meta.standard
            }
        }

        impl crate::kubernetes::object::Watched for $kind {
            const RESOURCE: &'static str = $resource;

            fn trimmed(&self) -> &crate::kubernetes::object::Meta {
                &self.meta
            }
        }
    };
}
pub(super) use watched;
