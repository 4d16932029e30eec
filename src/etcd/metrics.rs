use std::sync::{Arc, Weak};

use super::mirror::{Entry, Mirror, Span};
use crate::{
    metrics::{CounterFamily, Registry},
    wire::Name,
};

/// How often a member of the cluster was of no use.
pub(super) fn failures(registry: &Registry) -> CounterFamily {
    registry.counter(
        "seamark_etcd_failures_total",
        "Connections to a member of etcd that failed or were lost, by endpoint.",
        &["endpoint"],
    )
}

/// Sizes and age of a copy, by zone.
pub(super) fn show(registry: &Registry, mirror: &Arc<Mirror>, zones: &[Name]) {
    let spans: Vec<(String, [Span; 2])> = zones
        .iter()
        .map(|zone| {
            let key = mirror.root.of_zone(zone);
            (zone.to_lowercase().to_string(), [Span::below(&key), Span::only(&key)])
        })
        .collect();
    let count = |mirror: &Mirror, spans: &[Span; 2], counts: fn(&Entry) -> bool| {
        let records = mirror.records();
        let within = |span: &Span| records.within(span).filter(|(_, entry)| counts(entry)).count();
        spans.iter().map(within).sum::<usize>() as i64
    };
    let sized = |name: &str, help: &str, counts: fn(&Entry) -> bool| {
        let (mirror, spans): (Weak<Mirror>, _) = (Arc::downgrade(mirror), spans.clone());
        registry.sampled_gauge(name, help, &["zone"], move || {
            let mirror = mirror.upgrade()?;
            Some(spans.iter().map(|(zone, spans)| (vec![zone.clone()], count(&mirror, spans, counts))).collect())
        });
    };
    sized("seamark_etcd_records", "Values of etcd that are kept, by zone.", |_| true);
    sized("seamark_etcd_bad_records", "Values of etcd among them that are no service, by zone.", |entry| {
        entry.service.is_none()
    });
    let (mirror, zones) = (Arc::downgrade(mirror), spans.into_iter().map(|(zone, _)| zone).collect::<Vec<_>>());
    registry.sampled_gauge(
        "seamark_etcd_age_seconds",
        "Seconds since etcd has last confirmed what is kept, by zone.",
        &["zone"],
        move || {
            let age = mirror.upgrade()?.age();
            let series = |age: std::time::Duration| {
                zones.iter().map(|zone| (vec![zone.clone()], age.as_secs() as i64)).collect()
            };
            Some(age.map(series).unwrap_or_default())
        },
    );
}
