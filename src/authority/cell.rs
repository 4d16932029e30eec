use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use crate::{chain::ZoneSources, wire::Name, zone::Zone};

/// The place of a zone that may be replaced while it is asked; empty as long as it could not be read.
pub struct ZoneCell {
    origin: Name,
    zone: RwLock<Option<Arc<Zone>>>,
    /// Where a change is told.
    sources: ZoneSources,
}

impl ZoneCell {
    /// A place for the zone of this name; `sources` hear of its changes.
    pub const fn new(origin: Name, sources: ZoneSources) -> Self {
        Self { origin, zone: RwLock::new(None), sources }
    }

    /// The name of the zone.
    pub const fn origin(&self) -> &Name {
        &self.origin
    }

    /// The zone as it is now.
    pub fn zone(&self) -> Option<Arc<Zone>> {
        self.zone.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a zone in the place of the one before, or takes it away.
    pub fn replace(&self, zone: Option<Zone>) {
        self.share(zone.map(Arc::new));
    }

    /// As [`ZoneCell::replace`], for a zone that stands in several places.
    pub fn share(&self, zone: Option<Arc<Zone>>) {
        // The old one is given back behind the lock: it may be large.
        let old = std::mem::replace(&mut *self.zone.write().unwrap_or_else(PoisonError::into_inner), zone);
        drop(old);
        self.sources.announce(self.origin);
    }
}

impl fmt::Debug for ZoneCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneCell({})", self.origin)
    }
}
