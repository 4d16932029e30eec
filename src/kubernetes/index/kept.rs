use std::{
    collections::HashSet,
    hash::BuildHasher as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::kubernetes::object::{Pod, Port, Service, Slice};

/// What is known by object, for the writers.
#[derive(Default)]
pub(super) struct Known {
    pub(super) services: Kept<Service>,
    pub(super) slices: Kept<Slice>,
    pub(super) imports: Kept<Service>,
    pub(super) imported_slices: Kept<Slice>,
    pub(super) pods: Kept<Pod>,
    pub(super) namespaces: Kept<str>,
    pub(super) ports: PortLists,
}

/// The writers' lock around it.
#[derive(Default)]
pub(super) struct Writers(Mutex<Known>);

impl Writers {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that the API knows by namespace and name, in lower case.
pub(super) trait Identified {
    fn identity(&self) -> (&str, &str);
}

impl Identified for Service {
    fn identity(&self) -> (&str, &str) {
        (self.key.namespace(), self.key.name())
    }
}

impl Identified for Slice {
    fn identity(&self) -> (&str, &str) {
        (self.service.namespace(), &self.name)
    }
}

impl Identified for Pod {
    fn identity(&self) -> (&str, &str) {
        (self.key.namespace(), self.key.name())
    }
}

/// A namespace is its name.
impl Identified for str {
    fn identity(&self) -> (&str, &str) {
        ("", self)
    }
}

/// Objects of one kind by namespace and name. What a re-list does not show again goes at its end.
pub(super) struct Kept<T: ?Sized> {
    /// With the number of the list that has shown it last.
    objects: HashTable<(Arc<T>, u32)>,
    list: u32,
    hasher: RandomState,
}

impl<T: ?Sized> Default for Kept<T> {
    fn default() -> Self {
        Self { objects: HashTable::new(), list: 0, hasher: RandomState::default() }
    }
}

impl<T: Identified + ?Sized> Kept<T> {
    /// A re-list begins.
    pub(super) fn begin(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// It is complete: what it has not shown is no more.
    pub(super) fn take_unseen(&mut self) -> Vec<Arc<T>> {
        let list = self.list;
        let unseen = self.objects.extract_if(|(_, shown)| *shown != list).map(|(object, _)| object).collect();
        self.objects.shrink_to_fit(|(object, _)| self.hasher.hash_one(object.identity()));
        unseen
    }

    /// The object that has this namespace and name now, which is there in the list under way too.
    pub(super) fn see(&mut self, identity: (&str, &str)) -> Option<Arc<T>> {
        let list = self.list;
        let hash = self.hasher.hash_one(identity);
        let (object, shown) = self.objects.find_mut(hash, |(object, _)| object.identity() == identity)?;
        *shown = list;
        Some(Arc::clone(object))
    }

    /// Puts an object in the place of the one with its namespace and name.
    pub(super) fn put(&mut self, object: Arc<T>) {
        let identity = object.identity();
        let hash = self.hasher.hash_one(identity);
        match self.objects.find_mut(hash, |(known, _)| known.identity() == identity) {
            Some(entry) => *entry = (object, self.list),
            None => {
                let entry = (Arc::clone(&object), self.list);
                self.objects.insert_unique(hash, entry, |(known, _)| self.hasher.hash_one(known.identity()));
            }
        }
    }

    pub(super) fn remove(&mut self, identity: (&str, &str)) -> Option<Arc<T>> {
        let hash = self.hasher.hash_one(identity);
        let entry = self.objects.find_entry(hash, |(object, _)| object.identity() == identity).ok()?;
        Some(entry.remove().0.0)
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }
}

/// Lists of ports, each once: most services have the same few.
#[derive(Default)]
pub(super) struct PortLists {
    lists: HashSet<Arc<[Port]>>,
    /// Those that nobody has any more are looked for beyond this number.
    limit: usize,
}

impl PortLists {
    /// The one copy of a list.
    pub(super) fn shared(&mut self, ports: &[Port]) -> Arc<[Port]> {
        if let Some(known) = self.lists.get(ports) {
            return Arc::clone(known);
        }
        if self.lists.len() >= self.limit {
            self.lists.retain(|list| Arc::strong_count(list) > 1);
            self.limit = (self.lists.len() * 2).max(256);
        }
        let list: Arc<[Port]> = ports.into();
        self.lists.insert(Arc::clone(&list));
        list
    }
}
