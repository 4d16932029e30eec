use std::sync::{Arc, PoisonError, RwLock};

use crate::{wire::Name, zone::Zone};

/// The place of a zone that may be replaced while it is asked; empty as long as it could not be read.
#[derive(Debug)]
pub struct ZoneCell {
    origin: Name,
    zone: RwLock<Option<Arc<Zone>>>,
}

impl ZoneCell {
    /// A place for the zone of this name.
    pub const fn new(origin: Name) -> Self {
        Self { origin, zone: RwLock::new(None) }
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
        let zone = zone.map(Arc::new);
        // The old one is given back behind the lock: it may be large.
        let old = std::mem::replace(&mut *self.zone.write().unwrap_or_else(PoisonError::into_inner), zone);
        drop(old);
    }
}
