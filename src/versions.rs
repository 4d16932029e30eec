//! Counters beside data that changes: whoever has made something of the data asks them whether it is still true, and
//! needs neither the data nor its locks for it.

use std::sync::atomic::{AtomicU32, Ordering};

/// A number for each place of some data, which moves on when what stands there changes. Places share numbers, so that a
/// number may also move on for nothing.
#[derive(Debug)]
pub struct Versions(Box<[AtomicU32]>);

/// What was read of some data, and at which version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Place and version, as many as `count` says; if it says more than there is room for, too many.
    places: [(u32, u32); MOST],
    count: u8,
}

/// More places than this are not watched.
const MOST: usize = 4;

impl Seen {
    /// What nobody will ask about: nothing is remembered, and it is never sure.
    pub const UNASKED: Self = Self { places: [(0, 0); MOST], count: MOST as u8 + 1 };

    /// Nothing seen yet, for the same who will ask, or for nobody.
    #[must_use]
    pub const fn anew(&self) -> Self {
        if self.count as usize > MOST { Self::UNASKED } else { Self { places: [(0, 0); MOST], count: 0 } }
    }

    fn noted(&self) -> Option<&[(u32, u32)]> {
        self.places.get(..usize::from(self.count))
    }
}

impl Versions {
    /// So many numbers.
    pub fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| AtomicU32::new(0)).collect())
    }

    fn cell(&self, place: u64) -> (u32, &AtomicU32) {
        let at = place as usize % self.0.len();
        (at as u32, &self.0[at])
    }

    /// The version of a place, given by a hash. To be read before the data.
    pub fn of(&self, place: u64) -> u32 {
        self.cell(place).1.load(Ordering::Acquire)
    }

    /// Something has changed at this place. To be called behind the change.
    pub fn advance(&self, place: u64) {
        self.cell(place).1.fetch_add(1, Ordering::Release);
    }

    /// Remembers the version of a place. To be called before the data is read.
    pub fn note(&self, place: u64, seen: &mut Seen) {
        let count = usize::from(seen.count);
        if let Some(noted) = seen.places.get_mut(count) {
            let (at, cell) = self.cell(place);
            *noted = (at, cell.load(Ordering::Acquire));
        }
        if count <= MOST {
            seen.count += 1;
        }
    }

    /// Whether all that was seen is still so. What saw too much to be watched is never so.
    pub fn still(&self, seen: &Seen) -> bool {
        let is_still = |&(at, version): &(u32, u32)| self.0[at as usize].load(Ordering::Acquire) == version;
        seen.noted().is_some_and(|noted| noted.iter().all(is_still))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_holds_until_one_of_its_places_changes() {
        let versions = Versions::new(64);
        let mut seen = Seen::default();
        assert!(versions.still(&seen), "nothing seen");
        versions.note(3, &mut seen);
        versions.note(64 + 5, &mut seen);
        versions.advance(4);
        assert!(versions.still(&seen), "another place");
        versions.advance(5);
        assert!(!versions.still(&seen));
    }

    #[test]
    fn who_saw_many_places_is_never_sure() {
        let versions = Versions::new(64);
        let mut seen = Seen::default();
        (0..4).for_each(|place| versions.note(place, &mut seen));
        assert!(versions.still(&seen));
        versions.note(5, &mut seen);
        assert!(!versions.still(&seen));
        let mut unasked = Seen::UNASKED;
        versions.note(3, &mut unasked);
        assert!(!versions.still(&unasked) && !versions.still(&unasked.anew()));
        assert!(versions.still(&Seen::default().anew()));
    }
}
