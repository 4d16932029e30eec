use std::sync::{Arc, Weak};

use super::signer::Signer;
use crate::metrics::{Counter, Registry};

/// Handles of one server.
pub(super) struct Metrics {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
}

impl Metrics {
    pub(super) fn register(registry: &Registry, server: &str, signer: &Arc<Signer>) -> Self {
        let counter = |name: &str, help: &str| registry.counter(name, help, &["server"]).with_label_values(&[server]);
        let (server_label, signer) = (server.to_owned(), Arc::downgrade(signer));
        registry.sampled_gauge(
            "coredns_dnssec_cache_entries",
            "Record sets whose signatures are kept.",
            &["server", "type"],
            move || {
                let kept = Weak::upgrade(&signer)?.kept() as i64;
                Some(vec![(vec![server_label.clone(), "signature".to_owned()], kept)])
            },
        );
        Self {
            hits: counter("coredns_dnssec_cache_hits_total", "Record sets whose signatures were there."),
            misses: counter("coredns_dnssec_cache_misses_total", "Record sets that had to be signed."),
        }
    }
}
