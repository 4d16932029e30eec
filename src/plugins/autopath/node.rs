use std::{sync::Arc, time::Duration};

use crate::{
    chain::{Block, BuildError},
    kubernetes::{Access, Cluster, Details, Source, Watching},
    metrics::Registry,
};

/// The environment variable that names the node, set from `spec.nodeName` in the manifest.
const NODE_NAME: &str = "NODE_NAME";
/// How often the log looks whether the pods are known.
const LOOK: Duration = Duration::from_secs(1);

/// Which node's pods to know, and who knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: Option<String>,
    pub(super) access: Access,
}

impl Node {
    /// Begins to watch the pods. A node without access to the API server is served all the same: `None`.
    pub(super) fn watch(self, block: &mut Block<'_>) -> Result<Option<Arc<Cluster>>, BuildError> {
        let from_environment = || std::env::var(NODE_NAME).ok().filter(|name| !name.is_empty());
        let node = self.name.or_else(from_environment).ok_or_else(|| {
            BuildError(format!("which node is this? Set the environment variable {NODE_NAME}, or `name` in the block"))
        })?;
        let in_cluster = self.access == Access::InCluster;
        let watching = Watching {
            source: Source::Api(self.access),
            labels: None,
            namespace_labels: None,
            endpoints: false,
            pods: true,
            details: Details::default(),
            multicluster: false,
            max_inflight: 0,
            node: Some(node.clone()),
        };
        let registry = Arc::clone(block.registry());
        let made = block.shared::<Pods>(&format!("{watching:?}"), || {
            let cluster = Cluster::start(&watching, &registry).map_err(|error| BuildError(error.to_string()))?;
            let cluster = Arc::new(cluster);
            show(&registry, &cluster, node.clone());
            Ok(Pods(cluster))
        });
        let cluster = match made {
            Ok(pods) => Arc::clone(&pods.0),
            Err(error) if in_cluster => {
                tracing::error!(target: "plugin/autopath", "{error}: clients walk their search lists themselves");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        block.task(tell(Arc::clone(&cluster), node));
        Ok(Some(cluster))
    }
}

/// The pods of one node, kept across reloads.
struct Pods(Arc<Cluster>);

fn show(registry: &Registry, cluster: &Arc<Cluster>, node: String) {
    let cluster = Arc::downgrade(cluster);
    let help = "Whether the pods of the node are known as they are now.";
    registry.sampled_gauge("seamark_autopath_pods_known", help, &["node"], move || {
        Some(vec![(vec![node.clone()], i64::from(cluster.upgrade()?.is_current()))])
    });
}

/// Says in the log, once each time, that the pods are not known and that they are known again.
async fn tell(cluster: Arc<Cluster>, node: String) {
    let mut known = cluster.wait_current(LOOK * 5).await;
    let mut told = true;
    loop {
        if !told && known {
            tracing::info!(target: "plugin/autopath", "the pods of node {node} are known again");
        } else if told && !known {
            tracing::warn!(
                target: "plugin/autopath",
                "the pods of node {node} are not known now: clients walk their search lists themselves"
            );
        }
        told = known;
        tokio::time::sleep(LOOK).await;
        known = cluster.is_current();
    }
}
