//! What the cluster is, in memory. Knows no Corefile: `plugins/kubernetes` says what to watch and how to answer.
//!
//! ```text
//!   listing.rs     list + watch, list again
//!   watch.rs       into the index, pause after errors   manifests.rs   the same from files
//!     object/      keep only what answers need
//!       index/     by service, address, pod, namespace
//!   grammar.rs     name → Lookup, labels.rs: Lookup → labels
//!     answer.rs    Lookup + index → records
//!       apex.rs    SOA, NS, dns-version
//!     external.rs  the same for addresses outside of the cluster
//! ```

pub mod answer;
mod apex;
pub mod client;
pub mod external;
pub mod grammar;
pub mod index;
mod labels;
pub mod listing;
pub mod manifests;
mod metrics;
pub mod object;
pub mod rights;
mod selector;
mod watch;
pub mod whole;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, interval, sleep},
};

pub use client::{Access, ClientError};
pub use labels::label;
pub use manifests::Selection;
pub use object::Details;
pub use selector::Selector;

use crate::{metrics::Registry, wire::Name};
use answer::Policy;
use client::Contact;
use index::{Index, Indexed};
use metrics::{ClusterMetrics, Quiet, SliceDelay};
use object::{WatchedImport, WatchedNamespace, WatchedPod, WatchedService, WatchedSlice};
use watch::{Observer, Scope, State};

/// What to watch, and where. Two stanzas that say the same share one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watching {
    /// Where the objects come from.
    pub source: Source,
    /// Label selector for services, slices and pods.
    pub labels: Option<String>,
    /// Label selector for namespaces.
    pub namespace_labels: Option<String>,
    /// Watch slices.
    pub endpoints: bool,
    /// Watch pods.
    pub pods: bool,
    /// What to keep for the sake of some answers.
    pub details: Details,
    /// Watch imported services.
    pub multicluster: bool,
    /// How many requests to the API server may be under way; 0 = any number.
    pub max_inflight: usize,
    /// Watch the pods of this node and nothing else.
    pub node: Option<String>,
}

/// A cluster as a server block answers for it: what the `kubernetes` directive leaves for others of the block.
pub struct Served {
    /// The objects.
    pub cluster: Arc<Cluster>,
    /// The zones, longest first.
    pub zones: Vec<Name>,
    /// How they are answered.
    pub policy: Policy,
}

/// Where the objects come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// An API server.
    Api(Access),
    /// Files.
    Manifests(PathBuf),
}

/// Why a cluster cannot be watched at all.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No files.
    #[error(transparent)]
    Manifests(#[from] manifests::ManifestError),
    /// A selector is none.
    #[error("{0}")]
    Selector(String),
}

