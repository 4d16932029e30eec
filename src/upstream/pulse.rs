use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How busy a connection is, and when it last gave a sign of life.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    under_way: AtomicUsize,
    carried: AtomicUsize,
    /// When an answer came, or a query after a rest: milliseconds since it was born.
    beat: AtomicU64,
    doubted: AtomicBool,
}

/// A query under way on a connection.
pub(super) struct Busy(Arc<Pulse>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            under_way: AtomicUsize::new(0),
            carried: AtomicUsize::new(0),
            beat: AtomicU64::new(0),
            doubted: AtomicBool::new(false),
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// How many queries it was given in all.
    pub(super) fn carried(&self) -> usize {
        self.carried.load(Relaxed)
    }

    /// One more query; it has ended when what is given is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Busy {
        self.carried.fetch_add(1, Relaxed);
        if self.under_way.fetch_add(1, Relaxed) == 0 {
            self.keep_time();
        }
        Busy(Arc::clone(self))
    }

    /// Something has come.
    pub(super) fn beat(&self) {
        self.keep_time();
        self.doubted.store(false, Relaxed);
    }

    /// A query has gone without an answer. Until something comes, nobody should rely on the connection.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Relaxed);
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.load(Relaxed)
    }

    fn keep_time(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(now, Relaxed);
    }

    /// How long nothing has come while something was awaited, or nothing has been asked.
    pub(super) fn silence(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Relaxed)))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Relaxed);
    }
}
