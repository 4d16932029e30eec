//! Each thread's own copy of what is asked often: a hit takes no lock and writes nothing that another core reads, but
//! for the reference counts of the answer itself.

use std::cell::RefCell;

use smallvec::SmallVec;

use super::{Kept, Key};

/// Places of a thread. A key has two, side by side; whoever is asked later takes one.
const PLACES: usize = 256;
/// Longer answers are not copied: a thread holds on to 256 KiB at most.
const LONGEST: usize = 1024;
/// After so many hits the store is asked again, so that it knows what is in use when somebody has to go.
const HITS: u8 = 64;

struct Place {
    store: u64,
    version: u32,
    hits: u8,
    /// In place, so that comparing it touches no other memory.
    key: SmallVec<[u8; 48]>,
    kept: Kept,
}

/// The two places of a key.
const fn pair(key: &Key) -> [usize; 2] {
    let first = (key.hash() >> 32) as usize % PLACES;
    [first, first ^ 1]
}

/// The one that it stands in.
fn position(places: &[Option<Place>], store: u64, key: &Key) -> Option<usize> {
    let is_it = |place: &Place| place.store == store && place.key.as_slice() == key.bytes();
    pair(key).into_iter().find(|&at| places[at].as_ref().is_some_and(is_it))
}

thread_local! {
    static PLACES_OF_THREAD: RefCell<Box<[Option<Place>]>> = RefCell::new((0..PLACES).map(|_| None).collect());
}

/// What is kept under a key: from the thread's copy if the store is still at `version`, else from
/// `ask`.
pub(super) fn find(store: u64, version: u32, key: &Key, ask: impl FnOnce() -> Kept) -> Kept {
    PLACES_OF_THREAD.with_borrow_mut(|places| {
        let at = position(places, store, key);
        if let Some(place) = at.and_then(|at| places[at].as_mut())
            && place.version == version
            && place.hits < HITS
        {
            place.hits += 1;
            return place.kept.clone();
        }
        let kept = ask();
        let place = &mut places[at.unwrap_or_else(|| {
            let any = pair(key)[(key.hash() >> 24) as usize & 1];
            pair(key).into_iter().find(|&at| places[at].is_none()).unwrap_or(any)
        })];
        if !kept.is_empty() && kept.size() <= LONGEST {
            let key = SmallVec::from_slice(key.bytes());
            *place = Some(Place { store, version, hits: 0, key, kept: kept.clone() });
        } else if at.is_some() {
            *place = None;
        }
        kept
    })
}
