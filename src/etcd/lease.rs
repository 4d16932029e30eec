use std::time::{Duration, Instant};

/// How long a reading holds at least.
const HOLDS: Duration = Duration::from_secs(10);

/// What is known of a lease. Keys that hang on it go when it ends; whoever holds it keeps it alive meanwhile.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// How many keys hang on it.
    pub(super) keys: usize,
    reading: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    /// Seconds that it had left then; `None` if nobody could say.
    left: Option<u32>,
}

/// The least and the most that a lease says for a TTL, seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// At least this.
    pub least: u32,
    /// At most this.
    pub most: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { least: 30, most: 86_400 }
    }
}

impl Bounds {
    fn bounded(self, seconds: u32) -> u32 {
        // As CoreDNS: the least counts first, whatever the most is.
        if seconds < self.least { self.least } else { seconds.min(self.most) }
    }
}

impl Lease {
    /// It was read: so many seconds are left.
    pub(super) fn note(&mut self, at: Instant, left: Option<u32>) {
        self.reading = Some(Reading { at, left });
    }

    /// The TTL that it gives, if it gives any. One that was not read yet, or that must have been kept alive since it was, gives
    /// the least.
    pub(super) fn ttl(&self, now: Instant, bounds: Bounds) -> Option<u32> {
        let Some(Reading { at, left }) = self.reading else { return Some(bounds.least) };
        let passed = now.saturating_duration_since(at).as_secs();
        Some(bounds.bounded(left?.saturating_sub(u32::try_from(passed).unwrap_or(u32::MAX))))
    }

    /// Whether it should be read again: a third of what was left has passed.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.reading.is_none_or(|Reading { at, left }| {
            let holds = Duration::from_secs(u64::from(left.unwrap_or(0)) / 3).max(HOLDS);
            now.saturating_duration_since(at) >= holds
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttls_of_leases() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let bounds = Bounds { least: 30, most: 3600 };
        let mut lease = Lease::default();
        assert_eq!(lease.ttl(start, bounds), Some(30), "not read yet");
        assert!(lease.is_due(start));
        lease.note(start, Some(120));
        for (seconds, ttl, is_due) in
            [(0, 120, false), (30, 90, false), (40, 80, true), (100, 30, true), (1000, 30, true)]
        {
            assert_eq!((lease.ttl(after(seconds), bounds), lease.is_due(after(seconds))), (Some(ttl), is_due));
        }
        lease.note(start, Some(100_000));
        assert_eq!(lease.ttl(start, bounds), Some(3600));
        assert_eq!(lease.ttl(start, Bounds { least: 60, most: 10 }), Some(10));
        lease.note(start, None);
        assert_eq!((lease.ttl(start, bounds), lease.is_due(after(9)), lease.is_due(after(10))), (None, false, true));
    }
}
