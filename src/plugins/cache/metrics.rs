use std::sync::Weak;

use crate::{
    cache::{AnswerCache, Half},
    chain::{Recurrence, Tally},
    metrics::{Counter, Registry},
};

const WITH_TYPE: [&str; 4] = ["server", "type", "zones", "view"];

/// Handles of one server.
pub(super) struct Metrics {
    pub(super) requests: Counter,
    pub(super) misses: Counter,
    pub(super) drops: Counter,
    pub(super) prefetches: Counter,
    pub(super) stale: Counter,
    hits: [Counter; 2],
}

impl Metrics {
    pub(super) fn register(registry: &Registry, server: &str, zones: &str, view: &str) -> Self {
        let place = ["server", "zones", "view"];
        let counter =
            |name: &str, help: &str| registry.counter(name, help, &place).with_label_values(&[server, zones, view]);
        let hits = registry.counter("coredns_cache_hits_total", "Answers from the cache by half.", &WITH_TYPE);
        Self {
            requests: counter("coredns_cache_requests_total", "Queries that the cache was asked."),
            misses: counter("coredns_cache_misses_total", "Queries that the cache could not answer."),
            drops: counter("coredns_cache_drops_total", "Answers that were not to the question, and so not kept."),
            prefetches: counter("coredns_cache_prefetch_total", "Answers that were fetched again for later queries."),
            stale: counter("coredns_cache_served_stale_total", "Answers given after their end."),
            hits: ["success", "denial"].map(|half| hits.with_label_values(&[server, half, zones, view])),
        }
    }

    /// Counts requests that hit this half, or miss.
    pub(super) fn tally(&self, hit: Option<Half>) -> Tally {
        let outcome = hit.map_or(&self.misses, |half| self.hits(half)).clone();
        let requests = self.requests.clone();
        let place = std::ptr::from_ref(self).addr() as u64;
        let identity = place.wrapping_mul(3).wrapping_add(hit.map_or(0, |half| 1 + half as u64));
        let count = move |recurrence: &Recurrence| {
            requests.inc_by(recurrence.times);
            outcome.inc_by(recurrence.times);
        };
        Tally { identity, count: Box::new(count) }
    }

    pub(super) const fn hits(&self, half: Half) -> &Counter {
        match half {
            Half::Success => &self.hits[0],
            Half::Denial => &self.hits[1],
        }
    }
}

/// Counters of the answers that had to go, by half. A store cannot tell for which server's sake they went, so that
/// all are counted for the first.
pub(super) fn evictions(registry: &Registry, server: &str, zones: &str, view: &str) -> [Counter; 2] {
    let help = "Answers that had to go for others.";
    let family = registry.counter("coredns_cache_evictions_total", help, &WITH_TYPE);
    ["success", "denial"].map(|half| family.with_label_values(&[server, half, zones, view]))
}

/// Sizes are read when somebody scrapes. The servers of a block share one store, and each shows its size.
pub(super) fn sample(registry: &Registry, store: &Weak<AnswerCache>, servers: &[String], zones: &str, view: &str) {
    type Size = fn(&AnswerCache, Half) -> i64;
    let gauges: [(&str, &str, Size); 2] = [
        ("coredns_cache_entries", "Answers in the cache.", |store, half| store.len(half) as i64),
        ("seamark_cache_bytes", "Octets of memory that the answers in the cache take.", AnswerCache::bytes),
    ];
    for (name, help, size) in gauges {
        let (store, servers, [zones, view]) = (Weak::clone(store), servers.to_vec(), [zones, view].map(str::to_owned));
        registry.sampled_gauge(name, help, &WITH_TYPE, move || {
            let store = store.upgrade()?;
            let halves = [("success", Half::Success), ("denial", Half::Denial)];
            let sizes = halves.map(|(name, half)| (name, size(&store, half)));
            let row = |server: &String, half: &str| vec![server.clone(), half.to_owned(), zones.clone(), view.clone()];
            Some(servers.iter().flat_map(|server| sizes.map(|(half, size)| (row(server, half), size))).collect())
        });
    }
}
