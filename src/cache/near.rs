//! Each thread's own copy of what is asked often: a hit takes no lock and writes nothing that another core reads, but
//! for the reference counts of the answer itself.

use std::cell::RefCell;

use smallvec::SmallVec;

use super::{Kept, Key};

/// Places of a thread. A key has two, side by side; whoever is asked later takes one.
const PLACES: usize = 4096;
/// Longer answers are not copied: a thread holds on to 4 MiB at most.
const LONGEST: usize = 4096;
/// After so many hits the store is asked again, so that it knows what is in use when somebody has to go.
const HITS: u8 = 64;

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
        let first = (key.hash() >> 32) as usize % PLACES;
        let is_it = |place: &Option<Place>| {
            place.as_ref().is_some_and(|place| place.store == store && place.key.as_slice() == key.bytes())
        };
        let at = [first, first ^ 1].into_iter().find(|&at| is_it(&places[at]));
        if let Some(place) = at.and_then(|at| places[at].as_mut())
            && place.epoch == epoch
            && place.hits < HITS
        {
            place.hits += 1;
            return place.kept.clone();
        }
        let kept = ask();
        let place = &mut places[at.unwrap_or_else(|| first ^ usize::from(places[first].is_some()))];
        if !kept.is_empty() && kept.size() <= LONGEST {
            let key = SmallVec::from_slice(key.bytes());
            *place = Some(Place { store, epoch, hits: 0, key, kept: kept.clone() });
        } else if at.is_some() {
            *place = None;
        }
        kept
    })
}
