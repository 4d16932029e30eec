//! Services that are registered in etcd, as SkyDNS wrote them: a copy that is kept current, and answers from it.
//!
//! ```text
//!   keep.rs       read everything, watch, and again when the connection is lost
//!     client.rs   calls of etcd's API; message.rs is what they say, endpoint.rs where it is
//!     mirror.rs   the copy, by key; service.rs is one value of it, lease.rs how long it is good for
//!   key.rs        name ↔ key
//!   answer.rs     name and type → records and what must be asked elsewhere; found.rs finds the services for it
//! ```

pub mod answer;
mod client;
mod endpoint;
mod found;
mod keep;
mod key;
mod lease;
mod message;
mod metrics;
mod mirror;
mod service;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

pub use endpoint::Endpoint;
pub use key::Root;
pub use lease::Bounds;
pub use mirror::Mirror;
use tokio::{task::JoinHandle, time::timeout};

use crate::{metrics::Registry, upstream::Tls, wire::Name};
use mirror::State;

/// Whom to ask for what.
#[derive(Debug)]
pub struct Source {
    /// The members of the cluster, one as good as another.
    pub endpoints: Vec<Endpoint>,
    /// User and password.
    pub credentials: Option<(String, String)>,
    /// How encrypted members are talked to; needed if there may be some.
    pub tls: Option<Arc<Tls>>,
    /// Where the records are.
    pub root: Root,
    /// The zones that are kept.
    pub zones: Vec<Name>,
}

/// A part of etcd's keys that is followed. Dropping it ends that.
pub struct Etcd {
    mirror: Arc<Mirror>,
    task: JoinHandle<()>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Etcd {
    /// Begins to follow. Needs a tokio runtime, on which that goes on.
    pub fn start(source: Source, registry: &Registry) -> Self {
        let mirror = Arc::new(Mirror::new(source.root.clone()));
        metrics::show(registry, &mirror, &source.zones);
        let failures = metrics::failures(registry);
        let task = tokio::spawn(keep::keep(Arc::clone(&mirror), source, failures));
        Self { mirror, task }
    }

    /// The copy.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Waits until everything has been read once, or nobody could be reached, at most for `patience`.
    pub async fn wait(&self, patience: Duration) {
        let mut state = self.mirror.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Unread));
        _ = timeout(patience, settled).await;
    }
}
