use std::{
    hash::{BuildHasher, Hash},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::versions::{Seen, Versions};

/// How many locks the readers of a table are spread over.
const PARTS: usize = 64;
/// A part with room for more than this is made smaller when three quarters of it are empty.
const ROOM: usize = 64;

/// Something that is found by a key of its own, so that no table holds the key once more.
pub(super) trait Keyed {
    type Key<'k>: Copy + Hash;

    fn key(&self) -> Self::Key<'_>;
    fn is(&self, key: Self::Key<'_>) -> bool;
}

/// A table that many readers share, cut into parts with a lock each. Several entries may have one key.
pub(super) struct Table<E> {
    parts: Box<[RwLock<HashTable<E>>]>,
    hasher: RandomState,
    versions: Arc<Versions>,
}

/// The entries of one key, for a writer. Readers see all of its changes or none.
pub(super) struct Entries<'a, 'k, E: Keyed> {
    table: &'a mut HashTable<E>,
    hasher: &'a RandomState,
    hash: u64,
    key: E::Key<'k>,
}

impl<E: Keyed> Table<E> {
    pub(super) fn new(versions: &Arc<Versions>) -> Self {
        let parts = (0..PARTS).map(|_| RwLock::default()).collect();
        Self { parts, hasher: RandomState::default(), versions: Arc::clone(versions) }
    }

    fn place(&self, hash: u64) -> &RwLock<HashTable<E>> {
        // Bits that neither the table nor the versions look at first.
        &self.parts[(hash >> 48) as usize % PARTS]
    }

    /// Hands the entries of a key to `visit`, and notes that they have been read.
    pub(super) fn each(&self, key: E::Key<'_>, seen: &mut Seen, mut visit: impl FnMut(&E)) {
        let hash = self.hasher.hash_one(key);
        self.versions.note(hash >> 16, seen);
        let part = self.place(hash).read().unwrap_or_else(PoisonError::into_inner);
        part.iter_hash(hash).filter(|entry| entry.is(key)).for_each(&mut visit);
    }

    /// Reads the one entry of a key.
    pub(super) fn read<R>(&self, key: E::Key<'_>, seen: &mut Seen, read: impl FnOnce(&E) -> R) -> Option<R> {
        let hash = self.hasher.hash_one(key);
        self.versions.note(hash >> 16, seen);
        let part = self.place(hash).read().unwrap_or_else(PoisonError::into_inner);
        part.find(hash, |entry| entry.is(key)).map(read)
    }

    /// Changes the entries of a key.
    pub(super) fn change<R>(&self, key: E::Key<'_>, change: impl FnOnce(&mut Entries<'_, '_, E>) -> R) -> R {
        let hash = self.hasher.hash_one(key);
        let mut part = self.place(hash).write().unwrap_or_else(PoisonError::into_inner);
        let done = change(&mut Entries { table: &mut part, hasher: &self.hasher, hash, key });
        drop(part);
        self.versions.advance(hash >> 16);
        done
    }

    /// Something of all entries.
    pub(super) fn collect<R>(&self, mut of: impl FnMut(&E) -> Option<R>) -> Vec<R> {
        let mut found = Vec::new();
        for part in &self.parts {
            found.extend(part.read().unwrap_or_else(PoisonError::into_inner).iter().filter_map(&mut of));
        }
        found
    }

    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

impl<E: Keyed> Entries<'_, '_, E> {
    pub(super) fn find(&mut self, wanted: impl Fn(&E) -> bool) -> Option<&mut E> {
        self.table.find_mut(self.hash, |entry| entry.is(self.key) && wanted(entry))
    }

    /// Adds an entry, which must have the key.
    pub(super) fn add(&mut self, entry: E) {
        self.table.insert_unique(self.hash, entry, |entry| self.hasher.hash_one(entry.key()));
    }

    /// Removes the first entry that is wanted gone.
    pub(super) fn remove(&mut self, unwanted: impl Fn(&E) -> bool) {
        if let Ok(entry) = self.table.find_entry(self.hash, |entry| entry.is(self.key) && unwanted(entry)) {
            entry.remove();
            shrink(self.table, self.hasher);
        }
    }
}

/// Gives back the room that has become empty.
fn shrink<E: Keyed>(table: &mut HashTable<E>, hasher: &RandomState) {
    if table.capacity() > ROOM && table.len() * 4 < table.capacity() {
        table.shrink_to(table.len() * 2, |entry| hasher.hash_one(entry.key()));
    }
}

/// What stands at one address: 4 or 16 octets and a reference.
pub(super) struct At<A, T> {
    address: A,
    object: Arc<T>,
}

impl<A: Copy + Eq + Hash, T> Keyed for At<A, T> {
    type Key<'k> = A;

    fn key(&self) -> A {
        self.address
    }

    fn is(&self, key: A) -> bool {
        self.address == key
    }
}

/// Objects by address; several may have one.
pub(super) struct ByAddress<T> {
    v4: Table<At<Ipv4Addr, T>>,
    v6: Table<At<Ipv6Addr, T>>,
}

/// What becomes of the objects of an address.
enum Change<'a, T> {
    /// The first in the place of the second, if that is there.
    Put(&'a Arc<T>, Option<&'a Arc<T>>),
    /// Alone there.
    Own(&'a Arc<T>),
    Remove(&'a Arc<T>),
}

impl<T> Change<'_, T> {
    fn make<A: Copy + Eq + Hash>(&self, address: A, table: &Table<At<A, T>>) {
        table.change(address, |entries| {
            let is = |wanted: &Arc<T>| {
                let wanted = Arc::as_ptr(wanted);
                move |entry: &At<A, T>| std::ptr::eq(Arc::as_ptr(&entry.object), wanted)
            };
            let (object, earlier) = match *self {
                Self::Remove(object) => return entries.remove(is(object)),
                Self::Own(object) => (object, entries.find(|_| true)),
                Self::Put(object, earlier) => {
                    if entries.find(is(object)).is_some() {
                        return;
                    }
                    (object, earlier.and_then(|earlier| entries.find(is(earlier))))
                }
            };
            match earlier {
                Some(entry) => entry.object = Arc::clone(object),
                None => entries.add(At { address, object: Arc::clone(object) }),
            }
        });
    }
}

impl<T> ByAddress<T> {
    pub(super) fn new(versions: &Arc<Versions>) -> Self {
        Self { v4: Table::new(versions), v6: Table::new(versions) }
    }

    /// Hands what stands at an address to `visit`, and notes that it has been read.
    pub(super) fn each(&self, address: IpAddr, seen: &mut Seen, mut visit: impl FnMut(&Arc<T>)) {
        match address {
            IpAddr::V4(address) => self.v4.each(address, seen, |entry| visit(&entry.object)),
            IpAddr::V6(address) => self.v6.each(address, seen, |entry| visit(&entry.object)),
        }
    }

    fn make(&self, address: IpAddr, change: &Change<'_, T>) {
        match address {
            IpAddr::V4(address) => change.make(address, &self.v4),
            IpAddr::V6(address) => change.make(address, &self.v6),
        }
    }

    /// Puts an object at an address, in one step in the place of its earlier version if that is there. Once only.
    pub(super) fn put(&self, address: IpAddr, object: &Arc<T>, earlier: Option<&Arc<T>>) {
        self.make(address, &Change::Put(object, earlier));
    }

    /// Gives an address to an object; who had it has it no longer.
    pub(super) fn own(&self, address: IpAddr, object: &Arc<T>) {
        self.make(address, &Change::Own(object));
    }

    /// Takes an object from an address, if it is there.
    pub(super) fn remove(&self, address: IpAddr, object: &Arc<T>) {
        self.make(address, &Change::Remove(object));
    }
}
