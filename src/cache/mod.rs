//! The answer store: keeps encoded answers and ages their TTLs. Has never heard of a Corefile.
//!
//! ```text
//!   classify(packet)  what is it, how long may it be kept        classify.rs
//!   AnswerCache::keep ──► Entry: packet, born, TTL, upkeep       entry.rs
//!   AnswerCache::find ──► Entry::age(now): fresh, or expired for how long
//!   Refresh           who fetches an entry again, one at a time  refresh.rs
//! ```

mod classify;
mod entry;
mod key;
mod refresh;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use classify::{Class, Limits, Storable, classify};
pub use entry::{Age, Entry};
pub use key::Key;
use moka::{Expiry, notification::RemovalCause, sync::Cache};
pub use refresh::Refresh;

use crate::{metrics::Counter, wire::Packet};

/// An answer of up to this many octets counts as one towards the capacity, a longer one as several: a store is
/// bounded in memory, whatever is put into it.
const UNIT: usize = 512;

/// Which half of the store an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Answers with data, and referrals.
    Success,
    /// NXDOMAIN, NODATA and failures.
    Denial,
}

/// How much is kept, and how long behind its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Answers in the half with data.
    pub success: u64,
    /// Answers in the half without.
    pub denial: u64,
    /// How long an answer that has ended is of use.
    pub stale: Duration,
}

/// Answers in two halves of bounded size.
pub struct AnswerCache {
    success: Part,
    denial: Part,
}

type Part = Cache<Box<[u8]>, Arc<Entry>>;

/// Tells moka when an entry is of no use any more, so that it does not wait for its place to be needed.
struct Usefulness {
    stale: Duration,
}

impl Expiry<Box<[u8]>, Arc<Entry>> for Usefulness {
    fn expire_after_create(&self, _: &Box<[u8]>, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(entry.ttl() + self.stale)
    }

    fn expire_after_update(
        &self,
        _: &Box<[u8]>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl() + self.stale)
    }
}

fn part(capacity: u64, stale: Duration, evicted: Counter) -> Part {
    Cache::builder()
        .max_capacity(capacity)
        .weigher(|_, entry: &Arc<Entry>| 1 + (entry.size().saturating_sub(1) / UNIT) as u32)
        .expire_after(Usefulness { stale })
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                evicted.inc();
            }
        })
        .build()
}

impl AnswerCache {
    /// An empty store. The counters, of the success and the denial half, count the answers that had to go for others.
    pub fn new(bounds: Bounds, [success, denial]: [Counter; 2]) -> Self {
        Self { success: part(bounds.success, bounds.stale, success), denial: part(bounds.denial, bounds.stale, denial) }
    }

    const fn part(&self, half: Half) -> &Part {
        match half {
            Half::Success => &self.success,
            Half::Denial => &self.denial,
        }
    }

    /// The kept answer of one half, fresh or not.
    pub fn find(&self, half: Half, key: &Key) -> Option<Arc<Entry>> {
        self.part(half).get(key.bytes())
    }

    /// Keeps an answer from `now`. What is known of the demand for it is taken over from `earlier`.
    pub fn keep(&self, key: &Key, packet: Packet, storable: Storable, now: Instant, earlier: Option<&Entry>) {
        let entry = Entry::new(packet, storable, now, earlier);
        self.part(storable.half).insert(key.bytes().into(), Arc::new(entry));
    }

    /// Forgets an answer.
    pub fn forget(&self, half: Half, key: &Key) {
        self.part(half).invalidate(key.bytes());
    }

    /// How many answers are kept.
    pub fn len(&self, half: Half) -> u64 {
        self.part(half).run_pending_tasks();
        self.part(half).entry_count()
    }
}
