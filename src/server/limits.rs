use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::metrics::TransportMetrics;
use crate::chain::TcpLimits;

/// How many queries may wait at once in the whole process. One holds about 2 KiB.
pub(crate) const WAITING: usize = 65_536;
/// How many TCP connections clients may hold open at once in the whole process.
pub(crate) const CONNECTIONS: usize = 4_096;

/// How long somebody at the other end of a connection is waited for (`timeouts`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How long the first query, and each that has begun, may take to arrive; and a handshake.
    pub(crate) read: Duration,
    /// How long the client may take to accept an answer.
    pub(crate) write: Duration,
    /// How long a connection may be silent (RFC 7766 section 6.2.3).
    pub(crate) idle: Duration,
}

impl Patience {
    pub(crate) fn of(limits: TcpLimits) -> Self {
        Self {
            read: limits.read.unwrap_or(Duration::from_secs(3)),
            write: limits.write.unwrap_or(Duration::from_secs(5)),
            idle: limits.idle.unwrap_or(Duration::from_secs(10)),
        }
    }
}

/// Counts the queries that wait, and the open connections, and keeps both bounded.
pub(crate) struct Parking {
    waiting: AtomicUsize,
    connections: AtomicUsize,
    pub(crate) metrics: TransportMetrics,
}

impl Parking {
    pub(crate) fn new(metrics: TransportMetrics) -> Self {
        Self { waiting: AtomicUsize::new(0), connections: AtomicUsize::new(0), metrics }
    }

    /// A place for one more waiting query; `None` if there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Parked> {
        if self.waiting.fetch_add(1, Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            self.metrics.shed.inc();
            return None;
        }
        self.metrics.waiting.inc();
        Some(Parked(Arc::clone(self)))
    }

    /// A place for one more connection; `None` if there are too many.
    pub(crate) fn connect(self: &Arc<Self>) -> Option<Connected> {
        if self.connections.fetch_add(1, Relaxed) >= CONNECTIONS {
            self.connections.fetch_sub(1, Relaxed);
            self.metrics.connections_refused.inc();
            return None;
        }
        self.metrics.connections.inc();
        Some(Connected(Arc::clone(self)))
    }

    /// How many queries wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// One waiting query.
pub(crate) struct Parked(Arc<Parking>);

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.0.metrics.waiting.dec();
    }
}

/// One open connection.
pub(crate) struct Connected(Arc<Parking>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        self.0.metrics.connections.dec();
    }
}
