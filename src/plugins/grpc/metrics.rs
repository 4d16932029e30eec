use std::{net::SocketAddr, sync::OnceLock, time::Duration};

use crate::{
    metrics::{Counter, CounterFamily, Histogram, HistogramFamily, Registry, TIME_BUCKETS},
    wire::Rcode,
};

/// Response codes with a handle of their own; beyond them a look-up is made.
const RCODES: usize = 17;

/// What is counted of an upstream. Series appear when they are first counted.
pub(super) struct Metrics {
    to: String,
    families: (CounterFamily, CounterFamily, HistogramFamily),
    all: OnceLock<(Counter, Histogram)>,
    by_code: [OnceLock<Counter>; RCODES],
}

impl Metrics {
    pub(super) fn register(registry: &Registry, address: SocketAddr) -> Self {
        let requests =
            registry.counter("coredns_grpc_requests_total", "Queries that an upstream of grpc answered.", &["to"]);
        let responses =
            registry.counter("coredns_grpc_responses_total", "Answers of upstreams of grpc.", &["rcode", "to"]);
        let durations = registry.histogram(
            "coredns_grpc_request_duration_seconds",
            "Seconds until an upstream of grpc answered.",
            &["to"],
            &TIME_BUCKETS,
        );
        Self {
            to: address.to_string(),
            families: (requests, responses, durations),
            all: OnceLock::new(),
            by_code: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    pub(super) fn answered(&self, rcode: Rcode, taken: Duration) {
        let (requests, responses, durations) = &self.families;
        let all = || (requests.with_label_values(&[&self.to]), durations.with_label_values(&[&self.to]));
        let (count, duration) = self.all.get_or_init(all);
        count.inc();
        duration.observe(taken.as_secs_f64());
        let of_code = || responses.with_label_values(&[&rcode.to_string(), &self.to]);
        match self.by_code.get(usize::from(rcode.0)) {
            Some(cell) => cell.get_or_init(of_code).inc(),
            None => of_code().inc(),
        }
    }
}
