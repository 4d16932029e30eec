use std::sync::Weak;

use crate::{
    cache::{AnswerCache, Half},
    metrics::{Counter, Registry},
};

/// Handles of one server.
pub(super) struct Metrics {
    pub(super) requests: Counter,
    pub(super) misses: Counter,
    pub(super) drops: Counter,
    hits: [Counter; 2],
}

impl Metrics {
    pub(super) fn register(registry: &Registry, server: &str, zones: &str) -> Self {
        let place = ["server", "zones", "view"];
        let counter =
            |name: &str, help: &str| registry.counter(name, help, &place).with_label_values(&[server, zones, ""]);
        let hits = registry.counter(
            "coredns_cache_hits_total",
            "Answers from the cache by half.",
            &["server", "type", "zones", "view"],
        );
        // Counted once those properties are there; the families exist so that dashboards find them.
        counter("coredns_cache_prefetch_total", "Answers fetched again before they ended.");
        counter("coredns_cache_served_stale_total", "Answers given after their end.");
        Self {
            requests: counter("coredns_cache_requests_total", "Queries that the cache was asked."),
            misses: counter("coredns_cache_misses_total", "Queries that the cache could not answer."),
            drops: counter("coredns_cache_drops_total", "Answers that were not to the question, and so not kept."),
            hits: ["success", "denial"].map(|half| hits.with_label_values(&[server, half, zones, ""])),
        }
    }

    pub(super) const fn hits(&self, half: Half) -> &Counter {
        match half {
            Half::Success => &self.hits[0],
            Half::Denial => &self.hits[1],
        }
    }
}

/// Sizes are read when somebody scrapes.
pub(super) fn sample(registry: &Registry, store: &Weak<AnswerCache>, server: &str, zones: &str) {
    let labels = ["server", "type", "zones", "view"];
    let row = |server: &str, half: &str, zones: &str| {
        vec![server.to_owned(), half.to_owned(), zones.to_owned(), String::new()]
    };
    let read = |count: fn(&AnswerCache, Half) -> u64| {
        let (store, server, zones) = (Weak::clone(store), server.to_owned(), zones.to_owned());
        move || {
            let store = store.upgrade()?;
            let halves = [("success", Half::Success), ("denial", Half::Denial)];
            let rows = halves.map(|(name, half)| (row(&server, name, &zones), count(&store, half) as i64));
            Some(rows.to_vec())
        }
    };
    registry.sampled_gauge("coredns_cache_entries", "Answers in the cache.", &labels, read(AnswerCache::len));
    let help = "Answers that had to go for others.";
    registry.sampled_gauge("coredns_cache_evictions_total", help, &labels, read(AnswerCache::evictions));
}
