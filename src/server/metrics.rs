use std::sync::OnceLock;

use crate::{
    corefile::Scheme,
    metrics::{Counter, CounterFamily, Gauge, Registry},
};

/// Why a message was not even routed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectReason {
    /// Too short for a header, or itself a response: no answer.
    Ignored,
    /// FORMERR.
    Malformed,
    /// NOTIMP.
    Opcode,
    /// BADVERS.
    BadVersion,
}

/// Messages that were turned away before any server block saw them. CoreDNS does not count these.
pub(crate) struct Refusals([Counter; 4]);

impl Refusals {
    pub(crate) fn register(registry: &Registry) -> Self {
        let family = registry.counter(
            "seamark_rejected_messages_total",
            "Messages turned away before any server block saw them, by reason.",
            &["reason"],
        );
        Self(["ignored", "malformed", "opcode", "badvers"].map(|reason| family.with_label_values(&[reason])))
    }

    pub(crate) fn count(&self, reason: RejectReason) {
        self.0[reason as usize].inc();
    }
}

/// What the transports count.
#[derive(Clone)]
pub(crate) struct TransportMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) shed: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) send_errors: Counter,
}

impl TransportMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let counter = |name: &str, help: &str| {
            let family: CounterFamily = registry.counter(name, help, &[]);
            family.with_label_values::<&str>(&[])
        };
        let gauge = |name: &str, help: &str| registry.gauge(name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            waiting: gauge("seamark_waiting_queries", "Queries that wait for an upstream or another lookup."),
            shed: counter("seamark_shed_queries_total", "Queries answered SERVFAIL because too many were waiting."),
            connections: gauge("seamark_tcp_connections", "Open TCP connections from clients."),
            connections_refused: counter(
                "seamark_tcp_connections_refused_total",
                "TCP connections closed at once because too many were open.",
            ),
            send_errors: counter("seamark_send_errors_total", "Answers over UDP that the kernel did not take."),
        }
    }
}

/// The answers that all workers together may give again.
#[derive(Clone)]
pub(crate) struct MemoMetrics {
    pub(crate) answers: Gauge,
    pub(crate) octets: Gauge,
}

impl MemoMetrics {
    pub(crate) fn register(registry: &Registry) -> Self {
        let gauge = |name: &str, help: &str| registry.gauge(name, help, &[]).with_label_values::<&str>(&[]);
        Self {
            answers: gauge("seamark_remembered_answers", "Answers that are given once more without a walk."),
            octets: gauge("seamark_remembered_bytes", "Memory of the answers that are given once more."),
        }
    }
}

/// What is counted at an encrypted address.
pub(crate) struct DoorMetrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) streams: Gauge,
    pub(crate) streams_refused: Counter,
    pub(crate) handshakes_failed: Counter,
    replies: Option<Replies>,
}

/// Replies by status, as CoreDNS counts them.
struct Replies {
    family: CounterFamily,
    server: String,
    /// As the label writes a status: of QUIC in hexadecimal.
    is_quic: bool,
    known: [OnceLock<Counter>; STATUSES.len()],
}

/// The statuses that we give.
const STATUSES: [u16; 14] = [0, 1, 2, 3, 4, 200, 400, 404, 405, 408, 413, 415, 500, 503];

impl DoorMetrics {
    /// Metrics of a listener; `server` is its label.
    pub(crate) fn register(registry: &Registry, scheme: Scheme, server: &str) -> Self {
        let gauge = |name: &str, help: &str| registry.gauge(name, help, &["server"]).with_label_values(&[server]);
        let counter = |name: &str, help: &str| registry.counter(name, help, &["server"]).with_label_values(&[server]);
        let family = match scheme {
            Scheme::Https => Some(("https", "HTTPS")),
            Scheme::Https3 => Some(("https3", "HTTP/3")),
            Scheme::Quic => Some(("quic", "QUIC")),
            _ => None,
        };
        let replies = family.map(|(word, name)| Replies {
            family: registry.counter(
                &format!("coredns_dns_{word}_responses_total"),
                &format!("Replies over {name} by status."),
                &["server", "status"],
            ),
            server: server.to_owned(),
            is_quic: scheme == Scheme::Quic,
            known: std::array::from_fn(|_| OnceLock::new()),
        });
        Self {
            connections: gauge("seamark_listener_connections", "Open connections of an encrypted listener."),
            connections_refused: counter(
                "seamark_listener_connections_refused_total",
                "Connections closed at once because the listener had as many as it may.",
            ),
            streams: gauge("seamark_listener_streams", "Queries of an encrypted listener that are in work."),
            streams_refused: counter(
                "seamark_listener_streams_refused_total",
                "Queries turned away because the listener had as many in work as it may.",
            ),
            handshakes_failed: counter(
                "seamark_tls_handshakes_failed_total",
                "Connections that ended before the handshake was done.",
            ),
            replies,
        }
    }

    pub(crate) fn count_reply(&self, status: u16) {
        let Some(Replies { family, server, is_quic, known }) = &self.replies else { return };
        let counter = || {
            let status = if *is_quic { format!("{status:#x}") } else { status.to_string() };
            family.with_label_values(&[server.as_str(), status.as_str()])
        };
        match STATUSES.iter().position(|known| *known == status) {
            Some(at) => known[at].get_or_init(counter).inc(),
            None => counter().inc(),
        }
    }
}
