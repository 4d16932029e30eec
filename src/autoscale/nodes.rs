//! The nodes: listed, then watched. Only what counts is decoded.

use std::{
    borrow::Cow,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt as _;
use k8s_openapi::{ClusterResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Client,
    runtime::watcher::{self, Event},
};
use serde::{Deserialize, Deserializer};
use tokio::sync::Notify;

use super::{
    api::Thing,
    quantity::Cpu,
    report::Report,
    size::{Census, Node, Size},
    trouble::Trouble,
    watching::{Backoff, explain},
};
use crate::kubernetes::listing::events;

/// Nodes of one page, where the list comes in pages. They are large, with all their images, and a page is in memory as
/// text.
const PAGE: u32 = 25;

/// The nodes as they are known, and what keeps them from being known.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    census: Census,
    listed: bool,
    trouble: Option<Trouble>,
}

impl Nodes {
    /// The size of the cluster, once the nodes have been listed; else why they have not.
    pub(super) fn size(&self) -> Result<Size, Option<Trouble>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.listed { Ok(state.census.size()) } else { Err(state.trouble.clone()) }
    }

    /// Lists and watches without end. `changed` is told whenever the size is another.
    pub(super) async fn follow(
        self: Arc<Self>,
        client: Client,
        labels: String,
        changed: Arc<Notify>,
        report: Arc<Report>,
    ) {
        let labels = (!labels.is_empty()).then_some(labels);
        let config = watcher::Config { label_selector: labels, page_size: Some(PAGE), ..watcher::Config::default() };
        let thing =
            Thing { path: String::new(), resource: "nodes".to_owned(), namespace: String::new(), name: String::new() };
        let mut events = pin!(events(kube::Api::<WatchedNode>::all(client), config));
        let mut backoff = Backoff::default();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    backoff.reset();
                    if self.take(event) {
                        changed.notify_one();
                    }
                }
                Err(error) => {
                    if let Some(trouble) = explain(&thing, &error) {
                        report.trouble(&trouble);
                        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(trouble);
                    }
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Whether the size is another, as far as it is known.
    fn take(&self, event: Event<WatchedNode>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, listed) = (state.census.size(), state.listed);
        match event {
            Event::Init => state.census.begin_list(),
            Event::InitApply(node) | Event::Apply(node) => state.census.put(node.name(), node.trimmed()),
            Event::Delete(node) => state.census.remove(node.name()),
            Event::InitDone => {
                state.census.end_list();
                state.listed = true;
                state.trouble = None;
            }
        }
        state.listed && (!listed || state.census.size() != before)
    }
}

/// A Node as it arrives.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct WatchedNode {
    #[serde(deserialize_with = "name_and_version")]
    metadata: ObjectMeta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    allocatable: Allocatable,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Allocatable {
    cpu: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl WatchedNode {
    fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// A node without the field, or with one that cannot be read, adds no cores.
    fn trimmed(&self) -> Node {
        let ready =
            self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
        let cpu = self.status.allocatable.cpu.as_deref().and_then(Cpu::parse).unwrap_or_default();
        Node::new(self.spec.unschedulable, ready, cpu)
    }
}

/// Labels, annotations and managed fields are never made.
fn name_and_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    struct Meta {
        name: Option<String>,
        #[serde(rename = "resourceVersion")]
        version: Option<String>,
    }
    let meta = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta { name: meta.name, resource_version: meta.version, ..ObjectMeta::default() })
}

impl kube::Resource for WatchedNode {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        "Node".into()
    }
    fn group(_: &()) -> Cow<'_, str> {
        "".into()
    }
    fn version(_: &()) -> Cow<'_, str> {
        "v1".into()
    }
    fn plural(_: &()) -> Cow<'_, str> {
        "nodes".into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_trimmed_while_it_is_decoded() {
        for (text, node) in [
            (
                r#"{"metadata": {"name": "a", "labels": {"x": "y"}}, "spec": {"podCIDR": "10.0.0.0/24"},
                "status": {"allocatable": {"cpu": "3920m", "memory": "1Gi"},
                "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}}"#,
                Node::new(false, true, Cpu::parse("3920m").unwrap()),
            ),
            (
                r#"{"metadata": {"name": "b"}, "spec": {"unschedulable": true},
                "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}"#,
                Node::new(true, false, Cpu::default()),
            ),
            (r#"{"metadata": {"name": "c"}}"#, Node::new(false, false, Cpu::default())),
        ] {
            let node_seen: WatchedNode = serde_json::from_str(text).unwrap();
            assert_eq!(node_seen.trimmed(), node, "{text}");
        }
    }
}
