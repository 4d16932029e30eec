#![doc = include_str!("README.md")]

mod config;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{
    chain::Directive,
    http,
    metrics::{Counter, Histogram, Registry, SLIM_TIME_BUCKETS},
};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "health", parse: config::parse };

const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the process's own health endpoint, to see how long an answer takes.
struct SelfProbe {
    duration: Histogram,
    failures: Counter,
}

impl SelfProbe {
    fn register(registry: &Registry) -> Self {
        let duration = registry.histogram(
            "coredns_health_request_duration_seconds",
            "Seconds that the server's request to its own health endpoint took.",
            &[],
            &SLIM_TIME_BUCKETS,
        );
        let failures = registry.counter(
            "coredns_health_request_failures_total",
            "Requests to the own health endpoint that failed.",
            &[],
        );
        Self { duration: duration.with_label_values::<&str>(&[]), failures: failures.with_label_values::<&str>(&[]) }
    }

    async fn run(self, address: String) {
        let Some(address) = reachable(&address).await else { return };
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let start = Instant::now();
            match http::probe(address, "/health", PATIENCE).await {
                Ok(_) => {
                    let taken = start.elapsed();
                    self.duration.observe(taken.as_secs_f64());
                    if taken > EVERY {
                        tracing::warn!(target: "plugin/health", "Local health request to {address} took {taken:?}");
                    }
                }
                Err(error) => {
                    self.failures.inc();
                    tracing::warn!(target: "plugin/health", "Local health request to {address} failed: {error}");
                }
            }
        }
    }
}

/// Where to reach an address that the server listens on.
async fn reachable(address: &str) -> Option<SocketAddr> {
    let mut found = tokio::net::lookup_host(http::with_host(address)).await.ok()?.next()?;
    if found.ip().is_unspecified() {
        found.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Some(found)
}
