//! The answer store: keeps encoded answers and ages their TTLs. Has never heard of a Corefile.

mod classify;
mod key;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

pub use classify::{Class, Limits, Storable, classify};
pub use key::Key;
use moka::{notification::RemovalCause, sync::Cache};

use crate::wire::{Packet, Rcode};

/// Which half of the store an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Answers with data, and referrals.
    Success,
    /// NXDOMAIN, NODATA and failures.
    Denial,
}

/// Answers in two halves of bounded size.
pub struct AnswerCache {
    success: Part,
    denial: Part,
}

struct Part {
    entries: Cache<Box<[u8]>, Arc<Entry>>,
    evicted: Arc<AtomicU64>,
}

/// A kept answer.
#[derive(Debug)]
pub struct Entry {
    packet: Packet,
    born: Instant,
    ttl: Duration,
}

impl Entry {
    /// The answer as of `now`, its TTLs what is left of them; `None` once nothing is left.
    pub fn fresh(&self, now: Instant, keep_ttl: bool) -> Option<Packet> {
        let age = now.saturating_duration_since(self.born);
        let left = self.ttl.checked_sub(age).filter(|left| !left.is_zero())?;
        // Whole elapsed seconds are taken off, so that a TTL is shown until its last second is over.
        let seconds = if keep_ttl { self.ttl } else { left };
        Some(self.packet.clone().with_ttl(seconds.as_secs_f64().ceil() as u32))
    }

    /// The response code.
    pub fn rcode(&self) -> Rcode {
        self.packet.header().rcode()
    }
}

impl Part {
    fn new(capacity: u64) -> Self {
        let evicted = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&evicted);
        let entries = Cache::builder()
            .max_capacity(capacity)
            .eviction_listener(move |_, _, cause| {
                if cause == RemovalCause::Size {
                    counter.fetch_add(1, Relaxed);
                }
            })
            .build();
        Self { entries, evicted }
    }
}

impl AnswerCache {
    /// A store for at most these numbers of answers.
    pub fn new(success: u64, denial: u64) -> Self {
        Self { success: Part::new(success), denial: Part::new(denial) }
    }

    const fn part(&self, half: Half) -> &Part {
        match half {
            Half::Success => &self.success,
            Half::Denial => &self.denial,
        }
    }

    /// The kept answer of one half, fresh or not.
    pub fn find(&self, half: Half, key: &Key) -> Option<Arc<Entry>> {
        self.part(half).entries.get(key.bytes())
    }

    /// Keeps an answer for `ttl` from `now`.
    pub fn keep(&self, half: Half, key: &Key, packet: Packet, ttl: Duration, now: Instant) {
        self.part(half).entries.insert(key.bytes().into(), Arc::new(Entry { packet, born: now, ttl }));
    }

    /// Forgets an answer.
    pub fn forget(&self, half: Half, key: &Key) {
        self.part(half).entries.invalidate(key.bytes());
    }

    /// How many answers are kept.
    pub fn len(&self, half: Half) -> u64 {
        self.part(half).entries.run_pending_tasks();
        self.part(half).entries.entry_count()
    }

    /// How many answers had to go for others since the start.
    pub fn evictions(&self, half: Half) -> u64 {
        self.part(half).evicted.load(Relaxed)
    }
}
