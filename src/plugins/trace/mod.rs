#![doc = include_str!("README.md")]

mod config;
mod reporter;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use crate::{
    chain::{AskedUpstream, Context, Directive, Plugin, Rest, Sent, Step, WatchUpstreams},
    wire::Name,
};
use reporter::Reporter;

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "trace", parse: config::parse };

/// What a traced query is marked with: its number, as the label of the same name gives it to others.
const MARK: &str = "trace/traceid";

/// The link of the chain.
struct Trace(Arc<Tracer>);

struct Tracer {
    service: String,
    every: u64,
    seen: AtomicU64,
    reporter: Arc<Reporter>,
}

impl Plugin for Trace {
    fn name(&self) -> &'static str {
        "trace"
    }

    fn query(&self, cx: &mut Context, _: Rest<'_>) -> Step {
        // Questions of our own belong to the client's.
        if cx.depth() == 0 && self.0.takes() {
            cx.note(MARK, format!("{:016x}", rand::random::<u64>()));
        }
        Step::Next
    }

    fn sent(&self, cx: &Context, sent: &Sent<'_>) {
        let Some(id) = cx.noted(MARK) else { return };
        let tags = json!({
            "coredns.io/name": name(&cx.query.question.name),
            "coredns.io/type": cx.query.question.record_type.to_string(),
            "coredns.io/rcode": sent.response.rcode.to_string(),
            "coredns.io/proto": cx.transport.as_str(),
            "coredns.io/remote": cx.peer.ip().to_canonical().to_string(),
            "coredns.io/plugin": sent.response.plugin,
        });
        let mut span = self.0.span(cx, id, (cx.start, sent.now), "servedns", tags);
        span["id"] = json!(id);
        span["kind"] = json!("SERVER");
        self.0.reporter.report(span);
    }
}

impl WatchUpstreams for Tracer {
    fn asked(&self, cx: &Context, asked: &AskedUpstream<'_>) {
        let Some(id) = cx.noted(MARK) else { return };
        let mut tags = json!({ "peer.address": asked.upstream.to_string(), "coredns.io/proto": asked.protocol });
        if asked.answer.is_none() {
            tags["error"] = json!("true");
        }
        let mut span = self.span(cx, id, (asked.start, asked.end), "connect", tags);
        span["id"] = json!(format!("{:016x}", rand::random::<u64>()));
        span["parentId"] = json!(id);
        self.reporter.report(span);
    }
}

impl Tracer {
    fn new(service: String, every: u64, reporter: Arc<Reporter>) -> Self {
        Self { service, every, seen: AtomicU64::new(0), reporter }
    }

    /// Whether the next query is one that is traced.
    fn takes(&self) -> bool {
        self.every <= 1 || self.seen.fetch_add(1, Relaxed).is_multiple_of(self.every)
    }

    /// A span in Zipkin's form, times in microseconds.
    fn span(&self, cx: &Context, trace: &str, (start, end): (Instant, Instant), name: &str, tags: Value) -> Value {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(start.elapsed());
        let took = end.saturating_duration_since(start).max(Duration::from_micros(1));
        json!({
            "timestamp": begun.as_micros() as u64,
            "duration": took.as_micros() as u64,
            "traceId": trace,
            "name": name,
            "localEndpoint": self.endpoint(cx.local),
            "tags": tags,
        })
    }

    fn endpoint(&self, local: SocketAddr) -> Value {
        let mut endpoint = json!({ "serviceName": self.service, "port": local.port() });
        let address = local.ip().to_canonical();
        if !address.is_unspecified() {
            endpoint[if address.is_ipv4() { "ipv4" } else { "ipv6" }] = json!(address.to_string());
        }
        endpoint
    }
}

fn name(name: &Name) -> String {
    name.to_lowercase().to_string()
}
