use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Turns moments into times of day, equal moments into equal times: a query's time stands in two messages.
pub(super) struct Clock {
    base: Instant,
    /// The time of day at `base`, nanoseconds since 1970.
    offset: AtomicU64,
}

impl Clock {
    pub(super) fn new(base: Instant) -> Self {
        let clock = Self { base, offset: AtomicU64::new(0) };
        clock.set(SystemTime::now(), Instant::now());
        clock
    }

    /// Looks at the system's clock again: somebody may have set it.
    pub(super) fn set(&self, time: SystemTime, now: Instant) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_base = since.saturating_sub(now.saturating_duration_since(self.base));
        self.offset.store(at_base.as_nanos() as u64, Relaxed);
    }

    /// Since 1970.
    pub(super) fn time_of(&self, moment: Instant) -> Duration {
        Duration::from_nanos(self.offset.load(Relaxed)) + moment.saturating_duration_since(self.base)
    }
}
