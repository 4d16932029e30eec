#![doc = include_str!("README.md")]

mod config;
mod metrics;

use std::sync::Arc;

use crate::{
    cache::{AnswerCache, Class, Half, Key, Limits, classify},
    chain::{Context, Directive, Plugin, Rest, Step, ZoneSet},
    wire::{Body, Origin, Packet, Rcode, Response},
};
use metrics::Metrics;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "cache", parse: config::parse };

struct CachePlugin {
    zones: ZoneSet,
    limits: Limits,
    /// Zones whose answers are not kept: with data, and denials.
    disabled: [ZoneSet; 2],
    keep_ttl: bool,
    store: Arc<AnswerCache>,
    metrics: Vec<Metrics>,
}

impl Plugin for CachePlugin {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        let question = cx.question();
        if !self.zones.contains(&question.name) {
            return Step::Next;
        }
        let metrics = &self.metrics[usize::from(cx.place.server)];
        metrics.requests.inc();
        let key = Key::of(question, &cx.query);
        match self.find(&key, cx) {
            Some((half, packet)) => {
                metrics.hits(half).inc();
                let mut response = Response::packet(packet);
                response.origin = Origin::Stored;
                response.into()
            }
            None => {
                metrics.misses.inc();
                Step::Next
            }
        }
    }

    fn response(&self, cx: &mut Context, response: &mut Response) {
        if !self.zones.contains(&cx.question().name) {
            return;
        }
        match response.origin {
            Origin::Live => self.cap(response),
            Origin::Fetched => self.keep(cx, response),
            Origin::Stored => {}
        }
    }
}

impl CachePlugin {
    /// Denials first; but a failure gives way to an answer.
    fn find(&self, key: &Key, cx: &Context) -> Option<(Half, Packet)> {
        let fresh = |half| {
            let entry = self.store.find(half, key)?;
            Some((entry.rcode(), entry.fresh(cx.start, self.keep_ttl)?))
        };
        match fresh(Half::Denial) {
            Some((Rcode::SERVFAIL, failure)) => {
                let answer = fresh(Half::Success).map(|(_, packet)| (Half::Success, packet));
                Some(answer.unwrap_or((Half::Denial, failure)))
            }
            Some((_, denial)) => Some((Half::Denial, denial)),
            None => fresh(Half::Success).map(|(_, packet)| (Half::Success, packet)),
        }
    }

    /// Live data is not kept, but clients keep it no longer than other data.
    fn cap(&self, response: &mut Response) {
        let Body::Records(records) = &mut response.body else { return };
        let most = if records.answer.is_empty() { self.limits.denial.1 } else { self.limits.success.1 };
        let most = u32::try_from(most.as_secs()).unwrap_or(u32::MAX);
        for section in [&mut records.answer, &mut records.authority, &mut records.additional] {
            section.iter_mut().for_each(|record| record.ttl = record.ttl.min(most));
        }
    }

    fn keep(&self, cx: &Context, response: &mut Response) {
        let question = cx.question();
        let made;
        let packet = match &response.body {
            Body::Packet(packet) => packet,
            Body::Records(_) => match Packet::of(question, response) {
                Ok(packet) => {
                    made = packet;
                    &made
                }
                Err(_) => return,
            },
        };
        if packet.question() != question {
            self.metrics[usize::from(cx.place.server)].drops.inc();
            return;
        }
        let (class, storable) = classify(packet, question, &self.limits);
        let Some(storable) = storable else { return };
        let key = Key::of(question, &cx.query);
        let disabled = &self.disabled[usize::from(storable.half == Half::Denial)];
        if !disabled.contains(&question.name) {
            self.store.keep(storable.half, &key, packet.clone(), storable.ttl, cx.start);
            if storable.half == Half::Success {
                self.store.forget(Half::Denial, &key);
            }
        }
        // Every record leaves with the TTL that the cache goes by, now as later.
        if class != Class::Failure && !self.keep_ttl {
            let packet = packet.clone().with_ttl(storable.ttl.as_secs() as u32);
            response.body = Body::Packet(packet);
        }
    }
}