/// A watched cluster. Dropping it ends the watches.
pub struct Cluster {
    index: Arc<Index>,
    states: Vec<Arc<State>>,
    contact: Arc<Contact>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Cluster {
    /// Begins to watch. Needs a tokio runtime, on which the watches go on.
    ///
    /// # Errors
    /// Something on disk is missing or wrong. An API server that does not answer is none: it is tried again.
    pub fn start(watching: &Watching, registry: &Arc<Registry>) -> Result<Self, ClusterError> {
        let index = Arc::new(Index::new(watching.details));
        let metrics = ClusterMetrics::register(registry, &index);
        let mut cluster = Self { index, states: Vec::new(), contact: Arc::default(), tasks: Vec::new() };
        match &watching.source {
            Source::Api(access) => cluster.watch_api(watching, access, registry, &metrics)?,
            Source::Manifests(path) => cluster.watch_files(watching, path)?,
        }
        Ok(cluster)
    }

    /// The objects.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether everything has been listed once.
    pub fn is_synced(&self) -> bool {
        self.states.iter().all(|state| state.is_synced())
    }

    /// Whether everything has been listed once, and changes arrive as they are made: no watch has failed without
    /// having been taken up again.
    pub fn is_current(&self) -> bool {
        self.is_synced() && self.contact.is_there()
    }

    /// Waits until everything has been listed once, at most for `patience`; says whether it has.
    pub async fn wait_synced(&self, patience: Duration) -> bool {
        let start = Instant::now();
        let mut told = start;
        while !self.is_synced() {
            if start.elapsed() >= patience {
                return false;
            }
            if told.elapsed() >= Duration::from_millis(500) {
                told = Instant::now();
                tracing::info!(target: "plugin/kubernetes", "waiting for Kubernetes API before starting server");
            }
            sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Waits until the cluster is known as it is now, at most for `patience`; says whether it is.
    pub async fn wait_current(&self, patience: Duration) -> bool {
        let start = Instant::now();
        while !self.is_current() && start.elapsed() < patience {
            sleep(Duration::from_millis(20)).await;
        }
        self.is_current()
    }

    fn watch_api(
        &mut self,
        watching: &Watching,
        access: &Access,
        registry: &Arc<Registry>,
        metrics: &ClusterMetrics,
    ) -> Result<(), ClusterError> {
        let connecting = client::connect(access, watching.max_inflight, registry, Some(Arc::clone(&self.contact)));
        // Only files are read here; tokio's blocking sections are for just that.
        let runtime = tokio::runtime::Handle::current();
        let client = tokio::task::block_in_place(|| runtime.block_on(connecting))?;
        let labels = Scope { labels: watching.labels.clone(), fields: None };
        let namespaces = Scope { labels: watching.namespace_labels.clone(), fields: None };
        let quiet = Arc::new(Quiet);
        let living = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown";
        if let Some(node) = &watching.node {
            let fields = Some(format!("spec.nodeName={node},{living}"));
            self.watch::<WatchedPod>(&client, Scope { fields, ..labels }, metrics, quiet);
            return Ok(());
        }
        self.watch::<WatchedNamespace>(&client, namespaces, metrics, Arc::clone(&quiet) as _);
        self.watch::<WatchedService>(&client, labels.clone(), metrics, Arc::clone(&quiet) as _);
        if watching.endpoints {
            let delay = Arc::new(SliceDelay::new(metrics, &self.index));
            self.watch::<WatchedSlice>(&client, labels.clone(), metrics, delay);
        }
        if watching.pods {
            let scope = Scope { fields: Some(living.to_owned()), ..labels };
            self.watch::<WatchedPod>(&client, scope, metrics, Arc::clone(&quiet) as _);
        }
        if watching.multicluster {
            self.watch::<WatchedImport>(&client, Scope::default(), metrics, quiet as _);
        }
        Ok(())
    }

    fn watch<K: Indexed>(
        &mut self,
        client: &kube::Client,
        scope: Scope,
        metrics: &ClusterMetrics,
        observer: Arc<dyn Observer<K>>,
    ) {
        let state = Arc::new(State::default());
        self.states.push(Arc::clone(&state));
        let restarts = metrics.restarts(K::RESOURCE);
        let keeping = watch::keep(
            client.clone(),
            scope,
            Arc::clone(&self.index),
            (state, Arc::clone(&self.contact)),
            restarts,
            observer,
        );
        self.tasks.push(tokio::spawn(keeping));
    }

    fn watch_files(&mut self, watching: &Watching, path: &Path) -> Result<(), ClusterError> {
        let parse =
            |text: &Option<String>| text.as_deref().map(Selector::parse).transpose().map_err(ClusterError::Selector);
        let selection = Selection {
            objects: parse(&watching.labels)?,
            namespaces: parse(&watching.namespace_labels)?,
            endpoints: watching.endpoints,
            pods: watching.pods,
            imports: watching.multicluster,
        };
        let mut seen = manifests::signature(path);
        manifests::read(path)?.apply(&self.index, &selection, watch::now());
        let state = Arc::new(State::default());
        state.set_synced();
        self.states.push(state);
        let (index, path) = (Arc::clone(&self.index), path.to_owned());
        self.tasks.push(tokio::spawn(async move {
            let mut ticks = interval(manifests::EVERY);
            loop {
                ticks.tick().await;
                let found = manifests::signature(&path);
                if found == seen {
                    continue;
                }
                seen = found;
                match manifests::read(&path) {
                    Ok(objects) => objects.apply(&index, &selection, watch::now()),
                    Err(error) => {
                        tracing::error!(target: "plugin/kubernetes", "{error}; the last good state goes on");
                    }
                }
            }
        }));
        Ok(())
    }
}
