//! The objects of a cluster, found by service, address, pod and namespace.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU32, Ordering},
    },
};

use smallvec::SmallVec;

use super::object::{
    Meta, Pod, Service, ServiceKind, Slice, WatchedImport, WatchedNamespace, WatchedPod, WatchedService, WatchedSlice,
};
use crate::versions::{Seen, Versions};

/// How many locks the readers are spread over.
const SHARDS: usize = 64;
/// Numbers that tell when what was read has changed; keys of all maps share them.
const VERSIONS: usize = 16_384;

/// What the cluster is, in memory: one writer per kind, many readers. A reader holds a lock only while it takes a
/// reference, and may note what it has read; a re-list changes only what differs.
pub struct Index {
    /// Services of this cluster with their slices.
    pub local: Half,
    /// Services that are imported from other clusters, with theirs.
    pub imported: Half,
    namespaces: Shards<Box<[u8]>, ()>,
    pods: Shards<IpAddr, SmallVec<[Arc<Pod>; 1]>>,
    /// Pods are kept with their labels.
    pod_labels: bool,
    known: Mutex<Known>,
    versions: Arc<Versions>,
}

/// One set of services: this cluster's, or the imported ones.
pub struct Half {
    services: Shards<Box<[u8]>, Arc<Service>>,
    slices: Shards<Box<[u8]>, SmallVec<[Arc<Slice>; 2]>>,
    service_ips: Shards<IpAddr, Arc<Service>>,
    endpoint_ips: Shards<IpAddr, SmallVec<[Arc<Slice>; 1]>>,
    external_ips: Shards<IpAddr, SmallVec<[Arc<Service>; 1]>>,
    serial: AtomicU32,
    versions: Arc<Versions>,
    external_serial: AtomicU32,
}

/// What is known by object, for the writers.
#[derive(Default)]
struct Known {
    services: Kept<Arc<Service>>,
    slices: Kept<Arc<Slice>>,
    imports: Kept<Arc<Service>>,
    imported_slices: Kept<Arc<Slice>>,
    pods: Kept<Arc<Pod>>,
    namespaces: Kept<()>,
}

/// Objects of one kind by namespace and name. During a re-list those not seen yet are remembered, to go at its end.
struct Kept<T> {
    objects: HashMap<Box<str>, T>,
    unseen: Option<HashSet<Box<str>>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { objects: HashMap::new(), unseen: None }
    }
}

impl<T> Kept<T> {
    fn begin(&mut self) {
        self.unseen = Some(self.objects.keys().cloned().collect());
    }

    fn see(&mut self, key: &str) {
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(key);
        }
    }

    fn take_unseen(&mut self) -> Vec<T> {
        let unseen = self.unseen.take().unwrap_or_default();
        unseen.iter().filter_map(|key| self.objects.remove(key)).collect()
    }
}

/// A map that many readers share, cut into parts with a lock each.
struct Shards<K, V> {
    parts: Box<[RwLock<HashMap<K, V>>]>,
    hasher: RandomState,
    versions: Arc<Versions>,
}

impl<K: Hash + Eq, V> Shards<K, V> {
    fn new(versions: &Arc<Versions>) -> Self {
        let parts = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { parts, hasher: RandomState::new(), versions: Arc::clone(versions) }
    }

    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> (u64, &RwLock<HashMap<K, V>>) {
        let hash = self.hasher.hash_one(key);
        // Bits that the choice of the part has not used.
        (hash >> 32, &self.parts[hash as usize % SHARDS])
    }

    fn read<Q, R>(&self, key: &Q, seen: &mut Seen, read: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (place, part) = self.place(key);
        self.versions.note(place, seen);
        part.read().unwrap_or_else(PoisonError::into_inner).get(key).map(read)
    }

    fn insert(&self, key: K, value: V) {
        let (place, part) = self.place(&key);
        part.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        self.versions.advance(place);
    }

    fn change(&self, key: K, change: impl FnOnce(&mut V))
    where
        V: Default,
    {
        let (place, part) = self.place(&key);
        change(part.write().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        self.versions.advance(place);
    }

    /// Changes an entry that is there, and removes it if `change` says that it is empty.
    fn shrink<Q>(&self, key: &Q, change: impl FnOnce(&mut V) -> bool)
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (place, part) = self.place(key);
        let mut part = part.write().unwrap_or_else(PoisonError::into_inner);
        if part.get_mut(key).is_some_and(change) {
            part.remove(key);
        }
        drop(part);
        self.versions.advance(place);
    }

