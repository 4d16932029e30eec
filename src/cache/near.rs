//! Each thread's own copy of what is asked often: a hit takes no lock and writes nothing that another core reads, but
//! for the reference counts of the answer itself.

use std::cell::RefCell;

use smallvec::SmallVec;

use super::{Kept, Key};

/// Places of a thread. A key has one; whoever is asked later takes it.
const PLACES: usize = 4096;
/// Longer answers are not copied: a thread holds on to 4 MiB at most.
const LONGEST: usize = 4096;
/// After so many hits the store is asked again, so that it knows what is in use when somebody has to go.
const HITS: u8 = 32;

struct Place {
    store: u64,
    epoch: u32,
    hits: u8,
    /// In place, so that comparing it touches no other memory.
    key: SmallVec<[u8; 48]>,
    kept: Kept,
}

thread_local! {
    static PLACES_OF_THREAD: RefCell<Box<[Option<Place>]>> = RefCell::new((0..PLACES).map(|_| None).collect());
}

/// What is kept under a key: from the thread's copy if the store's counter for it still stands at `epoch`, else from
/// `ask`.
pub(super) fn find(store: u64, epoch: u32, key: &Key, ask: impl FnOnce() -> Kept) -> Kept {
    PLACES_OF_THREAD.with_borrow_mut(|places| {
        let place = &mut places[(key.hash() >> 32) as usize % PLACES];
        if let Some(place) = place
            && place.store == store
            && place.epoch == epoch
            && place.hits < HITS
            && place.key.as_slice() == key.bytes()
        {
            place.hits += 1;
            return place.kept.clone();
        }
        let kept = ask();
        if kept.is_empty() || kept.size() > LONGEST {
            // What stands here may be of another key and good; that of this key is not.
            place.take_if(|place| place.store == store && place.key.as_slice() == key.bytes());
            return kept;
        }
        *place = Some(Place { store, epoch, hits: 0, key: SmallVec::from_slice(key.bytes()), kept: kept.clone() });
        kept
    })
}
