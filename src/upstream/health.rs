use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Whether an upstream answers: failed probes since the last good one.
#[derive(Debug, Default)]
pub struct Health {
    failed: AtomicU32,
    probing: AtomicBool,
}

impl Health {
    /// Down means: more probes failed than this. 0 = never down.
    pub fn is_down(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.failed.load(Relaxed) > max_fails
    }

    /// Says that a query failed: `true` if the caller is the one to start probing.
    pub fn start_probing(&self) -> bool {
        !self.probing.swap(true, Relaxed)
    }

    /// A probe failed.
    pub fn probe_failed(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    /// A probe was answered: all is well, and probing ends.
    pub fn probe_answered(&self) {
        self.failed.store(0, Relaxed);
        self.probing.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_down_after_more_failed_probes_than_allowed() {
        let health = Health::default();
        assert!(health.start_probing());
        assert!(!health.start_probing());
        for down in [false, false, true, true] {
            health.probe_failed();
            assert_eq!(health.is_down(2), down);
        }
        assert!(!health.is_down(0));
        health.probe_answered();
        assert!(!health.is_down(2));
        assert!(health.start_probing());
    }
}
