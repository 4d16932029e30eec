use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use quick_cache::{Lifecycle, OptionsBuilder, Weighter, sync::Cache};

use super::{Age, Entry, Key, Storable, near};
use crate::{metrics::Counter, versions::Versions, wire::Packet};

/// An answer of up to this many octets counts as one towards the capacity, a longer one as several: a store is
/// bounded in memory, whatever is put into it.
const UNIT: usize = 512;
/// Parts with a lock of their own. Each takes its share of [`Bounds`], so that there must not be too many: the longest
/// answer that is kept is as long as a share.
const SHARDS: usize = 16;
/// Numbers that tell a thread when its own copy is out of date; keys share them.
const VERSIONS: usize = 4096;

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

/// What is kept under a key, fresh or not.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// In the half with data.
    pub success: Option<Arc<Entry>>,
    /// In the half without.
    pub denial: Option<Arc<Entry>>,
}

impl Kept {
    pub(super) const fn is_empty(&self) -> bool {
        self.success.is_none() && self.denial.is_none()
    }

    pub(super) fn size(&self) -> usize {
        self.success.iter().chain(&self.denial).map(|entry| entry.size()).sum()
    }
}

/// Answers in two halves of bounded size.
pub struct AnswerCache {
    number: u64,
    success: Part,
    denial: Part,
    stale: Duration,
    versions: Arc<Versions>,
}

struct Part {
    entries: Cache<Box<[u8]>, Arc<Entry>, Weight, foldhash::quality::RandomState, Evictions>,
    bytes: Arc<AtomicI64>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<[u8]>, Arc<Entry>> for Weight {
    fn weight(&self, _: &Box<[u8]>, entry: &Arc<Entry>) -> u64 {
        1 + (entry.size().saturating_sub(1) / UNIT) as u64
    }
}

/// Counts the answers that had to go.
#[derive(Clone)]
struct Evictions(Counter);

impl Lifecycle<Box<[u8]>, Arc<Entry>> for Evictions {
    type RequestState = ();

    // Not `on_evict`: that hears of answers whose place a newer one of the same question takes as well.
    fn before_evict(&self, (): &mut (), _: &Box<[u8]>, _: &mut Arc<Entry>) {
        self.0.inc();
    }
}

impl Part {
    fn new(capacity: u64, evicted: Counter) -> Self {
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(capacity as usize).weight_capacity(capacity).shards(SHARDS);
        let Ok(options) = options.build() else { unreachable!("both capacities are given") };
        let hasher = foldhash::quality::RandomState::default();
        Self { entries: Cache::with_options(options, Weight, hasher, Evictions(evicted)), bytes: Arc::default() }
    }
}

impl AnswerCache {
    /// An empty store. The counters, of the success and the denial half, count the answers that had to go for others.
    pub fn new(bounds: Bounds, [success, denial]: [Counter; 2]) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self {
            number: NUMBER.fetch_add(1, Relaxed),
            success: Part::new(bounds.success, success),
            denial: Part::new(bounds.denial, denial),
            stale: bounds.stale,
            versions: Arc::new(Versions::new(VERSIONS)),
        }
    }

    const fn part(&self, half: Half) -> &Part {
        match half {
            Half::Success => &self.success,
            Half::Denial => &self.denial,
        }
    }

    /// Moves on when what is kept under a key changes; keys share numbers.
    pub const fn versions(&self) -> &Arc<Versions> {
        &self.versions
    }

    /// What is kept under a key. What is asked often comes from the thread's own copy, without a lock.
    pub fn find(&self, key: &Key) -> Kept {
        near::find(self.number, self.versions.of(key.hash()), key, || Kept {
            success: self.success.entries.get(key.bytes()),
            denial: self.denial.entries.get(key.bytes()),
        })
    }

    /// Keeps an answer from `now`. What is known of the demand for it is taken over from `earlier`.
    pub fn keep(&self, key: &Key, packet: Packet, storable: Storable, now: Instant, earlier: Option<&Entry>) {
        let part = self.part(storable.half);
        let entry = Entry::new(packet, storable, now, earlier).counted(&part.bytes);
        part.entries.insert(key.bytes().into(), Arc::new(entry));
        self.versions.advance(key.hash());
    }

    /// Forgets an answer.
    pub fn forget(&self, half: Half, key: &Key) {
        if self.part(half).entries.remove(key.bytes()).is_some() {
            self.versions.advance(key.hash());
        }
    }

    /// Forgets all that has ended and is of no use any more.
    pub fn sweep(&self, now: Instant) {
        for part in [&self.success, &self.denial] {
            part.entries.retain(|_, entry| match entry.age(now) {
                Age::Fresh(_) => true,
                Age::Ended(since) => since < self.stale,
            });
        }
    }

    /// How many answers are kept.
    pub fn len(&self, half: Half) -> u64 {
        self.part(half).entries.len() as u64
    }

    /// What they take in memory, octets, those included that are just being sent.
    pub fn bytes(&self, half: Half) -> i64 {
        self.part(half).bytes.load(Relaxed)
    }
}
