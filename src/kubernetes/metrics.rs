use std::sync::{Arc, Weak};

use jiff::Timestamp;

use super::{
    index::Index,
    object::{ServiceKind, Watched as _, WatchedSlice},
    watch::Observer,
};
use crate::{
    metrics::{Counter, CounterFamily, HistogramFamily, Registry},
    versions::Seen,
};

/// What is counted of a watched cluster.
pub(super) struct ClusterMetrics {
    restarts: CounterFamily,
    delay: HistogramFamily,
}

impl ClusterMetrics {
    pub(super) fn register(registry: &Registry, index: &Arc<Index>) -> Self {
        let sizes: Weak<Index> = Arc::downgrade(index);
        registry.sampled_gauge(
            "seamark_kubernetes_objects",
            "Objects of the cluster that are kept, by kind.",
            &["kind"],
            move || {
                let sizes = sizes.upgrade()?.sizes();
                Some(sizes.into_iter().map(|(kind, count)| (vec![kind.to_owned()], count as i64)).collect())
            },
        );
        let buckets: Vec<f64> = (0..20).map(|power| 0.001 * f64::from(1 << power)).collect();
        Self {
            restarts: registry.counter(
                "seamark_kubernetes_relists_total",
                "How often objects were listed anew after the first time, by resource.",
                &["resource"],
            ),
            delay: registry.histogram(
                "coredns_kubernetes_dns_programming_duration_seconds",
                "Seconds from a change of a service's endpoints until it is answered.",
                &["service_kind"],
                &buckets,
            ),
        }
    }

    pub(super) fn restarts(&self, resource: &str) -> Counter {
        self.restarts.with_label_values(&[resource])
    }
}

/// An observer that does nothing.
pub(super) struct Quiet;

impl<K> Observer<K> for Quiet {
    fn changed(&self, _: &K) {}
}

/// Measures how long it took from a change in the cluster until it is answered.
pub(super) struct SliceDelay {
    delay: HistogramFamily,
    index: Arc<Index>,
}

impl SliceDelay {
    pub(super) fn new(metrics: &ClusterMetrics, index: &Arc<Index>) -> Self {
        Self { delay: metrics.delay.clone(), index: Arc::clone(index) }
    }
}

impl Observer<WatchedSlice> for SliceDelay {
    fn changed(&self, object: &WatchedSlice) {
        let Some(text) = &object.trimmed().last_change else { return };
        let Ok(changed) = text.parse::<Timestamp>() else {
            tracing::warn!(target: "plugin/kubernetes", slice = object.trimmed().name(), "bad last-change-trigger-time `{text}`");
            return;
        };
        let Some(key) = object.local_service() else { return };
        let (namespace, name) = (key.namespace().as_bytes(), key.name().as_bytes());
        let Some(service) = self.index.local.service(namespace, name, &mut Seen::default()) else { return };
        let kind = match service.kind {
            ServiceKind::Headless => "headless_with_selector",
            _ => "cluster_ip",
        };
        let seconds = Timestamp::now().duration_since(changed).as_secs_f64();
        self.delay.with_label_values(&[kind]).observe(seconds);
    }
}
