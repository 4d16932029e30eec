use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::Entry;

/// The right to fetch an entry again; there is one at a time for each entry. Dropping it gives it back.
#[derive(Debug)]
pub struct Refresh {
    entry: Arc<Entry>,
}

impl Refresh {
    /// Takes the right, unless somebody has it or the last attempt failed less than `pause` ago (RFC 8767 section 5:
    /// "failure recheck timer").
    pub fn start(entry: &Arc<Entry>, now: Instant, pause: Duration) -> Option<Self> {
        let mut upkeep = entry.upkeep();
        if upkeep.refreshing || upkeep.is_resting(now, pause) {
            return None;
        }
        upkeep.refreshing = true;
        drop(upkeep);
        Some(Self { entry: Arc::clone(entry) })
    }

    /// The entry that is fetched again.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Ends an attempt that brought nothing.
    pub fn fail(self, now: Instant) {
        self.entry.upkeep().failed = Some(now);
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        self.entry.upkeep().refreshing = false;
    }
}
