use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use crate::{
    metrics::{Counter, CounterFamily, Histogram, HistogramFamily, Registry, TIME_BUCKETS},
    upstream::Protocol,
    wire::Rcode,
};

const NAME: &str = "forward";
/// Response codes with a handle of their own; beyond them a look-up is made.
const RCODES: usize = 17;
/// Ways to ask an upstream; the last one is the highest.
const PROTOCOLS: usize = Protocol::Grpc as usize + 1;

/// What is counted of a `forward` line.
pub(super) struct Metrics {
    pub(super) all_down: Counter,
    pub(super) rejects: Counter,
}

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let single = |name: &str, help: &str| registry.counter(name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            all_down: single("coredns_forward_healthcheck_broken_total", "Queries at which all upstreams were down."),
            rejects: single(
                "coredns_forward_max_concurrent_rejects_total",
                "Queries refused because too many were under way.",
            ),
        }
    }
}

/// What is counted of an upstream. Series appear when they are first counted.
pub(super) struct MemberMetrics {
    to: String,
    duration: HistogramFamily,
    durations: [OnceLock<Histogram>; RCODES],
    connections: [CounterFamily; 2],
    by_protocol: [[OnceLock<Counter>; PROTOCOLS]; 2],
    /// A family of older CoreDNS, which dashboards of node caches still ask for.
    requests: Counter,
    pub(super) probe_failures: Counter,
}

impl MemberMetrics {
    pub(super) fn register(registry: &Registry, address: SocketAddr) -> Self {
        let to = address.to_string();
        let connection = ["proxy_name", "to", "proto"];
        let probe_failures = registry.counter(
            "coredns_proxy_healthcheck_failures_total",
            "Probes of an upstream that failed.",
            &["proxy_name", "to"],
        );
        let requests =
            registry.counter("coredns_forward_requests_total", "Queries that an upstream answered.", &["to"]);
        Self {
            requests: requests.with_label_values(&[&to]),
            duration: registry.histogram(
                "coredns_proxy_request_duration_seconds",
                "Seconds until an upstream answered.",
                &["proxy_name", "to", "rcode"],
                &TIME_BUCKETS,
            ),
            durations: std::array::from_fn(|_| OnceLock::new()),
            connections: [
                registry.counter(
                    "coredns_proxy_conn_cache_misses_total",
                    "Exchanges over a new connection or socket.",
                    &connection,
                ),
                registry.counter(
                    "coredns_proxy_conn_cache_hits_total",
                    "Exchanges over a kept connection.",
                    &connection,
                ),
            ],
            by_protocol: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            probe_failures: probe_failures.with_label_values(&[NAME, &to]),
            to,
        }
    }

    pub(super) fn answered(&self, protocol: Protocol, kept: bool, rcode: Rcode, taken: Duration) {
        let duration = || self.duration.with_label_values(&[NAME, &self.to, &rcode.to_string()]);
        match self.durations.get(usize::from(rcode.0)) {
            Some(cell) => cell.get_or_init(duration).observe(taken.as_secs_f64()),
            None => duration().observe(taken.as_secs_f64()),
        }
        self.requests.inc();
        let family = &self.connections[usize::from(kept)];
        let counter = || family.with_label_values(&[NAME, &self.to, protocol.as_str()]);
        self.by_protocol[usize::from(kept)][protocol as usize].get_or_init(counter).inc();
    }
}
