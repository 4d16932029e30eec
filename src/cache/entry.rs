use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{Class, Storable};
use crate::wire::Packet;

/// A kept answer.
#[derive(Debug)]
pub struct Entry {
    packet: Packet,
    class: Class,
    born: Instant,
    /// Milliseconds.
    ttl: u32,
    /// Made when it is needed first: most entries live and end without.
    upkeep: OnceLock<Box<Mutex<Upkeep>>>,
    counted: Option<Arc<AtomicI64>>,
}

/// What an entry takes beyond the octets of its message, about: the index of its records, the question, the key.
const OVERHEAD: usize = 400;

/// How an entry stands at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// So much is left of its life.
    Fresh(Duration),
    /// It ended so long ago.
    Ended(Duration),
}

/// What is known of the demand for an entry and of fetching it again.
#[derive(Debug, Clone, Default)]
pub(super) struct Upkeep {
    hits: u32,
    last_hit: Option<Instant>,
    pub(super) refreshing: bool,
    pub(super) failed: Option<Instant>,
}

impl Upkeep {
    pub(super) fn is_resting(&self, now: Instant, pause: Duration) -> bool {
        self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < pause)
    }
}

impl Entry {
    pub(super) fn new(packet: Packet, storable: Storable, now: Instant, earlier: Option<&Self>) -> Self {
        let upkeep = OnceLock::new();
        if let Some(earlier) = earlier {
            let known = earlier.upkeep();
            let taken_over = Upkeep { hits: known.hits, last_hit: known.last_hit, ..Upkeep::default() };
            _ = upkeep.set(Box::new(Mutex::new(taken_over)));
        }
        let ttl = storable.ttl.as_millis().try_into().unwrap_or(u32::MAX);
        Self { packet, class: storable.class, born: now, ttl, upkeep, counted: None }
    }

    /// Counts its memory in `bytes` as long as it is there.
    pub(super) fn counted(mut self, bytes: &Arc<AtomicI64>) -> Self {
        bytes.fetch_add(self.memory(), Relaxed);
        self.counted = Some(Arc::clone(bytes));
        self
    }

    fn memory(&self) -> i64 {
        (self.size() + OVERHEAD) as i64
    }

    pub(super) fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What kind of answer it is.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Its whole life.
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl as u64)
    }

    pub(super) fn size(&self) -> usize {
        self.packet.bytes().len()
    }

    /// When its life ends.
    pub fn until(&self) -> Instant {
        self.born + self.ttl()
    }

    /// What is left of its life.
    pub fn age(&self, now: Instant) -> Age {
        let age = now.saturating_duration_since(self.born);
        match self.ttl().checked_sub(age) {
            Some(left) if !left.is_zero() => Age::Fresh(left),
            _ => Age::Ended(age.saturating_sub(self.ttl())),
        }
    }

    /// The answer with its TTLs set to so many seconds. Parts of a second count as a whole one: a TTL is shown until
    /// its last second is over.
    pub fn packet(&self, ttl: Duration) -> Packet {
        self.packet.clone().with_ttl(ttl.as_secs() as u32 + u32::from(ttl.subsec_nanos() > 0))
    }

    /// Whether the last attempt to fetch it again failed less than `pause` ago.
    pub fn is_resting(&self, now: Instant, pause: Duration) -> bool {
        self.upkeep().is_resting(now, pause)
    }

    /// Counts a hit and gives how many there were. Counting starts anew after a gap of `gap`.
    pub fn hit(&self, now: Instant, gap: Duration) -> u32 {
        let mut upkeep = self.upkeep();
        let paused = upkeep.last_hit.is_some_and(|last| now.saturating_duration_since(last) >= gap);
        upkeep.hits = if paused { 1 } else { upkeep.hits.saturating_add(1) };
        upkeep.last_hit = Some(now);
        upkeep.hits
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(bytes) = &self.counted {
            bytes.fetch_sub(self.memory(), Relaxed);
        }
    }
}
