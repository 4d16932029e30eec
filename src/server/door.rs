use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{metrics::DoorMetrics, proxied::Sessions};

/// Who has come in at an address, over all workers and over reloads; counted if it is encrypted.
pub(crate) struct Door {
    connections: AtomicUsize,
    streams: AtomicUsize,
    /// For whom proxies speak in datagrams without a header (`proxyproto`).
    sessions: Sessions,
    /// `None` for plain DNS, which is counted elsewhere.
    metrics: Option<DoorMetrics>,
}

impl Door {
    pub(crate) fn new(metrics: Option<DoorMetrics>) -> Self {
        Self { connections: AtomicUsize::new(0), streams: AtomicUsize::new(0), sessions: Sessions::default(), metrics }
    }

    /// A place for one more connection; `None` if there are so many already.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Inside> {
        let is_in = take(&self.connections, most);
        if let Some(metrics) = &self.metrics {
            if is_in { metrics.connections.inc() } else { metrics.connections_refused.inc() }
        }
        is_in.then(|| Inside(Arc::clone(self)))
    }

    /// A place for one more query in work; `None` if there are so many already.
    pub(crate) fn stream(self: &Arc<Self>, most: usize) -> Option<AtWork> {
        let is_in = take(&self.streams, most);
        if let Some(metrics) = &self.metrics {
            if is_in { metrics.streams.inc() } else { metrics.streams_refused.inc() }
        }
        is_in.then(|| AtWork(Arc::clone(self)))
    }

    /// For whom proxies speak.
    pub(crate) const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// Somebody did not get through the handshake.
    pub(crate) fn count_failed_handshake(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.handshakes_failed.inc();
        }
    }

    /// A reply with this status has left: of HTTP, or an error code of QUIC.
    pub(crate) fn count_reply(&self, status: u16) {
        if let Some(metrics) = &self.metrics {
            metrics.count_reply(status);
        }
    }
}

fn take(count: &AtomicUsize, most: usize) -> bool {
    let is_in = count.fetch_add(1, Relaxed) < most;
    if !is_in {
        count.fetch_sub(1, Relaxed);
    }
    is_in
}

/// One open connection.
pub(crate) struct Inside(Arc<Door>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        if let Some(metrics) = &self.0.metrics {
            metrics.connections.dec();
        }
    }
}

/// One query in work.
pub(crate) struct AtWork(Arc<Door>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
        if let Some(metrics) = &self.0.metrics {
            metrics.streams.dec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_lets_in_so_many_at_once() {
        let door = Arc::new(Door::new(None));
        let two = [door.enter(2), door.enter(2)];
        assert!(two.iter().all(Option::is_some) && door.enter(2).is_none());
        assert!(door.stream(1).is_some(), "queries are counted on their own");
        drop(two);
        assert_eq!(door.connections(), 0);
        assert!(door.enter(1).is_some());
    }
}