    fn values(&self) -> Vec<V>
    where
        V: Clone,
    {
        let parts = self.parts.iter().map(|part| part.read().unwrap_or_else(PoisonError::into_inner));
        parts.flat_map(|part| part.values().cloned().collect::<Vec<V>>()).collect()
    }

    fn len(&self) -> usize {
        self.parts.iter().map(|part| part.read().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// Key of a service: `namespace/name` in lower case, made on the stack for look-ups.
struct ServiceKey(SmallVec<[u8; 128]>);

impl ServiceKey {
    fn of(namespace: &[u8], name: &[u8]) -> Self {
        let mut key = SmallVec::new();
        key.extend_from_slice(namespace);
        key.push(b'/');
        key.extend_from_slice(name);
        Self(key)
    }
}

impl Half {
    fn new(versions: &Arc<Versions>) -> Self {
        Self {
            services: Shards::new(versions),
            slices: Shards::new(versions),
            service_ips: Shards::new(versions),
            endpoint_ips: Shards::new(versions),
            external_ips: Shards::new(versions),
            external_serial: AtomicU32::new(0),
            serial: AtomicU32::new(0),
            versions: Arc::clone(versions),
        }
    }

    /// The service of this name. Both labels in lower case.
    pub fn service(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> Option<Arc<Service>> {
        self.services.read(ServiceKey::of(namespace, name).0.as_slice(), seen, Arc::clone)
    }

    /// All services, in no order.
    pub fn services(&self) -> Vec<Arc<Service>> {
        self.services.values()
    }

    /// The slices of a service, whether the service is known or not.
    pub fn slices(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> SmallVec<[Arc<Slice>; 2]> {
        self.slices.read(ServiceKey::of(namespace, name).0.as_slice(), seen, Clone::clone).unwrap_or_default()
    }

    /// Whether a service has a ready endpoint.
    pub fn has_endpoint(&self, namespace: &[u8], name: &[u8], seen: &mut Seen) -> bool {
        let any = |slices: &SmallVec<[Arc<Slice>; 2]>| slices.iter().any(|slice| !slice.endpoints.is_empty());
        self.slices.read(ServiceKey::of(namespace, name).0.as_slice(), seen, any).unwrap_or(false)
    }

    /// The service with this cluster address.
    pub fn service_of(&self, address: IpAddr, seen: &mut Seen) -> Option<Arc<Service>> {
        self.service_ips.read(&address, seen, Arc::clone)
    }

    /// The slices with an endpoint of this address.
    pub fn slices_of(&self, address: IpAddr, seen: &mut Seen) -> SmallVec<[Arc<Slice>; 1]> {
        self.endpoint_ips.read(&address, seen, Clone::clone).unwrap_or_default()
    }

    /// Unix time in seconds of the last change, for the SOA; 0 before any.
    pub fn serial(&self, seen: &mut Seen) -> u32 {
        self.versions.note(self.serial_place(), seen);
        self.serial.load(Ordering::Relaxed)
    }

    /// Any number that is the half's own.
    fn serial_place(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64 / 8
    }

    /// The services with this address outside of the cluster.
    pub fn services_at(&self, address: IpAddr) -> SmallVec<[Arc<Service>; 1]> {
        self.external_ips.read(&address, &mut Seen::default(), Clone::clone).unwrap_or_default()
    }

    /// Unix time in seconds of the last change of a service that is reached from outside; 0 before any.
    pub fn external_serial(&self) -> u32 {
        self.external_serial.load(Ordering::Relaxed)
    }

    /// Moves the serials that a service's change concerns.
    fn touch_service(&self, before: Option<&Service>, after: Option<&Service>, now: u32) {
        let inside = |service: &Service| (service.kind.clone(), service.ports.clone());
        let moved = before.map(inside) != after.map(inside);
        if moved {
            self.touch(now);
        }
        let outside = |service: Option<&Service>| service.and_then(|service| service.external.clone());
        let (before, after) = (outside(before), outside(after));
        if before != after || moved && after.is_some() {
            self.external_serial.store(now, Ordering::Relaxed);
        }
    }

    fn put_service(&self, service: &Arc<Service>) {
        let key = ServiceKey::of(service.namespace.as_bytes(), service.name.as_bytes());
        self.services.insert(key.0.as_slice().into(), Arc::clone(service));
        if let ServiceKind::Addresses(addresses) = &service.kind {
            addresses.iter().for_each(|&address| self.service_ips.insert(address, Arc::clone(service)));
        }
        for &address in service.external.iter().flat_map(|external| &external.addresses) {
            self.external_ips.change(address, |services| {
                if !services.iter().any(|known| Arc::ptr_eq(known, service)) {
                    services.push(Arc::clone(service));
                }
            });
        }
    }

    /// Takes away a service, and its addresses but for those that its successor has.
    fn drop_service(&self, service: &Arc<Service>, successor: Option<&Service>) {
        let next: &[IpAddr] = match successor.map(|next| &next.kind) {
            Some(ServiceKind::Addresses(addresses)) => addresses,
            _ => &[],
        };
        if let ServiceKind::Addresses(addresses) = &service.kind {
            for address in addresses.iter().filter(|address| !next.contains(address)) {
                // By now another service may own the address.
                self.service_ips.shrink(address, |owner| Arc::ptr_eq(owner, service));
            }
        }
        for address in service.external.iter().flat_map(|external| &external.addresses) {
            self.external_ips.shrink(address, |services| {
                services.retain(|kept| !Arc::ptr_eq(kept, service));
                services.is_empty()
            });
        }
        if successor.is_none() {
            let key = ServiceKey::of(service.namespace.as_bytes(), service.name.as_bytes());
            self.services.shrink(key.0.as_slice(), |kept| Arc::ptr_eq(kept, service));
        }
    }

    /// Puts a slice in the place of its earlier version, in one step for each reader.
    fn put_slice(&self, slice: &Arc<Slice>, earlier: Option<&Arc<Slice>>) {
        let key = ServiceKey::of(slice.namespace.as_bytes(), slice.service.as_bytes());
        let moved = earlier.filter(|old| old.service != slice.service || old.namespace != slice.namespace);
        if let Some(old) = moved {
            self.forget_slice(old);
        }
        self.slices.change(key.0.as_slice().into(), |slices| replace(slices, slice, earlier));
        for address in addresses(slice) {
            self.endpoint_ips.change(address, |slices| replace(slices, slice, earlier));
        }
        if let Some(old) = earlier {
            for address in addresses(old) {
                self.endpoint_ips.shrink(&address, |slices| remove(slices, old));
            }
        }
    }

    fn drop_slice(&self, slice: &Arc<Slice>) {
        self.forget_slice(slice);
        for address in addresses(slice) {
            self.endpoint_ips.shrink(&address, |slices| remove(slices, slice));
        }
    }

    fn forget_slice(&self, slice: &Arc<Slice>) {
        let key = ServiceKey::of(slice.namespace.as_bytes(), slice.service.as_bytes());
        self.slices.shrink(key.0.as_slice(), |slices| remove(slices, slice));
    }

    fn touch(&self, now: u32) {
        if self.serial.swap(now, Ordering::Relaxed) != now {
            self.versions.advance(self.serial_place());
        }
    }
}

fn replace<A: smallvec::Array<Item = Arc<Slice>>>(
    slices: &mut SmallVec<A>,
    new: &Arc<Slice>,
    earlier: Option<&Arc<Slice>>,
) {
    if slices.iter().any(|slice| Arc::ptr_eq(slice, new)) {
        return;
    }
    let place = earlier.and_then(|old| slices.iter().position(|slice| Arc::ptr_eq(slice, old)));
    match place {
        Some(place) => slices[place] = Arc::clone(new),
        None => slices.push(Arc::clone(new)),
    }
}

fn remove<A: smallvec::Array<Item = Arc<Slice>>>(slices: &mut SmallVec<A>, old: &Arc<Slice>) -> bool {
    slices.retain(|slice| !Arc::ptr_eq(slice, old));
    slices.is_empty()
}

fn addresses(slice: &Slice) -> impl Iterator<Item = IpAddr> {
    slice.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied())
}

fn object_key(meta: &Meta) -> Box<str> {
    format!("{}/{}", meta.namespace(), meta.name()).into()
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An empty index.
    pub fn new() -> Self {
        let versions = Arc::new(Versions::new(VERSIONS));
        Self {
            local: Half::new(&versions),
            imported: Half::new(&versions),
            namespaces: Shards::new(&versions),
            pods: Shards::new(&versions),
            pod_labels: false,
            known: Mutex::default(),
            versions,
        }
    }

    /// Move on when what was read changes.
    pub const fn versions(&self) -> &Arc<Versions> {
        &self.versions
    }

    /// An empty index that keeps the labels of pods, or does not.
    pub fn with_pod_labels(pod_labels: bool) -> Self {
        Self { pod_labels, ..Self::new() }
    }

    /// Whether a Namespace of this name is known. In lower case.
    pub fn has_namespace(&self, name: &[u8], seen: &mut Seen) -> bool {
        self.namespaces.read(name, seen, |()| ()).is_some()
    }

    /// Whether a pod of this namespace has this address.
    pub fn has_pod(&self, namespace: &[u8], address: IpAddr, seen: &mut Seen) -> bool {
        let any = |pods: &SmallVec<[Arc<Pod>; 1]>| pods.iter().any(|pod| pod.namespace.as_bytes() == namespace);
        self.pods.read(&address, seen, any).unwrap_or(false)
    }

    /// The pod that has this address; the last to appear if there are several.
    pub fn pod_of(&self, address: IpAddr) -> Option<Arc<Pod>> {
        self.pods.read(&address, &mut Seen::default(), |pods| pods.last().cloned()).flatten()
    }

    /// Whether who has this address is a pod of this namespace, blind to case. Of several pods the newest that is not
    /// being deleted has it; those in the network of their node share the node's.
    pub fn is_client(&self, namespace: &[u8], address: IpAddr) -> bool {
        let within = |pod: &Arc<Pod>| pod.namespace.as_bytes().eq_ignore_ascii_case(namespace);
        let owns = |pods: &SmallVec<[Arc<Pod>; 1]>| {
            let own = pods.iter().filter(|pod| !pod.host_network);
            match own.max_by_key(|pod| (!pod.terminating, pod.created)) {
                Some(owner) => within(owner),
                None => pods.iter().any(within),
            }
        };
        self.pods.read(&address, &mut Seen::default(), owns).unwrap_or(false)
    }

    /// How many objects are kept, by kind.
    pub fn sizes(&self) -> [(&'static str, usize); 4] {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        [
            ("services", known.services.objects.len() + known.imports.objects.len()),
            ("endpointslices", known.slices.objects.len() + known.imported_slices.objects.len()),
            ("pods", known.pods.objects.len()),
            ("namespaces", self.namespaces.len()),
        ]
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kind that the index takes. `now` is Unix time in seconds.
pub trait Indexed: super::object::Watched {
    /// A re-list begins: what is not applied until [`Indexed::end_relist`] goes then.
    fn begin_relist(index: &Index);
    /// The re-list is complete.
    fn end_relist(index: &Index, now: u32);
    /// The object is there, new or changed; says whether that changes an answer.
    fn apply(self, index: &Index, now: u32) -> bool;
    /// The object is gone.
    fn delete(self, index: &Index, now: u32);
}

macro_rules! indexed_service {
    ($kind:ty, $known:ident, $half:ident) => {
        impl Indexed for $kind {
            fn begin_relist(index: &Index) {
                index.known().$known.begin();
            }

            fn end_relist(index: &Index, now: u32) {
                for service in index.known().$known.take_unseen() {
                    index.$half.drop_service(&service, None);
                    index.$half.touch_service(Some(&service), None, now);
                }
            }

            fn apply(self, index: &Index, now: u32) -> bool {
                let key = object_key(super::object::Watched::trimmed(&self));
                let mut known = index.known();
                known.$known.see(&key);
                let earlier = known.$known.objects.get(&key).cloned();
                if earlier.as_deref() == Some(&self.service) {
                    return false;
                }
                let service = Arc::new(self.service);
                index.$half.put_service(&service);
                if let Some(earlier) = &earlier {
                    index.$half.drop_service(earlier, Some(&service));
                }
                index.$half.touch_service(earlier.as_deref(), Some(&service), now);
                known.$known.objects.insert(key, service);
                true
            }

            fn delete(self, index: &Index, now: u32) {
                let key = object_key(super::object::Watched::trimmed(&self));
                let mut known = index.known();
                known.$known.see(&key);
                if let Some(service) = known.$known.objects.remove(&key) {
                    index.$half.drop_service(&service, None);
                    index.$half.touch_service(Some(&service), None, now);
                }
            }
        }
    };
}

indexed_service!(WatchedService, services, local);
indexed_service!(WatchedImport, imports, imported);

impl Indexed for WatchedSlice {
    fn begin_relist(index: &Index) {
        let mut known = index.known();
        known.slices.begin();
        known.imported_slices.begin();
    }

    fn end_relist(index: &Index, now: u32) {
        let mut known = index.known();
        for slice in known.slices.take_unseen() {
            index.local.drop_slice(&slice);
            index.local.touch(now);
        }
        for slice in known.imported_slices.take_unseen() {
            index.imported.drop_slice(&slice);
            index.imported.touch(now);
        }
    }

    fn apply(self, index: &Index, now: u32) -> bool {
        let key = object_key(super::object::Watched::trimmed(&self));
        let mut known = index.known();
        let Known { slices, imported_slices, .. } = &mut *known;
        let local = apply_slice(slices, &index.local, &key, self.local(), now);
        let imported = apply_slice(imported_slices, &index.imported, &key, self.imported(), now);
        local || imported
    }

    fn delete(self, index: &Index, now: u32) {
        let key = object_key(super::object::Watched::trimmed(&self));
        let mut known = index.known();
        let Known { slices, imported_slices, .. } = &mut *known;
        apply_slice(slices, &index.local, &key, None, now);
        apply_slice(imported_slices, &index.imported, &key, None, now);
    }
}

fn apply_slice(kept: &mut Kept<Arc<Slice>>, half: &Half, key: &str, slice: Option<Slice>, now: u32) -> bool {
    kept.see(key);
    let earlier = kept.objects.get(key).cloned();
    match (slice, earlier) {
        (None, None) => false,
        (Some(slice), Some(earlier)) if slice == *earlier => false,
        (Some(slice), earlier) => {
            let slice = Arc::new(slice);
            half.put_slice(&slice, earlier.as_ref());
            kept.objects.insert(key.into(), slice);
            half.touch(now);
            true
        }
        (None, Some(earlier)) => {
            kept.objects.remove(key);
            half.drop_slice(&earlier);
            half.touch(now);
            true
        }
    }
}

impl Indexed for WatchedPod {
    fn begin_relist(index: &Index) {
        index.known().pods.begin();
    }

    fn end_relist(index: &Index, _: u32) {
        for pod in index.known().pods.take_unseen() {
            index.drop_pod(&pod);
        }
    }

    fn apply(self, index: &Index, now: u32) -> bool {
        let key = object_key(super::object::Watched::trimmed(&self));
        let mut known = index.known();
        known.pods.see(&key);
        let earlier = known.pods.objects.get(&key).cloned();
        let Some(pod) = self.kept(index.pod_labels) else {
            drop(known);
            self.delete(index, now);
            return earlier.is_some();
        };
        if earlier.as_deref() == Some(&pod) || earlier.is_none() && super::object::Watched::trimmed(&self).terminating {
            return false;
        }
        let pod = Arc::new(pod);
        for &address in &*pod.addresses {
            index.pods.change(address, |pods| pods.push(Arc::clone(&pod)));
        }
        if let Some(earlier) = earlier {
            index.drop_pod(&earlier);
        }
        known.pods.objects.insert(key, pod);
        true
    }

    fn delete(self, index: &Index, _: u32) {
        let key = object_key(super::object::Watched::trimmed(&self));
        let mut known = index.known();
        known.pods.see(&key);
        if let Some(pod) = known.pods.objects.remove(&key) {
            index.drop_pod(&pod);
        }
    }
}

impl Index {
    fn drop_pod(&self, pod: &Arc<Pod>) {
        for address in &*pod.addresses {
            self.pods.shrink(address, |pods| {
                pods.retain(|kept| !Arc::ptr_eq(kept, pod));
                pods.is_empty()
            });
        }
    }

    fn drop_namespace(&self, name: &str) {
        self.namespaces.shrink(name.as_bytes(), |()| true);
    }
}

impl Indexed for WatchedNamespace {
    fn begin_relist(index: &Index) {
        index.known().namespaces.begin();
    }

    fn end_relist(index: &Index, _: u32) {
        let unseen = index.known().namespaces.unseen.take().unwrap_or_default();
        for name in unseen {
            index.known().namespaces.objects.remove(&name);
            index.drop_namespace(&name);
        }
    }

    fn apply(self, index: &Index, _: u32) -> bool {
        let name: Box<str> = super::object::Watched::trimmed(&self).name().to_ascii_lowercase().into();
        let mut known = index.known();
        known.namespaces.see(&name);
        index.namespaces.insert(name.as_bytes().into(), ());
        known.namespaces.objects.insert(name, ()).is_none()
    }

    fn delete(self, index: &Index, _: u32) {
        let name = super::object::Watched::trimmed(&self).name().to_ascii_lowercase();
        let mut known = index.known();
        known.namespaces.see(&name);
        known.namespaces.objects.remove(name.as_str());
        index.drop_namespace(&name);
    }
}
