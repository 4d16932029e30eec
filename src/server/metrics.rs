use crate::metrics::{Counter, CounterFamily, Gauge, Registry};

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
