use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::wire::{Name, Record};

/// A plugin whose zones can be handed over whole (RFC 5936).
pub trait ZoneSource: Send + Sync {
    /// The zones that it has now.
    fn zones(&self) -> Vec<Name>;

    /// All of a zone, if it has it now.
    fn contents(&self, zone: &Name) -> Option<Contents>;
}

/// All of a zone.
pub struct Contents {
    /// The serial of the SOA.
    pub serial: u32,
    /// The records, the SOA first and only there, no name depending on a question.
    pub records: Box<dyn Iterator<Item = Record> + Send>,
}

/// The zones of a server block that can be handed over, and word of those that change.
#[derive(Clone)]
pub struct ZoneSources {
    sources: Arc<Mutex<Vec<Box<dyn ZoneSource>>>>,
    changes: broadcast::Sender<Name>,
}

/// How many changes may wait for somebody to hear of them.
const WAITING: usize = 256;

impl Default for ZoneSources {
    fn default() -> Self {
        Self { sources: Arc::default(), changes: broadcast::Sender::new(WAITING) }
    }
}

impl ZoneSources {
    /// Adds a source.
    pub fn add(&self, source: impl ZoneSource + 'static) {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }

    /// The zones of all sources.
    pub fn zones(&self) -> Vec<Name> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().flat_map(|source| source.zones()).collect()
    }

    /// All of a zone; the first source that has it gives it.
    pub fn contents(&self, zone: &Name) -> Option<Contents> {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().find_map(|source| source.contents(zone))
    }

    /// Says that a zone is another one now.
    pub fn announce(&self, zone: Name) {
        // Nobody may be listening, which is as good.
        _ = self.changes.send(zone);
    }

    /// Hears of the zones that change from now on.
    pub fn changes(&self) -> broadcast::Receiver<Name> {
        self.changes.subscribe()
    }
}
