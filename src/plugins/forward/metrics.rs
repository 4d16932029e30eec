use std::{net::SocketAddr, time::Duration};

use crate::{
    metrics::{Counter, CounterFamily, HistogramFamily, Registry, TIME_BUCKETS},
    wire::Rcode,
};

/// What is counted of upstreams.
pub(super) struct Metrics {
    duration: HistogramFamily,
    probe_failures: CounterFamily,
    kept: CounterFamily,
    new: CounterFamily,
    pub(super) all_down: Counter,
    pub(super) rejects: Counter,
}

const NAME: &str = "forward";

impl Metrics {
    pub(super) fn register(registry: &Registry) -> Self {
        let single = |name: &str, help: &str| registry.counter(name, help, &[]).with_label_values::<&str>(&[]);
        let connection = ["proxy_name", "to", "proto"];
        Self {
            duration: registry.histogram(
                "coredns_proxy_request_duration_seconds",
                "Seconds until an upstream answered.",
                &["proxy_name", "to", "rcode"],
                &TIME_BUCKETS,
            ),
            probe_failures: registry.counter(
                "coredns_proxy_healthcheck_failures_total",
                "Probes of an upstream that failed.",
                &["proxy_name", "to"],
            ),
            kept: registry.counter(
                "coredns_proxy_conn_cache_hits_total",
                "Exchanges over a kept connection.",
                &connection,
            ),
            new: registry.counter(
                "coredns_proxy_conn_cache_misses_total",
                "Exchanges over a new connection or socket.",
                &connection,
            ),
            all_down: single("coredns_forward_healthcheck_broken_total", "Queries at which all upstreams were down."),
            rejects: single(
                "coredns_forward_max_concurrent_rejects_total",
                "Queries refused because too many were under way.",
            ),
        }
    }

    // An exchange over the network costs a thousand times more than these look-ups.
    pub(super) fn answered(&self, to: SocketAddr, tcp: bool, kept: bool, rcode: Rcode, taken: Duration) {
        let to = to.to_string();
        self.duration.with_label_values(&[NAME, &to, &rcode.to_string()]).observe(taken.as_secs_f64());
        let family = if kept { &self.kept } else { &self.new };
        family.with_label_values(&[NAME, &to, if tcp { "tcp" } else { "udp" }]).inc();
    }

    pub(super) fn probe_failed(&self, to: SocketAddr) {
        self.probe_failures.with_label_values(&[NAME, &to.to_string()]).inc();
    }
}
