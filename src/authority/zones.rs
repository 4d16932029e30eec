use std::{collections::HashMap, sync::Arc};

use super::ZoneCell;
use crate::{
    chain::{Contents, ZoneSource},
    wire::Name,
};

/// Zones by name, asked for the longest one that holds a name.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    /// By name in lower-case wire form.
    cells: HashMap<Box<[u8]>, Arc<ZoneCell>, foldhash::quality::RandomState>,
    /// How many labels the zones have; a bit for each count that occurs.
    depths: u128,
}

impl Zones {
    /// Adds a zone; gives back the one of the same name that it takes the place of.
    pub fn add(&mut self, cell: Arc<ZoneCell>) -> Option<Arc<ZoneCell>> {
        self.depths |= 1 << cell.origin().label_count();
        self.cells.insert(cell.origin().to_lowercase().wire().into(), cell)
    }

    /// The longest zone that holds a name.
    pub fn find(&self, name: &Name) -> Option<&Arc<ZoneCell>> {
        if self.cells.is_empty() {
            return None;
        }
        let name = name.to_lowercase();
        let labels = name.label_count();
        let depths = (0..=labels).rev().filter(|&depth| self.depths & 1 << depth != 0);
        depths.filter_map(|depth| self.cells.get(name.tail(labels - depth))).next()
    }

    /// The zone of this name.
    pub fn named(&self, name: &Name) -> Option<&Arc<ZoneCell>> {
        self.cells.get(name.to_lowercase().wire())
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ZoneCell>> {
        self.cells.values()
    }
}

impl FromIterator<Arc<ZoneCell>> for Zones {
    fn from_iter<I: IntoIterator<Item = Arc<ZoneCell>>>(cells: I) -> Self {
        let mut zones = Self::default();
        cells.into_iter().for_each(|cell| _ = zones.add(cell));
        zones
    }
}

impl ZoneSource for Zones {
    fn zones(&self) -> Vec<Name> {
        self.iter().filter(|cell| cell.zone().is_some()).map(|cell| *cell.origin()).collect()
    }

    fn contents(&self, zone: &Name) -> Option<Contents> {
        let zone = self.named(zone)?.zone()?;
        Some(Contents { serial: zone.soa().serial, records: Box::new(zone.records()) })
    }
}
